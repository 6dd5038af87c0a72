# SPDX-License-Identifier: Apache-2.0
"""Reply requests: a small text in answer to a stored mail of 5 KiB, over HTTP, each with a key of its own.

``down`` is our server while the customer's mail server is down: a request costs what the request costs,
with the look-ups, the rules, the quotation, the message and the commit of mail, thread, job and idempotency
key; of the deliveries only the first few are tried, then their lane waits. ``delivering`` is the same with
a mail server that takes everything: signature and delivery are in its numbers. ``plain`` and ``lean`` write
one row (``bench.plain``). All run at once and are asked in turns, so that what else happens on the machine
meets all of them. An answer counts only if its row is in the database afterwards.
"""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

from bench.caller import Caller, request
from bench.road import PATIENCE, Mail, world_zone, write_mails
from bench.subject import Subject, World, environment, rejoinder
from bench.wire import Sender, Sink
from rejoinder.internet.zone_server import ZoneServer
from rejoinder.mailauth.dkim.key import make_key
from rejoinder.mailauth.dkim.sign import Signer

NAMES = ("down", "delivering", "plain", "lean")
_BILLING = "billing@desk.example"
_KEY = "rj_" + "k" * 43
_BODY = {"from": f"Billing <{_BILLING}>", "text": "Thank you, we have got your mail.\n"}


@dataclass(frozen=True)
class Sizes:
    """How much is asked, and how; ``letters`` are the mails that are answered, one after the other."""

    requests: int
    connections: int = 16
    letters: int = 500
    rounds: int = 5
    warm_up: int = 200


@dataclass(frozen=True)
class Result:
    """What one server did, and what it cost. Times in milliseconds."""

    name: str
    requests: int
    requests_per_second: float
    cpu_ms: float
    """CPU of the server's processes for one request."""
    client_cpu_ms: float
    """CPU of this process for one request, with the sink where there is one."""
    p50_ms: float
    p99_ms: float
    lost: int
    """Answers without a row in the database, and mails that did not come to the sink."""
    doubled: int
    """Rows that nobody was told of, and mails beyond the first."""

    @property
    def is_sound(self) -> bool:
        """Whether each request was done once."""
        return not (self.lost or self.doubled)

    def as_json(self) -> dict[str, object]:
        """As it is printed with --json."""
        return asdict(self)


