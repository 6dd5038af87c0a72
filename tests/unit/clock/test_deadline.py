# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio

import pytest

from rejoinder.clock.deadline import within
from rejoinder.clock.manual import ManualClock

pytestmark = pytest.mark.anyio


async def test_the_result_of_what_ends_in_time_is_given_and_nobody_waits_on() -> None:
    clock = ManualClock()
    done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(within(clock, 5, done))
    await clock.advance(4.9)
    done.set_result(7)
    assert await waiting == 7
    assert clock.sleepers == 0


async def test_what_does_not_end_in_time_is_cancelled_and_gives_none() -> None:
    clock, over = ManualClock(), asyncio.Event()

    async def work() -> bool:
        try:
            return await asyncio.Event().wait()
        finally:
            over.set()

    waiting = asyncio.create_task(within(clock, 5, work()))
    await clock.advance(0)  # it begins
    await clock.advance(5)
    assert await waiting is None
    assert over.is_set()
    assert waiting.cancelling() == 0


@pytest.mark.parametrize("seconds", [0, -1])
async def test_no_time_is_none_for_what_has_to_wait(seconds: float) -> None:
    assert await within(ManualClock(), seconds, asyncio.Event().wait()) is None


async def test_a_time_out_of_the_work_itself_is_its_failure() -> None:
    async def work() -> int:
        raise TimeoutError("the peer did not answer")

    with pytest.raises(TimeoutError, match="the peer"):
        await within(ManualClock(), 5, work())


async def test_who_is_cancelled_meanwhile_is_cancelled() -> None:
    clock = ManualClock()
    waiting = asyncio.create_task(within(clock, 5, asyncio.Event().wait()))
    await clock.advance(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert clock.sleepers == 0


async def test_an_alarm_rings_at_its_instant_once_unless_it_is_cancelled() -> None:
    clock = ManualClock()
    start, rung = clock.now(), list[float]()

    def ring() -> None:
        rung.append((clock.now() - start) / 1e6)

    clock.alarm(3, ring)
    clock.alarm(1, ring)
    clock.alarm(2, ring).cancel()
    assert clock.sleepers == 2
    await clock.advance(2)
    assert rung == [1]
    await clock.leap(10)
    assert rung == [1, 12]
    await clock.advance(100)
    assert rung == [1, 12]
