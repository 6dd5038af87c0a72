# SPDX-License-Identifier: Apache-2.0
"""The client that sends what no decent client sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from rejoinder.clock.live import LiveClock
from rejoinder.internet.blunt import send_as_it_is
from rejoinder.internet.sink import Sink
from rejoinder.message.address import Mailbox

pytestmark = pytest.mark.anyio

TO = Mailbox("support", "desk.example")
HEAD = b"From: joe@example.org\r\n\r\n"


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    sink = Sink(LiveClock(), "mail.example")
    yield sink
    await sink.close()


@pytest.mark.parametrize(
    "raw",
    [
        HEAD + b"Text\r\n",
        # Each of these needs a dot more on the wire.
        b".\r\n" + HEAD + b".\r\n..\r\n",
        HEAD + b"\x01\x7f\xff\r\n",
    ],
)
async def test_what_arrives_is_what_was_sent(sink: Sink, raw: bytes) -> None:
    address = await sink.start()
    reply = await send_as_it_is(address, "client.example", raw, reverse_path=None, to=TO)
    assert str(reply) == "250 2.0.0 Kept"
    delivery = await sink.next()
    assert delivery.raw == raw
    assert delivery.envelope.reverse_path is None


@pytest.mark.parametrize("octet", [b"\r", b"\n", b"\x00"])
async def test_what_content_may_not_hold_is_left_to_the_server_to_refuse(sink: Sink, octet: bytes) -> None:
    address = await sink.start()
    raw = HEAD + b"a" + octet + b"b\r\n"
    reply = await send_as_it_is(address, "client.example", raw, reverse_path=None, to=TO)
    assert reply is not None
    assert (reply.code, reply.enhanced) == (550, "5.6.0")


async def test_the_first_refusal_is_the_answer(sink: Sink) -> None:
    address = await sink.start()
    raw = b"x" * (26 << 20)
    reply = await send_as_it_is(address, "client.example", raw, reverse_path=None, to=TO)
    assert reply is not None
    assert reply.code == 552


async def test_nobody_there_is_no_answer(sink: Sink) -> None:
    address = await sink.start()
    await sink.close()
    assert await send_as_it_is(address, "client.example", HEAD, reverse_path=None, to=TO) is None


@pytest.mark.parametrize("greeting", [b"", b"hello\r\n"])
async def test_a_server_that_hangs_up_or_talks_nonsense_is_no_answer(greeting: bytes) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        assert await send_as_it_is((host, port), "c.example", HEAD, reverse_path=None, to=TO) is None