async def measure(sizes: Sizes, names: Sequence[str] = NAMES) -> list[Result]:
    """Measure these servers in turns, in the same world."""
    pem = make_key()
    customer, ours = (
        Signer("customer.example", "rejoinder", make_key()),
        Signer("desk.example", "rejoinder", pem),
    )
    letters = write_mails(customer, sizes.letters)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        (folder / "desk.example.pem").write_bytes(pem)
        async with AsyncExitStack() as stack:
            zone = ZoneServer(world_zone(customer, ours))
            host, port = await zone.start()
            stack.push_async_callback(zone.close)
            opening = _Opening(stack, folder, f"{host}:{port}", letters, sizes)
            turns = [await opening.open(name) for name in names]
            for each in turns:
                await each.ask(sizes.warm_up, counted=False)
            for _ in range(sizes.rounds):
                for each in turns:
                    await each.ask(max(sizes.requests // sizes.rounds, 1))
        return [each.result() for each in turns]


@dataclass
class Turns:
    """One server, and what was counted in its turns."""

    name: str
    subject: Subject
    requests: Iterator[bytes]
    connections: int
    kept: Callable[[], list[str]]
    """The ids of the rows in the database."""
    sink: Sink | None = None
    seconds: float = 0.0
    cpu: float = 0.0
    client_cpu: float = 0.0
    latencies: list[float] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)

    async def ask(self, count: int, *, counted: bool = True) -> None:
        """So many requests as fast as they go; then what they have set going may end.

        A turn has connections of its own: servers hang up on those that wait for their next one.
        """
        callers = [await Caller.open(self.subject.http_port) for _ in range(self.connections)]
        cpu, own, start = self.subject.cpu(), time.process_time(), time.perf_counter()
        asked, latencies = islice(self.requests, count), list[float]()
        async with asyncio.TaskGroup() as group:
            for caller in callers:
                group.create_task(self._ask_all(caller, asked, latencies))
        end = time.perf_counter()
        if self.sink is not None:
            await self.sink.until(len(self.answers), PATIENCE)
        for caller in callers:
            caller.close()
        if counted:
            self.seconds += end - start
            self.cpu += self.subject.cpu() - cpu
            self.client_cpu += time.process_time() - own
            self.latencies += latencies

    async def _ask_all(self, caller: Caller, asked: Iterator[bytes], latencies: list[float]) -> None:
        for each in asked:
            start = time.perf_counter()
            self.answers.append(await caller.ask(each))
            latencies.append(time.perf_counter() - start)

    def result(self) -> Result:
        """What it came to."""
        count, rows = len(self.latencies), self.kept()
        told = {_id(answer) for answer in self.answers}
        arrived = len(self.answers) if self.sink is None else len(self.sink.arrivals)
        return Result(
            name=self.name,
            requests=count,
            requests_per_second=count / self.seconds,
            cpu_ms=1000 * self.cpu / count,
            client_cpu_ms=1000 * self.client_cpu / count,
            p50_ms=1000 * statistics.median(self.latencies),
            p99_ms=1000 * statistics.quantiles(self.latencies, n=100)[98],
            lost=len(told - set(rows)) + max(len(self.answers) - arrived, 0),
            doubled=len(rows) - len(told & set(rows)) + max(arrived - len(self.answers), 0),
        )


@dataclass
class _Opening:
    """Starts servers, and has the mail stored that is to be answered."""

    stack: AsyncExitStack
    folder: Path
    dns: str
    letters: Sequence[Mail]
    sizes: Sizes

    async def open(self, name: str) -> Turns:
        own = self.folder / name
        own.mkdir()
        if name in ("down", "delivering"):
            return await self._ours(own, name == "delivering")
        return await self._plain(own, ["--lean"] if name == "lean" else [])

    async def _plain(self, own: Path, options: Sequence[str]) -> Turns:
        data = own / "plain.db"
        command = ("-m", "bench.plain", "--data", str(data), "--key", _KEY, *options)
        subject = await Subject.start(command, own / "log", http=True)
        self.stack.push_async_callback(subject.stop)
        ids = [f"email_{number}" for number in range(self.sizes.letters)]
        return self._turns(own.name, subject, ids, _KEY, lambda: _rows(data, "SELECT id FROM reply"))

    async def _ours(self, own: Path, delivering: bool) -> Turns:
        sink = Sink() if delivering else None
        port = self._closed_port() if sink is None else await sink.start()
        if sink is not None:
            self.stack.callback(sink.close)
        world = World(own, self.dns, port, self.folder / "desk.example.pem")
        subject = await Subject.start(rejoinder(world), own / "log", http=True)
        self.stack.push_async_callback(subject.stop)
        await self._store_letters(subject.port)
        data = own / "data" / "rejoinder.db"
        ids, key = _rows(data, "SELECT id FROM email"), await _made_key(world)
        turns = self._turns(
            own.name, subject, ids, key, lambda: _rows(data, "SELECT id FROM sent WHERE policy = 'api'")
        )
        turns.sink = sink
        return turns

    def _turns(
        self, name: str, subject: Subject, ids: Sequence[str], key: str, kept: Callable[[], list[str]]
    ) -> Turns:
        requests = _requests(subject.http_port, ids, key)
        return Turns(name, subject, requests, self.sizes.connections, kept)

    async def _store_letters(self, port: int) -> None:
        sender = await Sender.open(port)
        for letter in self.letters:
            is_accepted, _ = await sender.send(letter.reverse_path, letter.raw, _BILLING)
            if not is_accepted:
                raise RuntimeError(f"{letter.message_id} was refused")
        sender.close()

    def _closed_port(self) -> int:
        """A port that is ours and where nobody listens."""
        taken = self.stack.enter_context(socket.socket())
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _requests(port: int, ids: Sequence[str], key: str) -> Iterator[bytes]:
    """Requests without end, to one mail after the other."""
    number = 0
    while True:
        path = f"/api/v2/emails/{ids[number % len(ids)]}/reply"
        yield request(port, path, key, f"request-{number}", _BODY)
        number += 1


async def _made_key(world: World) -> str:
    command = ("-m", "rejoinder", "key", "create", "--config", str(world.config))
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, env=environment()
    )
    out, _ = await process.communicate()
    return out.decode().split()[-1]


def _rows(path: Path, query: str) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return [row[0] for row in connection.execute(query)]
    finally:
        connection.close()


def _id(answer: bytes) -> str:
    return answer.partition(b'"id":"')[2].partition(b'"')[0].decode()
