# SPDX-License-Identifier: Apache-2.0
"""A gate between a worker and a test: the worker says where it is, and waits until it may go on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final, Self

GATE: Final = """
import asyncio

async def gate(env, place):
    reader, writer = await asyncio.open_unix_connection(env.gate)
    writer.write(place.encode() + b"\\n")
    await reader.readline()
    writer.close()
"""
"""For the top of a worker's file: ``await gate(env, "place")`` waits for ``Gate.let_go``."""


class Gate:
    """The test's side."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._arrived: asyncio.Queue[tuple[str, asyncio.StreamWriter]] = asyncio.Queue()
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._arrival, self.path)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()

    async def arrival(self, place: str) -> asyncio.StreamWriter:
        """Return when a worker has come to this place; it waits there."""
        came, writer = await self._arrived.get()
        assert came == place
        return writer

    async def let_all_go(self) -> None:
        """Let whoever comes go on at once, until cancelled."""
        while True:
            _, writer = await self._arrived.get()
            self.let_go(writer)

    @staticmethod
    def let_go(waiting: asyncio.StreamWriter) -> None:
        """Let the worker that arrived go on."""
        waiting.write(b"go\n")
        waiting.close()

    async def _arrival(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self._arrived.put_nowait(((await reader.readline()).decode().strip(), writer))
