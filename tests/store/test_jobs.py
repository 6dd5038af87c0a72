# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from rejoinder.clock import after
from rejoinder.clock.manual import ManualClock
from rejoinder.errors import LeaseLost
from rejoinder.store import jobs, migration, query, seen
from rejoinder.store.records import Job, JobState
from rejoinder.store.session import Session
from rejoinder.store.unit import Store, Unit
from tests.store.samples import JOB, NOW, SEEN, job

pytestmark = pytest.mark.anyio

LEASE: Final = 30.0
ROOMS: Final = {"run": 64, "deliver": 4}


async def enqueue(store: Store, *some: Job) -> None:
    def unit() -> Unit[None]:
        for one in some:
            yield from jobs.enqueue(one)

    await store.transaction(unit)


async def claim(
    store: Store, limit: int = 100, *, owner: str = "a", kinds: tuple[str, ...] = ("run", "deliver")
) -> list[Job]:
    return await store.transaction(lambda: jobs.claim(kinds, owner, limit, LEASE, ROOMS))


async def due(store: Store) -> int | None:
    return await store.read(lambda: jobs.next_due(("run", "deliver")))


def claimed(one: Job, *, owner: str = "a", attempt: int = 1, at: int = NOW) -> Job:
    return replace(one, state=JobState.LEASED, owner=owner, attempt=attempt, lease_until=after(at, LEASE))


class TestClaim:
    async def test_a_claimed_job_is_leased_and_counts_an_attempt(self, store: Store) -> None:
        await enqueue(store, JOB)
        assert await claim(store) == [claimed(JOB)]
        assert await claim(store) == []

    async def test_only_the_kinds_that_are_asked_for_are_claimed(self, store: Store) -> None:
        await enqueue(store, job(1, "deliver:x.example"), job(2))
        assert [one.id for one in await claim(store, kinds=("run",))] == ["job_00002"]

    async def test_a_job_is_claimed_when_it_is_due(self, store: Store, clock: ManualClock) -> None:
        await enqueue(store, job(1, due_at=after(NOW, 5)))
        assert await claim(store) == []
        await clock.advance(5)
        assert len(await claim(store)) == 1

    async def test_of_a_lane_the_longest_due_come_first(self, store: Store) -> None:
        await enqueue(store, *(job(n, due_at=NOW - n) for n in range(6)))
        assert [one.id for one in await claim(store, 3)] == ["job_00005", "job_00004", "job_00003"]

    async def test_two_who_claim_at_once_never_get_the_same_job(self, store: Store) -> None:
        await enqueue(store, *(job(n, f"run:{n % 3}") for n in range(40)))
        rounds = await asyncio.gather(*(claim(store, 3, owner=f"o{n}") for n in range(20)))
        ids = [one.id for got in rounds for one in got]
        assert sorted(ids) == [f"job_{n:05d}" for n in range(40)]


