# SPDX-License-Identifier: Apache-2.0
"""A real server process that may be killed at any moment, and senders and a next hop that live on.

The senders are mail servers as RFC 5321 §4.5.4.1 wants them: they send the same mail again until they have
an answer. The DNS and the next hop run in the test's own process, so that a kill takes only the server and
its workers.
"""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rejoinder.clock.live import LiveClock
from rejoinder.dns import RdType
from rejoinder.dns.zone import Written, Zone
from rejoinder.ingress.session import Client, Delivery
from rejoinder.internet.person import post
from rejoinder.internet.sink import Sink
from rejoinder.internet.zone_server import ZoneServer
from rejoinder.message.address import Mailbox
from rejoinder.message.headers import split
from rejoinder.outbound.connection import NextHop
from rejoinder.outbound.pool import Pool, PoolSettings
from rejoinder.smtp.reply import Reply
from tests.acceptance.crash_ledger import Answer, Ledger, count_jobs, read_store
from tests.acceptance.house import SUPPORT, worker_file

REAL: Final = ("-m", "rejoinder", "serve", "--config")
HASTY: Final = ("-m", "tests.acceptance.crash_server")
DELIVER_ROOM: Final = 4
"""Deliveries that go on at the same time: what one kill can make uncertain."""

_PR_SET_CHILD_SUBREAPER: Final = 36
_LARGE: Final = 12_000
_WORKER: Final = """
import asyncio
import os
from pathlib import Path

ORDER = Path(__file__).with_name("kill")


def kill():
    try:
        server = int(ORDER.read_text())
    except FileNotFoundError:
        return
    ORDER.unlink()
    os.kill(server, 9)


async def email(message, env, ctx):
    ways = message.text.splitlines()[0].split()
    if "silent" in ways:
        return
    if "accept" in ways:
        await message.accept()
    if "late" in ways:
        await asyncio.sleep(0.15)
    if "kill-first" in ways:
        kill()
    await message.reply("We have read it: " + " ".join(ways))
    if "kill-last" in ways:
        kill()
"""
_CONFIG: Final = """
[store]
data_dir = "{folder}/data"
inline_max = "8KiB"

[ingress]
hostname = "mx.desk.example"
listen = [{{ kind = "mx", address = "127.0.0.1:{smtp}" }}]

[http]
listen = "127.0.0.1:{http}"

[dns]
resolvers = ["{dns}"]

[outbound]
mx_port = {sink}
allow_private_mx = true
schedule = ["100ms", "200ms", "1s", "1s", "1s", "1s", "1s", "1s", "1s", "1s"]

[queue]
rooms = {{ run = 64, deliver = {deliver_room} }}

[workers]
hold = "100ms"

[replies]
api_per_correspondent = 0
api_per_thread = 0

[[domain]]
name = "desk.example"

[[worker]]
name = "desk"
file = "{worker}"

[[route]]
match = "support@desk.example"
worker = "desk"
"""
_ZONE: Final[dict[str, dict[RdType, list[Written]]]] = {
    "customer.example": {
        "A": ["127.0.0.1"],
        "MX": ["10 mail.customer.example"],
        "TXT": ["v=spf1 ip4:127.0.0.1 -all"],
    },
    "mail.customer.example": {"A": ["127.0.0.1"]},
    "_dmarc.customer.example": {"TXT": ["v=DMARC1; p=reject"]},
}


