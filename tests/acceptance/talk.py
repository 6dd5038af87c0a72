# SPDX-License-Identifier: Apache-2.0
"""One SMTP session by hand: whatever octets, and the replies that they get."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self


class Talk:
    """A client that says what it wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, address: tuple[str, int]) -> Self:
        """Connect, read the greeting and introduce ourselves."""
        talk = cls(*await asyncio.open_connection(*address))
        assert (await talk.reply()).startswith("220 ")
        assert (await talk.say(b"EHLO mail.customer.example")).startswith("250 ")
        return talk

    async def __aenter__(self) -> Self:
        """Itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hang up."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def say(self, command: bytes) -> str:
        """Send a command, and read its reply."""
        await self.put(command + b"\r\n")
        return await self.reply()

    async def put(self, octets: bytes) -> None:
        """Send octets as they are."""
        self._writer.write(octets)
        await self._writer.drain()

    async def reply(self) -> str:
        """The last line of the next reply; empty when the server has hung up."""
        while True:
            line = (await self._reader.readline()).decode("ascii")
            if line[3:4] != "-":
                return line.rstrip("\r\n")

    async def offer(self) -> str:
        """Say who writes to whom, and DATA; the reply to DATA."""
        assert (await self.say(b"MAIL FROM:<alice@customer.example>")).startswith("250 ")
        assert (await self.say(b"RCPT TO:<support@desk.example>")).startswith("250 ")
        return await self.say(b"DATA")

    async def deliver(self, wire: bytes) -> str:
        """A whole mail transaction; ``wire`` is sent as it is, then CRLF.CRLF. The reply to the content."""
        assert (await self.offer()).startswith("354 ")
        await self.put(wire + b"\r\n.\r\n")
        return await self.reply()