class TestLanes:
    async def test_a_lane_never_has_more_leased_jobs_than_room(self, store: Store) -> None:
        await enqueue(store, *(job(n, "deliver:x.example") for n in range(9)))
        first = await claim(store)
        assert len(first) == 4
        assert await claim(store) == []
        await store.transaction(lambda: jobs.finish(first[0]))
        assert len(await claim(store)) == 1

    async def test_a_lane_that_backs_off_is_left_alone_until_then(
        self, store: Store, clock: ManualClock
    ) -> None:
        await enqueue(store, job(1, "deliver:x.example"), job(2, "deliver:y.example"))
        await store.transaction(lambda: jobs.back_off("deliver:x.example", after(NOW, 60)))
        assert [one.lane for one in await claim(store)] == ["deliver:y.example"]
        assert await due(store) == after(NOW, LEASE)
        # A new job does not open the lane.
        await enqueue(store, job(3, "deliver:x.example"))
        await clock.advance(59)
        assert [one.lane for one in await claim(store)] == ["deliver:y.example"]
        await clock.advance(1)
        assert [one.id for one in await claim(store)] == ["job_00001", "job_00003"]

    async def test_a_lane_opens_when_it_is_told_and_the_later_instant_counts_until_then(
        self, store: Store
    ) -> None:
        await enqueue(store, job(1, "deliver:x.example"))
        for wait in (60, 30):
            await store.transaction(lambda wait=wait: jobs.back_off("deliver:x.example", after(NOW, wait)))  # type: ignore[misc]
        assert await due(store) == after(NOW, 60)
        await store.transaction(lambda: jobs.open_lane("deliver:x.example"))
        assert [one.id for one in await claim(store)] == ["job_00001"]

    async def test_a_long_lane_delays_no_other(self, store: Store) -> None:
        await enqueue(store, *(job(n, "run:long", due_at=NOW - 10_000_000 + n) for n in range(10_000)))
        await enqueue(store, *(job(20_000 + n, f"run:{n}") for n in range(8)))
        got = Counter(one.lane for one in await claim(store, 16))
        assert got == {"run:long": 8} | {f"run:{n}": 1 for n in range(8)}

    async def test_a_long_lane_gives_way_place_by_place(self, store: Store) -> None:
        await enqueue(store, *(job(n, "run:long", due_at=NOW - 10_000 + n) for n in range(500)))
        assert len(await claim(store, 10)) == 10
        await enqueue(store, *(job(1000 + n, "run:short") for n in range(3)))
        lanes = [(await claim(store, 1))[0].lane for _ in range(4)]
        assert lanes == ["run:short", "run:short", "run:short", "run:long"]

    async def test_places_are_shared_evenly_among_lanes(self, store: Store) -> None:
        await enqueue(store, *(job(n, f"run:{n % 4}", due_at=NOW - n) for n in range(80)))
        assert Counter(one.lane for one in await claim(store, 20)) == {f"run:{n}": 5 for n in range(4)}

    async def test_what_one_lane_cannot_use_the_others_get(self, store: Store) -> None:
        await enqueue(store, job(0, "run:a"), *(job(n, "run:b") for n in range(1, 40)))
        assert Counter(one.lane for one in await claim(store, 20)) == {"run:a": 1, "run:b": 19}

    async def test_full_lanes_do_not_hide_a_free_one(self, store: Store) -> None:
        await enqueue(store, *(job(n, f"deliver:{n // 5}.example", due_at=NOW - 100) for n in range(300)))
        assert len(await claim(store, 500)) == 240
        await enqueue(store, job(999, "deliver:free.example"))
        assert [one.id for one in await claim(store, 1)] == ["job_00999"]


ENDINGS: Final[list[Callable[[Job], Unit[None]]]] = [
    jobs.finish,
    lambda one: jobs.retry(one, NOW),
    jobs.release,
    jobs.bury,
]


class TestEndOfAClaim:
    async def test_a_finished_job_is_gone(self, store: Store, clock: ManualClock) -> None:
        await enqueue(store, JOB)
        (mine,) = await claim(store)
        await store.transaction(lambda: jobs.finish(mine))
        await clock.advance(3600)
        assert await claim(store) == []
        assert await due(store) is None

    async def test_a_retried_job_comes_again_when_due(self, store: Store, clock: ManualClock) -> None:
        await enqueue(store, JOB)
        (mine,) = await claim(store)
        await store.transaction(lambda: jobs.retry(mine, after(NOW, 60)))
        assert await claim(store) == []
        assert await due(store) == after(NOW, 60)
        await clock.advance(60)
        later = after(NOW, 60)
        assert await claim(store) == [claimed(replace(JOB, due_at=later), attempt=2, at=later)]

    async def test_a_released_claim_is_no_attempt(self, store: Store) -> None:
        await enqueue(store, JOB)
        (mine,) = await claim(store)
        await store.transaction(lambda: jobs.release(mine))
        assert await claim(store, owner="b") == [claimed(JOB, owner="b")]

    async def test_a_buried_job_is_never_claimed_again(self, store: Store, clock: ManualClock) -> None:
        await enqueue(store, JOB)
        (mine,) = await claim(store)
        await store.transaction(lambda: jobs.bury(mine))
        await store.transaction(jobs.void_leases)
        await clock.advance(3600)
        assert await claim(store) == []

    @pytest.mark.parametrize("end", ENDINGS)
    async def test_a_lost_lease_undoes_everything_done_under_it(
        self, store: Store, clock: ManualClock, end: Callable[[Job], Unit[None]]
    ) -> None:
        await enqueue(store, JOB)
        (mine,) = await claim(store)
        await clock.advance(31)
        (theirs,) = await claim(store, owner="b")

        def result() -> Unit[None]:
            yield from seen.remember(SEEN, NOW)
            yield from end(mine)

        with pytest.raises(LeaseLost, match="job_1 is no longer claimed by a"):
            await store.transaction(result)
        assert await store.read(lambda: seen.find("default", "k1", NOW)) is None
        await store.transaction(lambda: jobs.finish(theirs))

    @pytest.mark.parametrize("end", ENDINGS)
    async def test_a_claim_ends_once(self, store: Store, end: Callable[[Job], Unit[None]]) -> None:
        await enqueue(store, JOB)
        (mine,) = await claim(store)
        await store.transaction(lambda: end(mine))
        with pytest.raises(LeaseLost):
            await store.transaction(lambda: end(mine))

    async def test_an_earlier_attempt_of_the_same_owner_has_lost_its_lease(
        self, store: Store, clock: ManualClock
    ) -> None:
        await enqueue(store, JOB)
        (earlier,) = await claim(store)
        await clock.advance(31)
        await claim(store)
        with pytest.raises(LeaseLost):
            await store.transaction(lambda: jobs.finish(earlier))