@dataclass(frozen=True)
class Letter:
    """A mail of a customer; ``ways`` tells the worker how to handle it."""

    message_id: str
    sender: Mailbox
    raw: bytes

    @classmethod
    def of(cls, number: int, ways: str, size: int = 300) -> Letter:
        """The nth letter, from a customer of its own, of about so many octets."""
        sender = Mailbox(f"ann{number}", "customer.example")
        message_id = f"<{number}@customer.example>"
        lines = [
            f"From: Ann <{sender}>",
            f"To: <{SUPPORT}>",
            f"Subject: Letter {number}",
            f"Message-ID: {message_id}",
            "Date: Sat, 21 Nov 2026 10:00:00 +0000",
            "",
            ways,
            *["This line fills the letter up to its size."] * (size // 45),
            "",
        ]
        return cls(message_id, sender, "\r\n".join(lines).encode())


class TrapSink(Sink):
    """A next hop at which something can happen, once, as a mail is offered or as its content has come."""

    def __init__(self) -> None:
        super().__init__(LiveClock(), "mail.customer.example", self._spring_content)
        self.on_recipient: Callable[[], None] | None = None
        self.on_content: Callable[[], None] | None = None

    def recipient(self, forward_path: Mailbox, reverse_path: Mailbox | None, client: Client) -> Reply | None:
        """RCPT: the content has not come."""
        trap, self.on_recipient = self.on_recipient, None
        if trap is not None:
            trap()
        return super().recipient(forward_path, reverse_path, client)

    def _spring_content(self, delivery: Delivery) -> Reply:
        trap, self.on_content = self.on_content, None
        if trap is not None:
            trap()
        return Reply.of(250, "2.0.0", "Kept")


class Rig:
    """One data_dir, the processes that own it one after the other, and the world around it."""

    def __init__(
        self, folder: Path, command: Sequence[str], config: Path, ports: tuple[int, int], sink: TrapSink
    ) -> None:
        self.ledger = Ledger()
        self.sink = sink
        self.port, http = ports
        self.http_address = ("127.0.0.1", http)
        self.data_dir = folder / "data"
        self.kills = 0
        self._folder = folder
        self._command = (sys.executable, *command, str(config))
        self._others = _children()
        self._process: asyncio.subprocess.Process | None = None
        self._up = asyncio.Event()
        self._letters = 0

    # --- the server ---

    async def spawn(self) -> None:
        """Start the server; it is not yet ready."""
        with (self._folder / "server.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdout=asyncio.subprocess.PIPE, stderr=log, env=self._environment()
            )
        (self._folder / "kill").unlink(missing_ok=True)

    async def start(self) -> None:
        """Start the server and return when it receives mail."""
        await self.spawn()
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if line.startswith(b"Answering HTTP"):
                self._up.set()
                return
        raise AssertionError(f"the server did not start:\n{self.log()}")

    async def up(self) -> None:
        """Return when the server receives mail and requests."""
        await self._up.wait()

    def order_kill(self) -> None:
        """Let the worker kill the server, once, where a letter tells it to."""
        (self._folder / "kill").write_text(str(self.process.pid))

    def strike(self) -> None:
        """Kill the server at this very moment."""
        self._up.clear()
        self.process.kill()

    async def kill(self) -> None:
        """Kill the server at this very moment, and return when it and all its processes are buried."""
        self.strike()
        await self.bury()

    async def bury(self) -> None:
        """Return when the server that was killed is gone, and every process that it had started too."""
        status = await self.process.wait()
        self._up.clear()
        assert status == -signal.SIGKILL, f"the server ended by itself with {status}:\n{self.log()}"
        self.kills += 1
        await until(lambda: _bury(_children() - self._others), "the processes of a killed server to end")

    async def settle(self) -> None:
        """Return when no job is left."""
        await until(lambda: not count_jobs(self.data_dir), "the queue to be empty", seconds=60)

    async def stop(self) -> None:
        """Let the server end in order, when no job is left, and take the store into the ledger."""
        await self.settle()
        self.process.terminate()
        assert await self.process.wait() == 0, self.log()
        ledger = self.ledger
        ledger.kept, ledger.dispatched, ledger.left_over = read_store(self.data_dir)
        ledger.answers = [_answer(delivery) for delivery in self.sink.received]

    def answers_to(self, letter: Letter) -> int:
        """How many answers to a letter have arrived at the next hop."""
        answers = [_answer(delivery).in_reply_to for delivery in self.sink.received]
        return answers.count(letter.message_id)

    @property
    def process(self) -> asyncio.subprocess.Process:
        """The server's process."""
        assert self._process is not None
        return self._process

    def log(self) -> str:
        """The end of what the servers have logged."""
        return (self._folder / "server.log").read_text()[-8000:]

    def _environment(self) -> dict[str, str]:
        root = Path(__file__).parents[2]
        return {**os.environ, "PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1"}

    # --- senders ---

    def letter(self, ways: str, size: int = 300) -> Letter:
        """A new letter."""
        self._letters += 1
        letter = Letter.of(self._letters, ways, size)
        self.ledger.offered[letter.message_id] = hashlib.sha256(letter.raw).hexdigest()
        return letter

    async def send(self, pool: Pool, letter: Letter, *, is_patient: bool = True) -> None:
        """Send a letter until there is an answer; without patience, try only once."""
        while True:
            await self.up()
            hop = NextHop("mx.desk.example", "127.0.0.1", self.port)
            result = await post(
                pool, hop, "mail.customer.example", letter.raw, reverse_path=letter.sender, to=SUPPORT
            )
            reply = result.outcomes[0].reply
            if reply is not None and reply.is_positive:
                self.ledger.acknowledged.add(letter.message_id)
                return
            if reply is not None and reply.is_permanent:
                self.ledger.refused[letter.message_id] = str(reply)
                return
            if not is_patient:
                return

    @asynccontextmanager
    async def sender(self) -> AsyncIterator[Pool]:
        """Connections of one sender."""
        pool = Pool(PoolSettings(max_per_host=1), LiveClock())
        yield pool
        await pool.close()

    async def send_until(self, stopping: asyncio.Event, chance: random.Random) -> None:
        """One sender: letter after letter, some large, some twice, some given up."""
        async with self.sender() as pool:
            while not stopping.is_set():
                ways = chance.choice(["at once", "at once", "at once", "accept", "late", "accept late"])
                letter = self.letter(ways, _LARGE if chance.random() < 0.1 else 300)
                is_patient = chance.random() < 0.95
                await self.send(pool, letter, is_patient=is_patient)
                if is_patient and chance.random() < 0.1:
                    await self.send(pool, letter)  # as if the 250 had been lost on its way


@asynccontextmanager
async def rig(folder: Path, command: Sequence[str], limit: float) -> AsyncIterator[Rig]:
    """A rig whose server is not yet started; it fails after so many seconds, and leaves nothing behind."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(asyncio.timeout(limit))
        stack.enter_context(_orphans_come_to_us())
        sink, zone = TrapSink(), ZoneServer(Zone(_ZONE))
        _, sink_port = await sink.start()
        stack.push_async_callback(sink.close)
        dns_host, dns_port = await zone.start()
        stack.push_async_callback(zone.close)
        smtp, http = _quiet_port(), _quiet_port()
        config = folder / "rejoinder.toml"
        config.write_text(
            _CONFIG.format(
                folder=folder,
                smtp=smtp,
                http=http,
                dns=f"{dns_host}:{dns_port}",
                sink=sink_port,
                deliver_room=DELIVER_ROOM,
                worker=worker_file(folder, _WORKER),
            )
        )
        made = Rig(folder, command, config, (smtp, http), sink)
        try:
            yield made
        finally:
            if made.process.returncode is None:
                made.strike()
                await made.process.wait()


async def until(true: Callable[[], bool], what: str, seconds: float = 10) -> None:
    """Look until it is so; what other processes do cannot be waited for otherwise."""
    try:
        async with asyncio.timeout(seconds):
            while not true():  # noqa: ASYNC110 - no event of another process comes here
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"waited {seconds:g} s for {what}") from None


def _answer(delivery: Delivery) -> Answer:
    headers, _ = split(delivery.raw)
    signed = headers.get("DKIM-Signature", "")
    return Answer(headers.get("Message-ID", ""), headers.get("In-Reply-To", ""), "d=desk.example" in signed)


def _quiet_port() -> int:
    """A free port that the kernel gives to nobody by itself, so that it is still free after a kill."""
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    quiet = [port for port in range(10_000, 60_000) if not first <= port <= last]
    while True:
        port = random.choice(quiet)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@contextmanager
def _orphans_come_to_us() -> Iterator[None]:
    """What a killed server leaves running becomes our child, so that we see it."""
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0)


def _children() -> set[int]:
    """The processes whose parent we are, or have become."""
    return {
        int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()
    }


def _bury(orphans: set[int]) -> bool:
    """Whether none of these is left, having buried those that are dead."""
    for pid in orphans:
        os.waitpid(pid, os.WNOHANG)
    return not orphans & _children()
