# SPDX-License-Identifier: Apache-2.0
"""The whole road: a signed mail of 5 KiB comes in, is authenticated and answered; the answer leaves signed.

Each server gets the same mails over the same connections, first a few to warm up, then as fast as it goes,
then at a steady rate. Counted is the CPU of the server with its children, user and system; senders, sink
and DNS are in this process and are not counted. A latency runs from the final dot of a mail to the final
dot of its answer at the sink. Every mail is really signed and every answer is verified afterwards.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.subject import Subject, World, peer, rejoinder
from bench.wire import Arrival, Sender, Sink
from rejoinder.clock.live import LiveClock
from rejoinder.dns.zone import Zone
from rejoinder.ids import Ids
from rejoinder.internet.person import Person
from rejoinder.internet.zone_server import ZoneServer
from rejoinder.mailauth.dkim import verify
from rejoinder.mailauth.dkim.key import make_key, public_record
from rejoinder.mailauth.dkim.sign import Signer
from rejoinder.message.address import Address, Mailbox
from rejoinder.message.headers import split

PATIENCE = 60.0
"""Seconds after the last mail in which its answer must come."""
_SIZE = 5 << 10
_COMMANDS = {"rejoinder": rejoinder, "peer": peer}
_SUPPORT = Mailbox("support", "desk.example")


@dataclass(frozen=True)
class Sizes:
    """How much is sent, and how."""

    mails: int
    steady: int
    rate: float
    connections: int
    warm_up: int = 100


@dataclass(frozen=True)
class Mail:
    """A mail that is ready to be sent."""

    message_id: str
    reverse_path: str
    raw: bytes


@dataclass(frozen=True)
class Result:
    """What one server did, and what it cost. Times in milliseconds."""

    name: str
    mails: int
    cpu_ms: float
    """CPU for one reply, as fast as it goes."""
    replies_per_second: float
    steady_mails: int
    steady_rate: float
    steady_cpu_ms: float
    """CPU for one reply at the steady rate, with what the server does when it waits."""
    p50_ms: float
    p99_ms: float
    lost: int
    doubled: int
    unsigned: int
    signature_ms: float
    """What one RSA-2048 signature costs here and now: the measure of the machine."""

    @property
    def is_sound(self) -> bool:
        """Whether every mail was answered once and every answer was signed."""
        return not (self.lost or self.doubled or self.unsigned)

    def as_json(self) -> dict[str, object]:
        """As it is printed with --json."""
        return asdict(self)


async def measure(sizes: Sizes, names: Sequence[str]) -> list[Result]:
    """Measure these servers, one after the other, in the same world."""
    pem = make_key()
    customer = Signer("customer.example", "rejoinder", make_key())
    ours = Signer("desk.example", "rejoinder", pem)
    mails = write_mails(customer, sizes.warm_up + sizes.mails + sizes.steady)
    zone = world_zone(customer, ours)
    results = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        key = Path(folder) / "desk.example.pem"
        key.write_bytes(pem)
        for name in names:
            async with AsyncExitStack() as stack:
                server, sink = ZoneServer(zone), Sink()
                host, port = await server.start()
                stack.push_async_callback(server.close)
                own = Path(folder) / name
                own.mkdir()
                world = World(own, f"{host}:{port}", await sink.start(), key)
                stack.callback(sink.close)
                subject = await Subject.start(_COMMANDS[name](world), own / "log")
                stack.push_async_callback(subject.stop)
                # The peer is slow: a third is enough to tell.
                these = sizes if name == "rejoinder" else replace(sizes, mails=max(sizes.mails // 3, 1))
                result = await Road(subject, sink, these).measure(name, mails)
            unsigned = await count_unsigned(sink.arrivals, zone)
            results.append(replace(result, unsigned=unsigned, signature_ms=time_signature(ours)))
    return results


class Road:
    """One server, its senders and the sink."""

    def __init__(self, subject: Subject, sink: Sink, sizes: Sizes) -> None:
        self._subject = subject
        self._sink = sink
        self._sizes = sizes
        self._idle: asyncio.Queue[Sender] = asyncio.Queue()
        self._sent: dict[str, float] = {}

    async def measure(self, name: str, mails: Sequence[Mail]) -> Result:
        """Warm up, then all that can be, then the steady rate."""
        sizes = self._sizes
        for _ in range(sizes.connections):
            self._idle.put_nowait(await Sender.open(self._subject.port))
        fast = mails[sizes.warm_up : sizes.warm_up + sizes.mails]
        steady = mails[-sizes.steady :]
        await self._send(mails[: sizes.warm_up], 0)
        fast_cpu, fast_seconds = await self._send(fast, 0)
        steady_cpu, _ = await self._send(steady, sizes.rate)
        while not self._idle.empty():
            self._idle.get_nowait().close()
        answered = Counter(arrival.answers for arrival in self._sink.arrivals)
        latencies = self._latencies(steady)
        return Result(
            name=name,
            mails=len(fast),
            cpu_ms=1000 * fast_cpu / len(fast),
            replies_per_second=len(fast) / fast_seconds,
            steady_mails=len(steady),
            steady_rate=sizes.rate,
            steady_cpu_ms=1000 * steady_cpu / len(steady),
            p50_ms=1000 * statistics.median(latencies),
            p99_ms=1000 * statistics.quantiles(latencies, n=100)[98],
            lost=len(self._sent.keys() - answered.keys()),
            doubled=sum(times - 1 for times in answered.values()),
            unsigned=0,
            signature_ms=0,
        )

    async def _send(self, mails: Sequence[Mail], rate: float) -> tuple[float, float]:
        """Send at this rate (0: as fast as it goes); seconds of CPU, and until the last answer came."""
        before, start, count = self._subject.cpu(), time.perf_counter(), len(self._sink.arrivals)
        async with asyncio.TaskGroup() as group:
            for number, mail in enumerate(mails):
                if rate:
                    await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
                group.create_task(self._send_one(await self._idle.get(), mail))
        await self._sink.until(count + len(mails), PATIENCE)
        if not self._sink.arrivals:
            raise RuntimeError(f"not one answer has come within {PATIENCE:g} s:\n{self._subject.log()}")
        return self._subject.cpu() - before, self._sink.arrivals[-1].at - start

    async def _send_one(self, sender: Sender, mail: Mail) -> None:
        is_accepted, at = await sender.send(mail.reverse_path, mail.raw)
        self._idle.put_nowait(sender)
        if not is_accepted:
            raise RuntimeError(f"{mail.message_id} was refused")
        self._sent[mail.message_id] = at

    def _latencies(self, mails: Sequence[Mail]) -> list[float]:
        arrived = {arrival.answers: arrival.at for arrival in self._sink.arrivals}
        # A mail that was lost makes the numbers worthless, and is reported as lost.
        wanted = [mail.message_id for mail in mails if mail.message_id in arrived]
        return [arrived[message_id] - self._sent[message_id] for message_id in wanted] or [0.0, 0.0]


def write_mails(customer: Signer, count: int) -> list[Mail]:
    """Unique signed mails of 5 KiB, each from a mailbox of its own."""
    clock, ids = LiveClock(), Ids(os.urandom)
    text = "Here is what happened, line by line, as you have asked me to write it down.\n" * (_SIZE // 76)
    mails = []
    for number in range(count):
        author = Mailbox(f"customer{number}", "customer.example")
        raw = Person(Address("A Customer", author), customer, clock, ids).write(
            _SUPPORT, f"Mail {number}", text[: _SIZE - 900]
        )
        mails.append(Mail(split(raw)[0].get("Message-ID", ""), str(author), raw))
    return mails


async def count_unsigned(arrivals: Sequence[Arrival], zone: Zone) -> int:
    """How many answers have no signature of ours that verifies."""
    unsigned = 0
    for arrival in arrivals:
        headers, offset = split(arrival.raw)
        found = verify.find(headers, LiveClock().now())
        verdicts = await verify.verify(headers, arrival.raw[offset:], found, zone)
        unsigned += not any(each.proves and each.domain == "desk.example" for each in verdicts)
    return unsigned


def time_signature(signer: Signer) -> float:
    """Milliseconds of CPU for one signature, the best of some."""
    raw = write_mails(signer, 1)[0].raw

    def once() -> float:
        start = time.thread_time()
        signer.sign(raw, LiveClock().now())
        return 1000 * (time.thread_time() - start)

    return min(once() for _ in range(50))


def world_zone(customer: Signer, ours: Signer) -> Zone:
    """The DNS of the customer and of us."""
    return Zone(
        {
            "customer.example": {
                "A": ["127.0.0.1"],
                "MX": ["10 mail.customer.example"],
                "TXT": ["v=spf1 ip4:127.0.0.1 -all"],
            },
            "mail.customer.example": {"A": ["127.0.0.1"]},
            "_dmarc.customer.example": {"TXT": ["v=DMARC1; p=reject"]},
            "rejoinder._domainkey.customer.example": {"TXT": [public_record(customer.key)]},
            "rejoinder._domainkey.desk.example": {"TXT": [public_record(ours.key)]},
        }
    )
