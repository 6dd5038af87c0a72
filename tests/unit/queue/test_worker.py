# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from structlog.testing import capture_logs

from rejoinder.clock import after
from rejoinder.clock.manual import ManualClock
from rejoinder.errors import StoreError
from rejoinder.queue.settings import QueueSettings
from rejoinder.queue.worker import QueueWorker
from rejoinder.store import jobs
from rejoinder.store.records import Job, JobState
from rejoinder.store.settings import StoreSettings
from rejoinder.store.sqlite import SqliteStore
from rejoinder.store.unit import Store, Unit
from tests.store.samples import NOW, job

pytestmark = pytest.mark.anyio

T = TypeVar("T")
ROOMS = {"run": 64, "deliver": 4}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(StoreSettings(data_dir=tmp_path), clock)
    yield opened
    await opened.close()


class Desk:
    """A handler that reports each job it begins, then does what the test says."""

    def __init__(self, store: Store, then: Callable[[Job], Awaitable[None]] | None = None) -> None:
        self._store = store
        self._then = then or self.finish
        self.begun: asyncio.Queue[Job] = asyncio.Queue()
        self.cancelled: asyncio.Queue[Job] = asyncio.Queue()
        self.buried: list[str] = []
        self.may_end = asyncio.Event()

    async def handle(self, job: Job) -> None:
        self.begun.put_nowait(job)
        try:
            await self._then(job)
        except asyncio.CancelledError:
            self.cancelled.put_nowait(job)
            raise

    async def bury(self, job: Job, error: str) -> None:
        await self._store.transaction(lambda: jobs.bury(job))
        self.buried.append(error)

    async def finish(self, job: Job) -> None:
        await self._store.transaction(lambda: jobs.finish(job))

    async def finish_when_told(self, job: Job) -> None:
        await self.may_end.wait()
        await self.finish(job)


async def fail(job: Job) -> None:
    raise ValueError(job.id)


@asynccontextmanager
async def working(
    store: Store, clock: ManualClock, desk: Desk, settings: QueueSettings | None = None
) -> AsyncIterator[QueueWorker]:
    worker = QueueWorker(store, clock, settings or QueueSettings(), "me", {"run": desk}, jitter=lambda: 0.0)
    task = asyncio.create_task(worker.run())
    yield worker
    task.cancel()
    await asyncio.wait([task])


async def enqueue(store: Store, *some: Job) -> None:
    for one in some:
        await store.transaction(lambda one=one: jobs.enqueue(one))  # type: ignore[misc]


async def settle(store: Store) -> None:
    """Let the worker do all that it would do now: the store takes units in turn."""
    for _ in range(8):
        await store.transaction(lambda: jobs.next_due(()))


async def claim_as_other(store: Store) -> list[Job]:
    return await store.transaction(lambda: jobs.claim(("run",), "other", 99, 30.0, ROOMS))


async def promptly(waiting: Awaitable[T]) -> T:
    return await asyncio.wait_for(waiting, 10)


