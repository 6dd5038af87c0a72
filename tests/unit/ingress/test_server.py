# SPDX-License-Identifier: Apache-2.0
"""The server over real sockets on loopback, on a clock that moves only when told to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
from structlog.testing import capture_logs

from rejoinder.clock import after
from rejoinder.clock.manual import ManualClock
from rejoinder.errors import StoreFull
from rejoinder.ingress.server import SmtpServer
from rejoinder.ingress.session import Client, Delivery
from rejoinder.ingress.settings import IngressSettings
from rejoinder.message.address import Mailbox
from rejoinder.smtp.event import ContentRefused
from rejoinder.smtp.reply import Reply

pytestmark = pytest.mark.anyio

TAKEN = Reply(250, "2.0.0", ("taken",))
HELLO = b"EHLO c.example\r\n"
ENVELOPE = b"MAIL FROM:<a@c.example>\r\nRCPT TO:<b@desk.example>\r\n"


class Handler:
    """Takes everything, once ``may_answer`` is set."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.refusals: list[ContentRefused] = []
        self.finished = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.error: Exception | None = None

    def recipient(self, forward_path: Mailbox, reverse_path: Mailbox | None, client: Client) -> Reply | None:
        if forward_path.local_part == "broken":
            raise RuntimeError("the routes are gone")
        return Reply(550, "5.1.1", ("no such mailbox",)) if forward_path.local_part == "nobody" else None

    async def accept(self, delivery: Delivery) -> Reply:
        self.deliveries.append(delivery)
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        self.finished += 1
        return TAKEN

    async def refused(self, refusal: ContentRefused, client: Client) -> None:
        self.refusals.append(refusal)
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error