class TestLeases:
    async def test_an_expired_lease_can_be_claimed_and_says_that_it_was_interrupted(
        self, store: Store, clock: ManualClock
    ) -> None:
        await enqueue(store, JOB)
        await claim(store)
        await clock.advance(29.9)
        assert await claim(store, owner="b") == []
        await clock.advance(0.1)
        (again,) = await claim(store, owner="b")
        assert (again.owner, again.attempt, again.interrupted) == ("b", 2, True)

    async def test_a_retry_ends_the_interruption_and_a_release_does_not(
        self, store: Store, clock: ManualClock
    ) -> None:
        await enqueue(store, JOB)
        await claim(store)
        await clock.advance(31)
        (interrupted,) = await claim(store)
        await store.transaction(lambda: jobs.release(interrupted))
        (again,) = await claim(store)
        assert again.interrupted
        await store.transaction(lambda: jobs.retry(again, NOW))
        assert [one.interrupted for one in await claim(store)] == [False]

    async def test_what_is_put_back_is_interrupted_and_keeps_count_of_its_failures(
        self, store: Store
    ) -> None:
        await enqueue(store, JOB)
        for failures in range(3):
            (one,) = await claim(store)
            assert (one.failures, one.interrupted) == (failures, failures > 0)
            failed = replace(one, failures=failures + 1)
            await store.transaction(lambda failed=failed: jobs.put_back(failed, NOW))  # type: ignore[misc]
        (one,) = await claim(store)
        await store.transaction(lambda: jobs.retry(one, NOW))
        assert [(again.failures, again.interrupted) for again in await claim(store)] == [(0, False)]

    async def test_only_what_came_to_a_result_is_a_try(self, store: Store, clock: ManualClock) -> None:
        await enqueue(store, JOB)
        ends: list[Callable[[Job], Unit[None]]] = [
            lambda _: jobs.void_leases("a"),
            lambda _: jobs.void_leases(),
            lambda one: jobs.put_back(one, NOW),
            jobs.release,
            lambda one: jobs.retry(one, NOW),
        ]
        found = []
        for end in ends:
            (one,) = await claim(store)
            found.append((one.attempt, one.tries))
            await store.transaction(lambda end=end, one=one: end(one))  # type: ignore[misc]
        await claim(store)
        await clock.advance(31)
        (one,) = await claim(store)
        assert found == [(1, 1), (2, 1), (3, 1), (4, 1), (4, 1)]
        assert (one.attempt, one.tries) == (6, 2)

    async def test_a_renewed_lease_lasts_longer(self, store: Store, clock: ManualClock) -> None:
        await enqueue(store, JOB)
        (mine,) = await claim(store)
        for _ in range(3):
            await clock.advance(20)
            assert await store.transaction(lambda: jobs.renew("a", [JOB.id], LEASE)) == []
            assert await claim(store, owner="b") == []
        await store.transaction(lambda: jobs.finish(mine))

    async def test_renewal_tells_what_another_has_and_not_what_is_finished(
        self, store: Store, clock: ManualClock
    ) -> None:
        await enqueue(store, job(1), job(2))
        first, _ = await claim(store)
        await store.transaction(lambda: jobs.finish(first))
        await clock.advance(31)
        await claim(store, owner="b")
        lost = await store.transaction(lambda: jobs.renew("a", ["job_00001", "job_00002"], LEASE))
        assert lost == ["job_00002"]

    async def test_void_leases_can_be_claimed_at_once(self, store: Store) -> None:
        await enqueue(store, job(1), job(2))
        await claim(store, 1, owner="a")
        await claim(store, 1, owner="b")
        await store.transaction(lambda: jobs.void_leases("a"))
        assert [(one.id, one.interrupted) for one in await claim(store, owner="c")] == [("job_00001", True)]
        await store.transaction(jobs.void_leases)
        assert [one.id for one in await claim(store, owner="d")] == ["job_00001", "job_00002"]

    async def test_a_job_may_be_leased_from_the_start(self, store: Store, clock: ManualClock) -> None:
        mine = claimed(JOB)
        await store.transaction(lambda: jobs.enqueue_leased(mine))
        assert await claim(store, owner="b") == []
        await clock.advance(31)
        (theirs,) = await claim(store, owner="b")
        assert (theirs.attempt, theirs.interrupted) == (2, True)
        with pytest.raises(LeaseLost):
            await store.transaction(lambda: jobs.finish(mine))

    async def test_a_job_leased_from_the_start_is_finished_like_any_other(self, store: Store) -> None:
        await store.transaction(lambda: jobs.enqueue_leased(claimed(JOB)))
        await store.transaction(lambda: jobs.finish(claimed(JOB)))
        await store.transaction(jobs.void_leases)
        assert await claim(store) == []


