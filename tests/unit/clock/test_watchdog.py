# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio

import pytest

from rejoinder.clock import after
from rejoinder.clock.manual import ManualClock
from rejoinder.clock.watchdog import NEVER, Watchdog

pytestmark = pytest.mark.anyio


class Dog:
    def __init__(self, clock: ManualClock, seconds: float, again: float | None = None) -> None:
        self._clock = clock
        self._again = again
        self.deadline = after(clock.now(), seconds)
        self.expired: list[int] = []

    def expire(self) -> None:
        self.expired.append(self._clock.now())
        if self._again is not None:
            self.deadline, self._again = after(self._clock.now(), self._again), None


async def test_each_deadline_is_kept_to_the_microsecond() -> None:
    clock = ManualClock()
    start = clock.now()
    watchdog = Watchdog(clock, 10)
    running = asyncio.create_task(watchdog.run())
    await clock.advance(1000)  # nobody to watch: it does not even sleep
    assert clock.sleepers == 0
    first, moved, late, forgotten = Dog(clock, 35), Dog(clock, 20), Dog(clock, 12, again=15), Dog(clock, 11)
    for dog in (first, moved, late, forgotten):
        watchdog.watch(dog)
    await clock.advance(7)
    moved.deadline = after(clock.now(), 10.5)  # sooner than it was, while the watchdog sleeps
    watchdog.forget(forgotten)
    await clock.advance(100)
    seconds = [[(at - start) / 1e6 - 1000 for at in dog.expired] for dog in (first, moved, late, forgotten)]
    assert seconds == [[35], [17.5], [12, 27], []]
    assert clock.sleepers == 0
    running.cancel()


async def test_never_does_not_come() -> None:
    clock = ManualClock()
    watchdog = Watchdog(clock, 1000)
    running = asyncio.create_task(watchdog.run())
    dog = Dog(clock, 0)
    dog.deadline = NEVER
    watchdog.watch(dog)
    await clock.advance(10_000_000)
    assert dog.expired == []
    running.cancel()