class Peer:
    """A client that says octets and reads replies."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def hear(self) -> str:
        """The next reply, without what comes before its last line."""
        async with asyncio.timeout(5):
            while True:
                line = (await self._reader.readline()).decode("ascii")
                if line[3:4] != "-":
                    return line.strip()

    async def ask(self, *lines: bytes) -> str:
        reply = ""
        for line in lines:
            self.say(line)
            reply = await self.hear()
        return reply

    async def open_data(self) -> None:
        await self.hear()
        mail, rcpt = ENVELOPE.splitlines(keepends=True)
        assert (await self.ask(HELLO, mail, rcpt, b"DATA\r\n")).startswith("354")

    async def is_hung_up(self) -> bool:
        async with asyncio.timeout(5):
            return await self._reader.read() == b""


class House:
    """A server, its handler, its clock, and peers."""

    def __init__(self, **changes: object) -> None:
        self.clock = ManualClock()
        self.handler = Handler()
        settings = IngressSettings.model_validate(changes)
        self.server = SmtpServer(settings, self.handler, self.clock, "mx.example")
        self.address = ("", 0)
        self._peers: list[Peer] = []

    async def peer(self) -> Peer:
        peer = Peer(*await asyncio.open_connection(*self.address))
        self._peers.append(peer)
        return peer

    def holds(self, octets: int) -> bool:
        return self.server.held == octets

    async def drain(self, seconds: float = 60) -> None:
        await self.server.drain(after(self.clock.now(), seconds))

    async def close(self) -> None:
        self.handler.may_answer.set()
        for peer in self._peers:
            peer.writer.close()
            with contextlib.suppress(ConnectionError):
                await peer.writer.wait_closed()
        await self.drain()


@contextlib.asynccontextmanager
async def house(**changes: object) -> AsyncIterator[House]:
    made = House(**changes)
    made.address = await made.server.start("127.0.0.1:0")
    try:
        yield made
    finally:
        await made.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what happens in the server tells nobody
            await asyncio.sleep(0)


async def test_a_mail_is_delivered_with_all_that_is_known() -> None:
    async with house() as h:
        peer = await h.peer()
        await peer.open_data()
        await h.clock.advance(3)
        assert await peer.ask(b"..x\r\n.\r\n") == "250 2.0.0 taken"
        assert await peer.ask(b"QUIT\r\n") == "221 2.0.0 goodbye"
        assert await peer.is_hung_up()
        (delivery,) = h.handler.deliveries
        assert delivery.raw == b".x\r\n"
        assert delivery.received_at == h.clock.now()
        name = peer.writer.get_extra_info("sockname")
        assert delivery.client == Client("127.0.0.1", name[1], "c.example", True)
        assert delivery.transcript[-1] == "C: (5 octets)"
        assert h.server.held == 0


async def test_nothing_is_read_while_a_mail_is_decided() -> None:
    async with house() as h:
        h.handler.may_answer.clear()
        peer = await h.peer()
        await peer.open_data()
        peer.say(b"one\r\n.\r\n" + ENVELOPE + b"DATA\r\ntwo\r\n.\r\n")
        await until(lambda: len(h.handler.deliveries) == 1)
        # A decision has no deadline of ours: the handler has its own.
        await h.clock.advance(100_000)
        h.handler.may_answer.set()
        replies = [await peer.hear() for _ in range(5)]
        assert [reply[:3] for reply in replies] == ["250", "250", "250", "354", "250"]
        assert [delivery.raw for delivery in h.handler.deliveries] == [b"one\r\n", b"two\r\n"]


async def test_an_exception_in_accept_is_logged_and_answered() -> None:
    async with house() as h:
        h.handler.error = RuntimeError("secret of ours")
        peer = await h.peer()
        await peer.open_data()
        with capture_logs() as logs:
            reply = await peer.ask(b"x\r\n.\r\n")
        assert reply.startswith("451 4.3.0")
        assert "secret" not in reply
        assert [(entry["event"], entry["log_level"]) for entry in logs] == [
            ("ingress.accept_failed", "error")
        ]
        h.handler.error = None
        assert (await peer.ask(*ENVELOPE.splitlines(keepends=True), b"DATA\r\n")).startswith("354")
        assert (await peer.ask(b".\r\n")).startswith("250")


async def test_an_expected_error_in_accept_is_logged_without_a_traceback() -> None:
    async with house() as h:
        h.handler.error = StoreFull("no room on /var")
        peer = await h.peer()
        await peer.open_data()
        with capture_logs() as logs:
            assert (await peer.ask(b"x\r\n.\r\n")).startswith("451 4.3.0")
        (entry,) = logs
        assert (entry["event"], entry["code"]) == ("ingress.accept_failed", "store-full")
        assert "exc_info" not in entry


async def test_an_exception_about_a_recipient_is_logged_and_answered() -> None:
    async with house() as h:
        peer = await h.peer()
        await peer.hear()
        with capture_logs() as logs:
            reply = await peer.ask(HELLO, b"MAIL FROM:<>\r\n", b"RCPT TO:<broken@desk.example>\r\n")
        assert reply.startswith("451 4.3.0")
        assert [entry["event"] for entry in logs] == ["ingress.recipient_failed"]
        assert (await peer.ask(b"RCPT TO:<b@desk.example>\r\n")).startswith("250")


async def test_a_mail_is_decided_though_its_client_has_gone() -> None:
    async with house() as h:
        h.handler.may_answer.clear()
        peer = await h.peer()
        await peer.open_data()
        peer.say(b"x\r\n.\r\n")
        await until(lambda: len(h.handler.deliveries) == 1)
        assert h.server.held == 3
        peer.writer.transport.abort()
        h.handler.may_answer.set()
        await until(lambda: h.handler.finished == 1 and h.server.held == 0)


async def test_a_half_closed_client_gets_its_answer() -> None:
    async with house() as h:
        peer = await h.peer()
        peer.say(HELLO + ENVELOPE + b"DATA\r\nx\r\n.\r\n")
        peer.writer.write_eof()
        replies = [await peer.hear() for _ in range(6)]
        assert replies[-1] == "250 2.0.0 taken"
        assert await peer.is_hung_up()


async def test_a_silent_client_is_told_and_hung_up_on() -> None:
    async with house() as h:
        peer = await h.peer()
        assert (await peer.ask(b"NOOP\r\n")).startswith("220")
        await peer.hear()
        await h.clock.advance(299)
        assert (await peer.ask(b"NOOP\r\n")).startswith("250")
        await h.clock.advance(299)
        await h.clock.advance(2)
        assert (await peer.hear()).startswith("421 4.4.2")
        assert await peer.is_hung_up()


async def test_drops_of_a_command_are_no_progress() -> None:
    async with house() as h:
        peer = await h.peer()
        await peer.hear()
        for _ in range(3):
            peer.say(b"N")
            await h.clock.advance(99)
        peer.say(b"N")
        await h.clock.advance(4)
        assert (await peer.hear()).startswith("421 4.4.2 nothing came")


async def test_drops_of_content_are_progress_until_the_message_has_taken_too_long() -> None:
    async with house(message_timeout="30m") as h:
        peer = await h.peer()
        await peer.open_data()
        before = h.server.held
        for drops in range(1, 19):
            peer.say(b"x")
            await until(partial(h.holds, before + drops))
            await h.clock.advance(100)
        await h.clock.advance(1)
        assert (await peer.hear()).startswith("421 4.4.2 the mail transaction took too long")
        assert h.server.held == 0
        assert h.handler.deliveries == []


async def test_content_that_stops_is_waited_for_three_minutes() -> None:
    async with house() as h:
        peer = await h.peer()
        await peer.open_data()
        await h.clock.advance(179)
        await h.clock.advance(2)
        assert (await peer.hear()).startswith("421 4.4.2 nothing came")


async def test_who_does_not_hang_up_after_our_last_word_is_cut() -> None:
    async with house() as h:
        peer = await h.peer()
        peer.say(b"GET / HTTP/1.1\r\n")
        await peer.hear()
        assert (await peer.hear()).startswith("421")
        assert await peer.is_hung_up()
        peer.say(b"Host: x\r\n" * 10_000)  # read and thrown away, so that TCP does not lose the 421
        await h.clock.advance(11)
        await until(lambda: not h.server._sessions)


async def test_sessions_are_limited_in_all_and_for_one_address() -> None:
    async with house(max_connections=2) as h:
        first, second = await h.peer(), await h.peer()
        assert (await first.hear()).startswith("220")
        assert (await second.hear()).startswith("220")
        third = await h.peer()
        assert (await third.hear()).startswith("421 4.3.2")
        assert await third.is_hung_up()
        third.writer.close()
        assert (await first.ask(b"QUIT\r\n")).startswith("221")
        await until(lambda: len(h.server._sessions) == 1)
        assert (await (await h.peer()).hear()).startswith("220")
    async with house(max_connections_per_ip=1) as h:
        assert (await (await h.peer()).hear()).startswith("220")
        assert (await (await h.peer()).hear()).startswith("421 4.7.0")


async def test_content_in_memory_is_limited_over_all_sessions() -> None:
    async with house(max_held="1MiB", max_size="25MiB") as h:
        greedy, modest = await h.peer(), await h.peer()
        await greedy.open_data()
        greedy.say(b"x" * 500_000)
        await until(lambda: h.server.held > 500_000)
        # Declared too big for what is left; then not declared, but growing.
        await modest.hear()
        assert (await modest.ask(HELLO, b"MAIL FROM:<> SIZE=600000\r\n")).startswith("250")
        reply = await modest.ask(b"RCPT TO:<b@desk.example>\r\n", b"DATA\r\n")
        assert reply.startswith("452 4.3.1")
        greedy.say(b"x" * 600_000)
        await until(lambda: h.server.held < 100)
        assert (await modest.ask(b"DATA\r\n")).startswith("354")
        assert (await modest.ask(b"y\r\n.\r\n")).startswith("250")
        assert (await greedy.ask(b"x" * 2_000_000 + b"\r\n.\r\n")).startswith("452 4.3.1")
        assert (await greedy.ask(b"NOOP\r\n")).startswith("250")
        told = [(each.reply.code, each.envelope.size, each.size) for each in h.handler.refusals]
        assert told == [(452, 600_000, 0), (452, None, 3_100_002)]


async def test_what_is_refused_is_answered_when_it_is_noted() -> None:
    async with house() as h:
        h.handler.may_answer.clear()
        peer = await h.peer()
        await peer.open_data()
        peer.say(b"a\0b\r\n.\r\nNOOP\r\n")
        await until(lambda: h.handler.refusals != [])
        await h.clock.advance(1000)  # the time is ours
        h.handler.may_answer.set()
        assert (await peer.hear()).startswith("550 5.6.0")
        assert (await peer.hear()).startswith("250")
        (refusal,) = h.handler.refusals
        assert (refusal.size, refusal.transcript[-1]) == (5, "C: (5 octets)")


async def test_what_cannot_be_noted_is_refused_all_the_same() -> None:
    async with house() as h:
        h.handler.error = RuntimeError("no paper")
        peer = await h.peer()
        await peer.open_data()
        with capture_logs() as logs:
            assert (await peer.ask(b"a\0b\r\n.\r\n")).startswith("550 5.6.0")
        assert [(entry["event"], entry["log_level"]) for entry in logs] == [
            ("ingress.refusal_failed", "error")
        ]


async def test_the_first_refused_recipient_of_each_mail_transaction_is_logged() -> None:
    async with house() as h:
        peer = await h.peer()
        await peer.hear()
        nobody, mail = b"RCPT TO:<nobody@desk.example>\r\n", b"MAIL FROM:<a@c.example>\r\n"
        with capture_logs() as logs:
            await peer.ask(HELLO, mail, nobody, nobody, b"RSET\r\n", mail, nobody)
        assert (
            logs
            == [
                {
                    "event": "ingress.recipient_refused",
                    "log_level": "info",
                    "ip": "127.0.0.1",
                    "helo": "c.example",
                    "reverse_path": "a@c.example",
                    "forward_path": "nobody@desk.example",
                    "answer": "550 5.1.1 no such mailbox",
                }
            ]
            * 2
        )
        assert h.handler.refusals == []


async def test_a_peer_that_does_not_read_is_not_read_from() -> None:
    async with house() as h:
        peer = await h.peer()
        await peer.hear()
        (session,) = h.server._sessions
        assert session._transport is not None
        session.pause_writing()  # as asyncio does when the replies pile up
        assert not session._transport.is_reading()
        session.data_received(b"NOOP\r\n" * 3)  # as it does with what was read already
        assert session._receiver.commands == 0
        session.resume_writing()
        assert session._transport.is_reading()
        assert [await peer.hear() for _ in range(3)] == ["250 2.0.0 done"] * 3


async def test_draining_ends_sessions_at_rest_and_answers_mail_first() -> None:
    async with house() as h:
        h.handler.may_answer.clear()
        resting, busy, sending = await h.peer(), await h.peer(), await h.peer()
        await resting.hear()
        await busy.open_data()
        await sending.open_data()
        busy.say(b"x\r\n.\r\n")
        await until(lambda: len(h.handler.deliveries) == 1)
        draining = asyncio.create_task(h.drain(60))
        assert (await resting.hear()).startswith("421 4.3.2")
        assert await resting.is_hung_up()
        with pytest.raises(ConnectionRefusedError):
            await h.peer()
        h.handler.may_answer.set()
        assert (await busy.hear()) == "250 2.0.0 taken"
        assert (await busy.hear()).startswith("421 4.3.2")
        assert not draining.done()
        assert (await sending.ask(b"y\r\n.\r\n")) == "250 2.0.0 taken"
        assert (await sending.hear()).startswith("421 4.3.2")
        for peer in (resting, busy, sending):
            peer.writer.close()
        async with asyncio.timeout(5):
            await draining
        assert h.handler.finished == 2


async def test_draining_does_not_wait_beyond_its_deadline() -> None:
    async with house() as h:
        h.handler.may_answer.clear()
        peer = await h.peer()
        await peer.open_data()
        peer.say(b"x\r\n.\r\n")
        await until(lambda: len(h.handler.deliveries) == 1)
        sleepers = h.clock.sleepers
        draining = asyncio.create_task(h.drain(60))
        await until(lambda: h.clock.sleepers > sleepers)
        await h.clock.advance(61)
        async with asyncio.timeout(5):
            await draining
        assert h.handler.finished == 0
        with contextlib.suppress(ConnectionError):
            assert await peer.is_hung_up()


async def test_an_address_that_is_taken_is_an_error_of_the_caller() -> None:
    async with house() as h:
        with pytest.raises(OSError, match="in use"):
            await h.server.start(f"127.0.0.1:{h.address[1]}")


async def test_replies_do_not_wait_for_each_other() -> None:
    async with house() as h:
        peer = await h.peer()
        await peer.hear()
        (session,) = h.server._sessions
        assert session._transport is not None
        sock = session._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