class TestNextDue:
    async def test_nothing_is_due_in_an_empty_store(self, store: Store) -> None:
        assert await due(store) is None

    async def test_the_earliest_of_all_lanes_counts(self, store: Store) -> None:
        await enqueue(
            store, job(1, due_at=NOW + 9), job(2, "deliver:x.example", NOW + 5), job(3, due_at=NOW + 7)
        )
        assert await due(store) == NOW + 5
        assert await store.read(lambda: jobs.next_due(("run",))) == NOW + 7

    async def test_what_is_due_now_or_waits_for_room_is_no_reason_to_wake(self, store: Store) -> None:
        await enqueue(store, *(job(n, "deliver:x.example") for n in range(9)))
        assert await due(store) is None
        await claim(store)
        assert await due(store) == after(NOW, LEASE)


class TestIdleLanes:
    async def test_lanes_are_forgotten_a_few_at_a_time_and_only_when_nothing_is_left_in_them(
        self, store: Store, clock: ManualClock
    ) -> None:
        names = ("run:ready", "run:leased", "run:dead", "run:done", "run:closed")
        await enqueue(store, *(job(n, lane, after(NOW, 60 * (n == 0))) for n, lane in enumerate(names)))
        _, dead, done, closed = await claim(store)
        await store.transaction(lambda: jobs.bury(dead))
        await store.transaction(lambda: jobs.finish(done))
        await store.transaction(lambda: jobs.finish(closed))
        await store.transaction(lambda: jobs.back_off("run:closed", after(NOW, 10)))
        assert [await store.transaction(lambda: jobs.forget_lanes(1)) for _ in range(3)] == [1, 1, 0]
        await clock.advance(10)
        assert await store.transaction(lambda: jobs.forget_lanes(9)) == 1
        await clock.advance(50)
        assert [one.lane for one in await claim(store)] == ["run:leased", "run:ready"]

    async def test_no_dead_letter_is_looked_at_to_forget_lanes(self, tmp_path: Path) -> None:
        session = Session(tmp_path / "queue.db", query.load("sqlite"), ManualClock())
        migration.migrate(session, migration.load(), NOW)
        text = query.load("sqlite")["lane_forget"].text.replace(":now", "0").replace(":limit", "9")
        steps = [str(row[3]) for row in session.control(f"EXPLAIN QUERY PLAN {text}")]
        session.close()
        assert any("USING INDEX job_leased (lane=?)" in step for step in steps), steps
        assert any("lane_idle" in step for step in steps), steps
        assert not any(step.startswith("SCAN job") for step in steps), steps
