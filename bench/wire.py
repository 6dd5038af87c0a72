# SPDX-License-Identifier: Apache-2.0
"""The two ends of the road, as thin as they can be: a sender, and a sink that notes when a mail has come.

They run in the process that measures and cost it little, so that the server under test has a core for
itself. Neither checks what a real one would.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass

_ANSWERS = re.compile(rb"(?im)^In-Reply-To:\s*(<[^>\r\n]+>)")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A mail at the sink."""

    at: float
    raw: bytes

    @property
    def answers(self) -> str:
        """The Message-ID of the mail that it answers; empty for none."""
        found = _ANSWERS.search(self.raw.partition(b"\r\n\r\n")[0] + b"\r\n")
        return found[1].decode() if found else ""


class Sink:
    """Takes everything."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self._wanted = 0
        self._enough = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen on a free port of 127.0.0.1."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _SinkSession(self), "127.0.0.1", 0
        )
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Take no more connections."""
        if self._server is not None:
            self._server.close()

    async def until(self, count: int, seconds: float) -> None:
        """Return when so many mails have come in all, or after so many seconds."""
        self._wanted = count
        self._enough.clear()
        self._look()
        try:
            await asyncio.wait_for(self._enough.wait(), seconds)
        except TimeoutError:
            return

    def take(self, raw: bytes) -> None:
        """A mail has come."""
        self.arrivals.append(Arrival(time.perf_counter(), raw.replace(b"\r\n..", b"\r\n.")))
        self._look()

    def _look(self) -> None:
        if len(self.arrivals) >= self._wanted:
            self._enough.set()


class _SinkSession(asyncio.Protocol):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._buffer = b""
        self._is_content = False
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._say(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._step():
            pass

    def _step(self) -> bool:
        end = b"\r\n.\r\n" if self._is_content else b"\r\n"
        taken, found, rest = self._buffer.partition(end)
        if not found:
            return False
        self._buffer = rest
        if self._is_content:
            self._sink.take(taken + b"\r\n")
            self._is_content = False
            self._say(b"250 2.0.0 Kept\r\n")
        else:
            self._command(taken[:4].upper())
        return True

    def _command(self, verb: bytes) -> None:
        self._is_content = verb == b"DATA"
        match verb:
            case b"EHLO":
                self._say(b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n")
            case b"DATA":
                self._say(b"354 Go on\r\n")
            case b"QUIT":
                self._say(b"221 2.0.0 Bye\r\n")
                if self._transport is not None:
                    self._transport.close()
            case _:
                self._say(b"250 2.0.0 Ok\r\n")

    def _say(self, reply: bytes) -> None:
        if self._transport is not None:
            self._transport.write(reply)


class Sender:
    """One connection of a mail server that has mail for the one under test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._pipelines = False

    @classmethod
    async def open(cls, port: int) -> Sender:
        """Connect and introduce itself."""
        sender = cls(*await asyncio.open_connection("127.0.0.1", port))
        await sender._reply()
        sender._writer.write(b"EHLO mail.customer.example\r\n")
        greeting = await sender._reply()
        sender._pipelines = b"PIPELINING" in greeting
        return sender

    async def send(
        self, reverse_path: str, raw: bytes, to: str = "support@desk.example"
    ) -> tuple[bool, float]:
        """Send a mail; whether it got 250, and when its final dot was written."""
        commands = [f"MAIL FROM:<{reverse_path}>\r\n", f"RCPT TO:<{to}>\r\n", "DATA\r\n"]
        if self._pipelines:
            self._writer.write("".join(commands).encode())
        for command in commands:
            if not self._pipelines:
                self._writer.write(command.encode())
            await self._reply()
        self._writer.write(raw + b".\r\n")
        at = time.perf_counter()
        return (await self._reply()).startswith(b"250"), at

    def close(self) -> None:
        """Hang up."""
        self._writer.close()

    async def _reply(self) -> bytes:
        lines = b""
        while True:
            line = await self._reader.readline()
            lines += line
            if line[3:4] != b"-":
                return lines
