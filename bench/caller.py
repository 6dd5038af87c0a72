# SPDX-License-Identifier: Apache-2.0
"""A client of HTTP as thin as it can be: keep-alive, one request at a time, no checks but of the status.

It runs in the process that measures and costs it about a tenth of what a server spends, so that the server
has a core for itself. Requests are bytes that were made before.
"""

from __future__ import annotations

import asyncio
import json
import re

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)\r\n")


def request(port: int, path: str, key: str, idempotency_key: str, body: object) -> bytes:
    """A POST of JSON."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nIdempotency-Key: {idempotency_key}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


class Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, port: int) -> Caller:
        """Connect."""
        _, caller = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return caller

    async def ask(self, asked: bytes) -> bytes:
        """The body of the answer.

        Raises:
            RuntimeError: the status is not 200; the text is the answer.
            ConnectionError: the server hung up.
        """
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(asked)
        return await self._answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to write to (asyncio)."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Read until the answer is whole (asyncio)."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        if not found or self._answer is None or (length and len(body) < int(length[1])):
            return
        self._buffer = b""
        if head.startswith(b"HTTP/1.1 200 "):
            self._answer.set_result(body)
        else:
            self._answer.set_exception(RuntimeError((head + b"\n" + body).decode()))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits (asyncio)."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the server hung up"))
