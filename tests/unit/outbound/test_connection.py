# SPDX-License-Identifier: Apache-2.0
"""A connection and a pool against next hops that are scripted, or are our own server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import pytest

from rejoinder.clock import after
from rejoinder.clock.deadline import within
from rejoinder.clock.manual import ManualClock
from rejoinder.ingress.server import SmtpServer
from rejoinder.ingress.session import Client, Delivery
from rejoinder.ingress.settings import IngressSettings
from rejoinder.message.address import Mailbox
from rejoinder.outbound.connection import HopResult, NextHop, Timeouts
from rejoinder.outbound.pool import Pool, PoolSettings
from rejoinder.smtp.envelope import Envelope
from rejoinder.smtp.event import ContentRefused
from rejoinder.smtp.reply import Reply
from rejoinder.smtp.sender import Stage

pytestmark = pytest.mark.anyio

A, B = Mailbox("a", "desk.example"), Mailbox("b", "desk.example")
BOTH = Envelope(Mailbox("me", "c.example"), (A, B))
RAW = b"Subject: x\r\n\r\n.x\r\n"
EHLO = b"250-hop.example\r\n250 PIPELINING\r\n"
TAKEN = b"250 2.0.0 taken\r\n"
OPENING = (b"220 hop.example\r\n", EHLO)

STAGES: Final[tuple[Stage, ...]] = ("greeting", "mail", "rcpt", "data", "content")

Script = Callable[["Hop"], Awaitable[None]]


class Hop:
    """One connection as the next hop sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def open(self) -> None:
        self.writer.write(OPENING[0])
        await self.reader.readline()
        self.writer.write(OPENING[1])

    async def transaction(self, *replies: bytes) -> bytes:
        """Answer the envelope of two recipients, then the content; returns the content."""
        mail, *rest = replies
        for reply in (mail, *rest[:3]):
            await self.reader.readline()
            self.writer.write(reply)
        content = await self.reader.readuntil(b"\r\n.\r\n")
        for reply in rest[3:]:
            self.writer.write(reply)
        return content

    async def gone(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self.reader.read()


GOOD = (b"250 a\r\n", b"250 b\r\n", b"250 c\r\n", b"354 d\r\n", TAKEN)


class Net:
    """A pool, its clock, and a next hop whose connections run the scripts in order."""

    def __init__(self, scripts: list[Script], settings: PoolSettings) -> None:
        self.clock = ManualClock()
        self.pool = Pool(settings, self.clock)
        self.hop = NextHop("hop.example", "127.0.0.1", 0)
        self.connections = 0
        self._scripts = scripts
        self._ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self._scripts[self.connections]
        self.connections += 1
        try:
            async with asyncio.timeout(5):
                await script(Hop(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def send(self, envelope: Envelope = BOTH, raw: bytes = RAW) -> HopResult:
        async with asyncio.timeout(5):
            return await self.pool.send(self.hop, "c.example", envelope, raw)


@contextlib.asynccontextmanager
async def net(*scripts: Script, settings: PoolSettings | None = None) -> AsyncIterator[Net]:
    made = Net(list(scripts), settings or PoolSettings())
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.hop = NextHop("hop.example", "127.0.0.1", server.sockets[0].getsockname()[1])
    try:
        yield made
    finally:
        await made.pool.close()
        server.close()
        for _ in range(20):
            await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what happens at the other end tells nobody
            await asyncio.sleep(0)


def codes(result: HopResult) -> list[int | None]:
    return [outcome.reply.code if outcome.reply else None for outcome in result.outcomes]


def transactions(count: int, *, replies: tuple[bytes, ...] = GOOD, then: bytes = b"") -> Script:
    async def script(hop: Hop) -> None:
        await hop.open()
        for _ in range(count):
            await hop.transaction(*replies)
        hop.writer.write(then)
        if not then:
            await hop.gone()

    return script


async def test_each_recipient_has_its_answer_and_the_dialogue_tells_how() -> None:
    replies = (b"250 a\r\n", b"550 5.1.1 no\r\n", b"250 c\r\n", b"354 d\r\n", TAKEN)
    async with net(transactions(1, replies=replies)) as n:
        result = await n.send()
        assert result.state == "answered"
        assert codes(result) == [550, 250]
        assert [outcome.forward_path for outcome in result.outcomes] == [A, B]
        assert result.dialogue[0] == "S: 220 hop.example"
        assert result.dialogue[1] == "C: EHLO c.example"
        assert result.dialogue[-2:] == (f"C: ({len(RAW)} octets)", "S: 250 2.0.0 taken")


async def test_a_connection_is_used_again_and_each_dialogue_is_its_own() -> None:
    async with net(transactions(3)) as n:
        results = [await n.send() for _ in range(3)]
        assert n.connections == 1
        assert {result.state for result in results} == {"answered"}
        assert len({len(result.dialogue) for result in results}) == 1


async def test_a_connection_is_not_used_for_ever() -> None:
    async with net(transactions(2), transactions(2), settings=PoolSettings(max_transactions=2)) as n:
        for _ in range(3):
            assert codes(await n.send()) == [250, 250]
        assert n.connections == 2


async def test_a_connection_that_says_goodbye_is_not_used_again() -> None:
    async with net(transactions(1), transactions(1)) as n:
        await n.send()
        ((idle,),) = (lane.idle for lane in n.pool._lanes.values())
        idle.expire()  # its end is heard of only later
        idle.close()
        assert not idle.is_usable
        assert codes(await n.send()) == [250, 250]
        assert n.connections == 2


async def test_an_idle_connection_says_goodbye_after_a_while() -> None:
    heard: list[bytes] = []

    async def script(hop: Hop) -> None:
        await hop.open()
        await hop.transaction(*GOOD)
        heard.append(await hop.reader.read())

    async with net(script, transactions(1)) as n:
        await n.send()
        assert n.pool._lanes
        await n.clock.advance(11)
        await until(lambda: heard == [b"QUIT\r\n"] and not n.pool._lanes)
        assert codes(await n.send()) == [250, 250]
        assert n.connections == 2


@pytest.mark.parametrize("last_word", [b"421 4.4.2 idle\r\n", b"\r\n"])
async def test_an_idle_connection_that_ended_is_replaced(last_word: bytes) -> None:
    async with net(transactions(1, then=last_word), transactions(1)) as n:
        await n.send()
        assert codes(await n.send()) == [250, 250]
        assert n.connections == 2


@pytest.mark.parametrize("answer", [b"", b"421 4.4.2 idle\r\n"])
async def test_a_used_connection_that_fails_at_once_is_tried_again_on_a_fresh_one(answer: bytes) -> None:
    async def script(hop: Hop) -> None:
        await hop.open()
        await hop.transaction(*GOOD)
        await hop.reader.readline()
        hop.writer.write(answer)

    async with net(script, transactions(1)) as n:
        await n.send()
        result = await n.send()
        assert codes(result) == [250, 250]
        assert n.connections == 2


async def test_a_fresh_connection_that_fails_is_not_tried_again() -> None:
    async def script(hop: Hop) -> None:
        await hop.open()
        await hop.reader.readline()

    async with net(script) as n:
        result = await n.send()
        assert result.state == "lost"
        assert codes(result) == [None, None]
        assert result.outcomes[0].stage == "mail"
        assert result.dialogue[-1] == "(connection lost)"


async def test_lost_after_the_final_dot_is_uncertain_also_on_a_used_connection() -> None:
    async def script(hop: Hop) -> None:
        await hop.open()
        await hop.transaction(*GOOD)
        await hop.transaction(*GOOD[:4])

    async with net(script) as n:
        await n.send()
        result = await n.send()
        assert result.state == "uncertain"
        assert codes(result) == [None, None]
        assert result.outcomes[0].stage == "content"
        assert n.connections == 1


async def test_a_next_hop_that_never_answers_the_dot_is_uncertain_after_ten_minutes() -> None:
    async def script(hop: Hop) -> None:
        await hop.open()
        await hop.transaction(*GOOD[:4])
        asked.set()
        await hop.gone()

    asked = asyncio.Event()
    async with net(script) as n:
        sending = asyncio.create_task(n.send())
        await asked.wait()
        await n.clock.advance(599)
        assert not sending.done()
        await n.clock.advance(2)
        result = await sending
        assert result.state == "uncertain"
        assert result.dialogue[-1] == "(timed out waiting for the answer to content)"


async def test_drops_of_a_reply_are_no_progress() -> None:
    async def script(hop: Hop) -> None:
        hop.writer.write(b"220-")
        asked.set()
        await hop.gone()

    asked = asyncio.Event()
    async with net(script) as n:
        sending = asyncio.create_task(n.send())
        await asked.wait()
        await until(lambda: n.clock.sleepers == 1)
        await n.clock.advance(301)
        result = await sending
        assert (result.state, result.outcomes[0].stage) == ("lost", "greeting")


@pytest.mark.parametrize("greeting", [b"554 5.7.1 not you\r\n", b"421 4.3.2 busy\r\n"])
async def test_a_refused_session_is_everybodys_answer(greeting: bytes) -> None:
    async def script(hop: Hop) -> None:
        hop.writer.write(greeting)
        await hop.gone()

    async with net(script) as n:
        result = await n.send()
        assert result.state == "greeting-refused"
        assert codes(result) == [int(greeting[:3])] * 2
        assert result.outcomes[0].stage == "greeting"
        assert not n.pool._lanes


async def test_nobody_there_is_unreachable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with net() as n:
            n.hop = NextHop("hop.example", "127.0.0.1", unused.getsockname()[1])
            result = await n.send()
    assert result.state == "unreachable"
    assert result.outcomes[0].stage == "connect"
    assert result.dialogue[0].startswith("(no connection to hop.example at 127.0.0.1, port")


async def test_who_is_silent_at_the_door_is_unreachable_in_time() -> None:
    clock = ManualClock()
    waiting = asyncio.create_task(within(clock, 30, asyncio.Event().wait()))
    await until(lambda: clock.sleepers == 1)
    await clock.advance(31)
    assert await waiting is None
    assert await within(clock, 30, asyncio.sleep(0, "done")) == "done"


async def test_content_that_may_not_leave_is_answered_without_a_word() -> None:
    async with net(transactions(1)) as n:
        result = await n.send(raw=b"a\nb\r\n")
        assert result.state == "answered"
        assert codes(result) == [554, 554]
        assert result.outcomes[0].stage == "unsent"
        assert codes(await n.send()) == [250, 250]
        assert n.connections == 1


async def test_a_large_message_arrives_whole() -> None:
    received: list[bytes] = []

    async def script(hop: Hop) -> None:
        await hop.open()
        for reply in GOOD[:4]:
            await hop.reader.readline()
            hop.writer.write(reply)
        data = b""
        while not data.endswith(b"\r\n.\r\n"):
            data += await hop.reader.read(1 << 20)
        received.append(data)
        hop.writer.write(TAKEN)
        await hop.gone()

    raw = (b"x" * 76 + b"\r\n") * 60_000
    async with net(script) as n:
        assert (await n.send(raw=raw)).state == "answered"
    assert received == [raw + b".\r\n"]


async def test_connections_to_one_hop_are_few_and_waited_for() -> None:
    async with net(*[transactions(9)] * 2, settings=PoolSettings(max_per_host=2)) as n:
        results = await asyncio.gather(*(n.send() for _ in range(9)))
        assert {result.state for result in results} == {"answered"}
        assert n.connections == 2


async def test_a_cancelled_transaction_leaves_no_connection_behind() -> None:
    async def script(hop: Hop) -> None:
        await hop.open()
        await hop.transaction(*GOOD[:4])
        asked.set()
        await hop.gone()
        gone.set()

    asked, gone = asyncio.Event(), asyncio.Event()
    async with net(script) as n:
        sending = asyncio.create_task(n.send())
        await asked.wait()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        async with asyncio.timeout(5):
            await gone.wait()
        assert not n.pool._lanes


async def test_a_cancelled_opening_leaves_no_connection_behind() -> None:
    async def script(hop: Hop) -> None:
        silent.set()
        await hop.gone()
        gone.set()

    silent, gone = asyncio.Event(), asyncio.Event()
    async with net(script) as n:
        sending = asyncio.create_task(n.send())
        await silent.wait()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        async with asyncio.timeout(5):
            await gone.wait()


@pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {"use_uvloop": loop}) for loop in (False, True)], ids=["asyncio", "uvloop"]
)
async def test_our_own_server_takes_what_our_own_pool_sends() -> None:
    class Handler:
        deliveries: list[Delivery] = []  # noqa: RUF012 - one test, one handler

        def recipient(
            self, forward_path: Mailbox, reverse_path: Mailbox | None, client: Client
        ) -> Reply | None:
            return Reply(550, "5.1.1", ("no such mailbox",)) if forward_path == B else None

        async def accept(self, delivery: Delivery) -> Reply:
            self.deliveries.append(delivery)
            return Reply(250, "2.0.0", ("taken",))

        async def refused(self, refusal: ContentRefused, client: Client) -> None:
            raise AssertionError(refusal)

    clock, handler = ManualClock(), Handler()
    server = SmtpServer(IngressSettings(), handler, clock, "mx.example")
    host, port = await server.start("127.0.0.1:0")
    pool = Pool(PoolSettings(), clock)
    for _ in range(3):
        async with asyncio.timeout(5):
            result = await pool.send(NextHop("mx.example", host, port), "c.example", BOTH, RAW)
        assert codes(result) == [250, 550]
    assert [delivery.raw for delivery in handler.deliveries] == [RAW] * 3
    await pool.close()
    await server.drain(after(clock.now(), 60))


def test_the_waits_are_those_of_the_standard() -> None:
    timeouts = Timeouts()
    stages = [timeouts.of(stage) for stage in STAGES]
    assert stages == [300, 300, 300, 120, 600]
    assert timeouts.of("quit") == timeouts.mail
    assert timeouts.shortest == 10
