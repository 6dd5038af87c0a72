# SPDX-License-Identifier: Apache-2.0
"""Deadlines of many connections, kept by one sleeping task instead of a timer for each.

A connection moves its own ``deadline`` whenever it gets on, which costs an assignment. The surprise is how
the watchdog is still never late: it sleeps no longer than ``shortest``, the shortest time by which any
deadline is ever set ahead, so a deadline set while it sleeps cannot lie before it wakes.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from rejoinder.clock import SECOND, Clock

NEVER: Final = 1 << 62
"""A deadline that does not come."""


class Watched(Protocol):
    """Something with a deadline, in microseconds since the epoch, UTC."""

    deadline: int

    def expire(self) -> None:
        """The deadline has passed; unless it is moved now, this is the last call."""
        ...


class Watchdog:
    """Tells those it watches when their deadline has passed."""

    def __init__(self, clock: Clock, shortest: float) -> None:
        self._clock = clock
        self._shortest = shortest
        self._watched: set[Watched] = set()
        self._has_work = asyncio.Event()

    def watch(self, watched: Watched) -> None:
        """Watch this one from now on; its deadline lies at least ``shortest`` ahead."""
        self._watched.add(watched)
        self._has_work.set()

    def forget(self, watched: Watched) -> None:
        """Watch it no longer."""
        self._watched.discard(watched)

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            if not self._watched:
                self._has_work.clear()
                await self._has_work.wait()
            now = self._clock.now()
            earliest = min((self._look(one, now) for one in tuple(self._watched)), default=NEVER)
            await self._clock.sleep(min((earliest - now) / SECOND, self._shortest))

    def _look(self, one: Watched, now: int) -> int:
        if one.deadline <= now:
            one.expire()
            if one.deadline <= now:
                self.forget(one)
                return NEVER
        return one.deadline
