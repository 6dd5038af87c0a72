# SPDX-License-Identifier: Apache-2.0
"""Who has the turn of a mail goes on, who comes second waits, and nothing is remembered afterwards."""

from __future__ import annotations

import asyncio

import pytest

from rejoinder.queue.turns import Turns

pytestmark = pytest.mark.anyio


class Visitors:
    """Takers of turns who stay until they are let go."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.inside: list[str] = []
        self._gates: dict[str, asyncio.Event] = {}

    def come(self, name: str, *keys: str) -> asyncio.Task[None]:
        self._gates[name] = asyncio.Event()
        return asyncio.create_task(self._stay(name, keys))

    async def leave(self, name: str) -> None:
        self._gates[name].set()
        await self.others()

    async def others(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def _stay(self, name: str, keys: tuple[str, ...]) -> None:
        async with self.turns.taken(keys):
            self.inside.append(name)
            await self._gates[name].wait()
            self.inside.remove(name)


@pytest.fixture
def visitors() -> Visitors:
    return Visitors()


async def test_one_at_a_time_has_the_turn_of_a_key(visitors: Visitors) -> None:
    tasks = [visitors.come("first", "a"), visitors.come("second", "a"), visitors.come("other", "b")]
    await visitors.others()
    assert visitors.inside == ["first", "other"]
    await visitors.leave("first")
    assert visitors.inside == ["other", "second"]
    await visitors.leave("other")
    await visitors.leave("second")
    await asyncio.gather(*tasks)
    assert visitors.turns._turns == {}


async def test_several_keys_in_any_order_make_no_circle(visitors: Visitors) -> None:
    tasks = [visitors.come("first", "a", "b", "a"), visitors.come("second", "b", "a")]
    await visitors.others()
    assert visitors.inside == ["first"]
    await visitors.leave("first")
    assert visitors.inside == ["second"]
    await visitors.leave("second")
    await asyncio.gather(*tasks)


async def test_who_stops_waiting_leaves_the_turn_to_the_next(visitors: Visitors) -> None:
    first, second, third = (visitors.come(name, "a", "b") for name in ("first", "second", "third"))
    await visitors.others()
    second.cancel()
    await visitors.leave("first")
    assert visitors.inside == ["third"]
    third.cancel()
    await asyncio.gather(first, second, third, return_exceptions=True)
    assert visitors.turns._turns == {}


async def test_no_keys_wait_for_nobody(visitors: Visitors) -> None:
    task = visitors.come("first")
    await visitors.others()
    assert visitors.inside == ["first"]
    await visitors.leave("first")
    await task