class TestClaiming:
    async def test_a_job_is_begun_when_it_is_enqueued_without_any_time_passing(
        self, store: SqliteStore, clock: ManualClock
    ) -> None:
        desk = Desk(store)
        async with working(store, clock, desk):
            await settle(store)
            await enqueue(store, job(1))
            assert (await promptly(desk.begun.get())).id == "job_00001"
            await settle(store)
        assert await claim_as_other(store) == []

    async def test_a_job_is_begun_at_its_due_time_not_at_the_next_poll(
        self, store: SqliteStore, clock: ManualClock
    ) -> None:
        desk = Desk(store)
        async with working(store, clock, desk):
            await enqueue(store, job(1, due_at=after(NOW, 0.5)))
            await settle(store)
            await clock.advance(0.49)
            await settle(store)
            assert desk.begun.empty()
            await clock.advance(0.01)
            assert (await promptly(desk.begun.get())).due_at == after(NOW, 0.5)

    async def test_a_job_of_another_process_is_found_by_the_poll(
        self, store: SqliteStore, clock: ManualClock, tmp_path: Path
    ) -> None:
        desk = Desk(store)
        other = await SqliteStore.open(StoreSettings(data_dir=tmp_path), clock)
        async with working(store, clock, desk):
            await settle(store)
            await enqueue(other, job(1))
            await settle(store)
            assert desk.begun.empty()
            await clock.advance(1)
            await promptly(desk.begun.get())
        await other.close()

    async def test_no_more_jobs_are_claimed_than_there_are_slots(
        self, store: SqliteStore, clock: ManualClock
    ) -> None:
        desk = Desk(store)
        desk._then = desk.finish_when_told
        await enqueue(store, *(job(n) for n in range(5)))
        async with working(store, clock, desk, QueueSettings(slots=2)):
            await settle(store)
            await clock.advance(5)
            await settle(store)
            assert desk.begun.qsize() == 2
            assert len(await claim_as_other(store)) == 3
            desk.may_end.set()
            await settle(store)

    async def test_every_job_is_done_when_there_are_more_than_slots(
        self, store: SqliteStore, clock: ManualClock
    ) -> None:
        desk = Desk(store)
        await enqueue(store, *(job(n, f"run:{n % 7}") for n in range(50)))
        async with working(store, clock, desk, QueueSettings(slots=3)):
            done = {(await promptly(desk.begun.get())).id for _ in range(50)}
        assert len(done) == 50

    async def test_a_lane_that_was_full_goes_on_when_one_of_its_jobs_ends(
        self, store: SqliteStore, clock: ManualClock
    ) -> None:
        desk = Desk(store)
        await enqueue(store, *(job(n) for n in range(9)))
        async with working(store, clock, desk, QueueSettings(rooms={"run": 2})):
            assert len({(await promptly(desk.begun.get())).id for _ in range(9)}) == 9

    async def test_an_end_that_frees_no_awaited_place_asks_the_store_nothing(
        self, store: SqliteStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk, claims, real = Desk(store), 0, jobs.claim

        def counted(
            kinds: Sequence[str], owner: str, limit: int, lease_seconds: float, rooms: Mapping[str, int]
        ) -> Unit[list[Job]]:
            nonlocal claims
            claims += 1
            return real(kinds, owner, limit, lease_seconds, rooms)

        monkeypatch.setattr(jobs, "claim", counted)
        async with working(store, clock, desk):
            await settle(store)
            for n in range(5):
                await enqueue(store, job(n))
                await promptly(desk.begun.get())
                await settle(store)
        # One when the loop began, and one for each job.
        assert claims == 6

    @pytest.mark.parametrize("error", [StoreError("the disk is away"), ValueError("a row that is none")])
    async def test_a_store_that_fails_is_asked_again(
        self, store: SqliteStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        desk, real = Desk(store), store.transaction

        async def refuse(make: Callable[[], Unit[T]]) -> T:
            raise error

        monkeypatch.setattr(store, "transaction", refuse)
        with capture_logs() as logs:
            async with working(store, clock, desk):
                await clock.advance(0)
                await clock.advance(11)
                monkeypatch.setattr(store, "transaction", real)
                await enqueue(store, job(1))
                await promptly(desk.begun.get())
        assert {"queue.claim_failed", "queue.renewal_failed"} <= {entry["event"] for entry in logs}


class TestFailure:
    async def test_a_job_whose_handler_raises_is_tried_again_by_the_schedule_and_then_buried(
        self, store: SqliteStore, clock: ManualClock
    ) -> None:
        desk = Desk(store, fail)
        await enqueue(store, job(1))
        with capture_logs() as logs:
            async with working(store, clock, desk, QueueSettings(failure_schedule=(1, 10, 60))):
                for attempt, wait in enumerate((1, 10, 60), start=1):
                    assert (await promptly(desk.begun.get())).attempt == attempt
                    await settle(store)
                    await clock.advance(wait - 0.1)
                    await settle(store)
                    assert desk.begun.empty()
                    await clock.advance(0.1)
                assert (await promptly(desk.begun.get())).failures == 3
                await settle(store)
                await clock.advance(86_400)
                await settle(store)
        assert desk.begun.empty()
        assert desk.buried == ["ValueError: job_00001"]
        assert [entry["event"] for entry in logs] == ["queue.job_failed"] * 4 + ["queue.job_buried"]

    async def test_that_the_store_fails_buries_nobody(self, store: SqliteStore, clock: ManualClock) -> None:
        async def refuse(job: Job) -> None:
            raise StoreError("the disk is away")

        desk = Desk(store, refuse)
        await enqueue(store, job(1))
        with capture_logs() as logs:
            async with working(store, clock, desk, QueueSettings(failure_schedule=(1, 10))):
                for wait in (1, 10, 10, 10, 10):
                    assert (await promptly(desk.begun.get())).failures == 0
                    await settle(store)
                    await clock.advance(wait)
                await promptly(desk.begun.get())
                await settle(store)
        assert desk.buried == []
        assert {entry["event"] for entry in logs} == {"queue.store_failed"}

    async def test_a_handler_that_cannot_even_bury_harms_no_other_job(
        self, store: SqliteStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def cannot(job: Job, error: str) -> None:
            raise TypeError(error)

        desk = Desk(store, fail)
        monkeypatch.setattr(desk, "bury", cannot)
        with capture_logs() as logs:
            async with working(store, clock, desk, QueueSettings(failure_schedule=(1,))):
                await enqueue(store, job(1))
                await promptly(desk.begun.get())
                await settle(store)
                await clock.advance(1)
                await promptly(desk.begun.get())
                await settle(store)
                await enqueue(store, job(2))
                assert (await promptly(desk.begun.get())).id == "job_00002"
                await settle(store)
        assert "queue.give_back_failed" in {entry["event"] for entry in logs}

    async def test_a_job_that_failed_comes_again_as_interrupted_since_nobody_knows_how_far_it_got(
        self, store: SqliteStore, clock: ManualClock
    ) -> None:
        desk = Desk(store, fail)
        async with working(store, clock, desk):
            await enqueue(store, job(1))
            assert not (await promptly(desk.begun.get())).interrupted
            await settle(store)
            await clock.advance(1)
            assert (await promptly(desk.begun.get())).interrupted

    async def test_a_handler_that_raises_after_it_finished_its_job_changes_nothing(
        self, store: SqliteStore, clock: ManualClock
    ) -> None:
        async def finish_and_fail(job: Job) -> None:
            await desk.finish(job)
            await fail(job)

        desk = Desk(store, finish_and_fail)
        async with working(store, clock, desk):
            await enqueue(store, job(1), job(2))
            await settle(store)
            await clock.advance(100)
            await settle(store)
        assert desk.begun.qsize() == 2

    async def test_a_job_that_is_neither_finished_nor_failed_comes_again_when_its_lease_ends(
        self, store: SqliteStore, clock: ManualClock
    ) -> None:
        async def forget(job: Job) -> None:
            pass

        desk = Desk(store, forget)
        async with working(store, clock, desk):
            await enqueue(store, job(1))
            assert not (await promptly(desk.begun.get())).interrupted
            await settle(store)
            await clock.advance(29)
            await settle(store)
            assert desk.begun.empty()
            await clock.advance(1)
            assert (await promptly(desk.begun.get())).interrupted


class TestLeases:
    async def test_the_lease_of_a_long_job_is_renewed(self, store: SqliteStore, clock: ManualClock) -> None:
        desk = Desk(store)
        desk._then = desk.finish_when_told
        async with working(store, clock, desk):
            await enqueue(store, job(1))
            await promptly(desk.begun.get())
            for _ in range(12):
                await clock.advance(10)
                await settle(store)
                assert await claim_as_other(store) == []
            desk.may_end.set()
            await settle(store)
        await clock.advance(100)
        assert await claim_as_other(store) == []

    async def test_a_handler_whose_lease_is_lost_is_cancelled(
        self, store: SqliteStore, clock: ManualClock
    ) -> None:
        desk = Desk(store)
        desk._then = desk.finish_when_told
        async with working(store, clock, desk):
            await enqueue(store, job(1))
            mine = await promptly(desk.begun.get())

            def take_over() -> Unit[list[Job]]:
                yield from jobs.void_leases("me")
                return (yield from jobs.claim(("run",), "other", 1, 60.0, ROOMS))

            (theirs,) = await store.transaction(take_over)
            await clock.advance(10)
            assert await promptly(desk.cancelled.get()) == mine
            await store.transaction(lambda: jobs.finish(theirs))

    async def test_a_job_that_we_claim_anew_is_begun_after_its_earlier_try_has_ended(
        self, store: SqliteStore, clock: ManualClock
    ) -> None:
        desk = Desk(store)
        desk._then = desk.finish_when_told
        async with working(store, clock, desk):
            await enqueue(store, job(1))
            earlier = await promptly(desk.begun.get())
            # As after a suspension of the machine longer than the lease.
            await store.transaction(lambda: jobs.void_leases("me"))
            again = await promptly(desk.begun.get())
            assert (again.attempt, again.interrupted) == (2, True)
            assert desk.cancelled.get_nowait() == earlier
            desk.may_end.set()
            await settle(store)
        await clock.advance(100)
        assert await claim_as_other(store) == []

    async def test_a_job_held_outside_the_loop_keeps_its_lease_until_it_is_dropped(
        self, store: SqliteStore, clock: ManualClock
    ) -> None:
        detached = replace(job(1), state=JobState.LEASED, owner="me", attempt=1, lease_until=after(NOW, 30))
        async with working(store, clock, Desk(store)) as worker:
            await store.transaction(lambda: jobs.enqueue_leased(detached))
            worker.hold(detached)
            for _ in range(8):
                await clock.advance(10)
                await settle(store)
                assert await claim_as_other(store) == []
            worker.drop(detached)
            await clock.advance(20)
            assert await claim_as_other(store) == []
        await clock.advance(10)
        assert len(await claim_as_other(store)) == 1

    async def test_who_holds_a_job_outside_the_loop_is_told_when_it_is_lost(
        self, store: SqliteStore, clock: ManualClock
    ) -> None:
        detached = replace(job(1), state=JobState.LEASED, owner="me", attempt=1, lease_until=NOW)
        lost = asyncio.Event()
        async with working(store, clock, Desk(store)) as worker:
            worker.hold(detached, lost.set)
            await store.transaction(lambda: jobs.enqueue_leased(replace(detached, owner="other")))
            await clock.advance(10)
            await promptly(lost.wait())


class TestDrain:
    async def test_what_is_going_on_is_waited_for_and_nothing_more_is_claimed(
        self, store: SqliteStore, clock: ManualClock
    ) -> None:
        desk = Desk(store)
        desk._then = desk.finish_when_told
        async with working(store, clock, desk) as worker:
            await enqueue(store, job(1))
            await promptly(desk.begun.get())
            draining = asyncio.create_task(worker.drain(after(NOW, 60)))
            await settle(store)
            await enqueue(store, job(2))
            await clock.advance(20)
            await settle(store)
            assert not draining.done()
            desk.may_end.set()
            await promptly(draining)
        assert [one.id for one in await claim_as_other(store)] == ["job_00002"]

    async def test_a_run_of_the_loop_ends_when_it_is_drained(
        self, store: SqliteStore, clock: ManualClock
    ) -> None:
        worker = QueueWorker(store, clock, QueueSettings(), "me", {"run": Desk(store)}, jitter=lambda: 0.0)
        task = asyncio.create_task(worker.run())
        await settle(store)
        await promptly(worker.drain(after(NOW, 60)))
        await promptly(task)

    async def test_at_the_deadline_what_goes_on_is_cancelled_and_stays_leased(
        self, store: SqliteStore, clock: ManualClock
    ) -> None:
        desk = Desk(store)
        desk._then = desk.finish_when_told
        async with working(store, clock, desk) as worker:
            await enqueue(store, job(1))
            await promptly(desk.begun.get())
            draining = asyncio.create_task(worker.drain(after(NOW, 5)))
            await settle(store)
            await clock.advance(5)
            await promptly(draining)
            assert desk.cancelled.qsize() == 1
        assert await claim_as_other(store) == []
        await store.transaction(jobs.void_leases)
        assert [one.interrupted for one in await claim_as_other(store)] == [True]

    async def test_what_was_claimed_but_not_begun_is_released_before_the_drain_ends(
        self, store: SqliteStore, clock: ManualClock
    ) -> None:
        desk = Desk(store)
        await enqueue(store, job(1))
        async with working(store, clock, desk) as worker:
            # The loop has asked for jobs, and drains before it has the answer.
            await asyncio.sleep(0)
            await promptly(worker.drain(after(NOW, 60)))
            assert desk.begun.empty()
            assert [(one.attempt, one.interrupted) for one in await claim_as_other(store)] == [(1, False)]

    async def test_a_drain_waits_for_jobs_held_outside_the_loop(
        self, store: SqliteStore, clock: ManualClock
    ) -> None:
        async with working(store, clock, Desk(store)) as worker:
            worker.hold(job(1))
            draining = asyncio.create_task(worker.drain(after(NOW, 60)))
            await settle(store)
            assert not draining.done()
            worker.drop(job(1))
            await promptly(draining)
