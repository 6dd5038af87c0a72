# SPDX-License-Identifier: Apache-2.0
"""A clock that stands still until it is told to move.

Sleepers wake in the order of their deadlines when ``advance`` passes them; each one's task gets to
run before the next deadline is looked at, so a sleeper that sleeps again within the advance is woken
again. It uses the loop of whoever sleeps on it and starts nothing of its own.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

from rejoinder.clock import Alarm, after


class ManualClock:
    """Time that moves only by ``advance``."""

    def __init__(self, start: int = 1_767_225_600_000_000) -> None:
        self._now = start
        self._sleepers: list[tuple[int, int, _Alarm]] = []
        self._order = count()

    def now(self) -> int:
        """Microseconds since the epoch, UTC."""
        return self._now

    @property
    def sleepers(self) -> int:
        """How many wait for time to pass."""
        return sum(alarm.is_set for _, _, alarm in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Wait until ``advance`` has moved the clock that far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        over = asyncio.Event()
        alarm = self.alarm(seconds, over.set)
        try:
            await over.wait()
        finally:
            alarm.cancel()

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Alarm:
        """Call ``ring`` when ``advance`` has moved the clock that far."""
        if seconds <= 0:
            return asyncio.get_running_loop().call_soon(ring)
        alarm = _Alarm(ring)
        heapq.heappush(self._sleepers, (after(self._now, seconds), next(self._order), alarm))
        return alarm

    async def advance(self, seconds: float) -> None:
        """Move time on, waking every sleeper whose deadline is passed, in order."""
        end = after(self._now, seconds)
        while self._sleepers and self._sleepers[0][0] <= end:
            deadline, _, alarm = heapq.heappop(self._sleepers)
            self._now = max(self._now, deadline)
            if alarm.is_set:
                alarm.ring()
                await _let_others_run()
        self._now = end
        await _let_others_run()

    async def leap(self, seconds: float) -> None:
        """Be that much later at once, as after the machine has slept: whoever slept wakes late, and once."""
        self._now = after(self._now, seconds)
        due = [sleeper for sleeper in self._sleepers if sleeper[0] <= self._now]
        self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > self._now]
        heapq.heapify(self._sleepers)
        for _, _, alarm in sorted(due):
            alarm.ring()
        await _let_others_run()


class _Alarm:
    """What is called once, unless it is cancelled before."""

    def __init__(self, ring: Callable[[], object]) -> None:
        self._ring: Callable[[], object] | None = ring

    @property
    def is_set(self) -> bool:
        return self._ring is not None

    def ring(self) -> None:
        ring, self._ring = self._ring, None
        if ring is not None:
            ring()

    def cancel(self) -> None:
        self._ring = None


async def _let_others_run() -> None:
    # A woken task may need several turns of the loop before it sleeps again.
    for _ in range(10):
        await asyncio.sleep(0)
