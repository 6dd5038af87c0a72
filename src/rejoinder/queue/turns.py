# SPDX-License-Identifier: Apache-2.0
"""Turns: of several who want to do the same thing at once, one goes on and the others wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Turns:
    """One turn for each key, forgotten when nobody has it or waits for it."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}

    @asynccontextmanager
    async def taken(self, keys: Iterable[str]) -> AsyncIterator[None]:
        """Hold the turn of every key; in the order of the keys, so that nobody waits in a circle."""
        ordered = sorted(set(keys))
        turns = [self._turns.setdefault(key, _Turn()) for key in ordered]
        for turn in turns:
            turn.users += 1
        try:
            async with AsyncExitStack() as stack:
                for turn in turns:
                    await stack.enter_async_context(turn.lock)
                yield
        finally:
            for key, turn in zip(ordered, turns, strict=True):
                turn.users -= 1
                if turn.users == 0:
                    del self._turns[key]
