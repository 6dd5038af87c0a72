# SPDX-License-Identifier: Apache-2.0
"""The one loop that claims jobs, keeps their leases and hands them to handlers.

How a job ends is its handler's to say, in the transaction that holds the result:

- the handler ends the claim (``jobs.finish``, ``retry``, ``bury``): done;
- it raises: logged, and the job is put back by ``queue.failure_schedule``, interrupted: nobody knows how far
  it got. When the schedule is used up the handler makes it a dead letter; that the store failed is nobody's
  fault and is not counted;
- it returns without ending the claim, or we die: the lease ends, and the job is claimed anew, interrupted;
- the lease is lost (the machine slept): the handler is cancelled, and whatever it would still commit fails.

The loop wakes for new jobs of this process, for the next due time, when a place becomes free, and once
every ``queue.poll``. The surprise: a job may be held by somebody outside the loop, who asks only that
its lease be renewed (``hold``, ``drop``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from traceback import format_exception_only
from typing import Final, Protocol

import structlog

from rejoinder.clock import SECOND, Clock, after
from rejoinder.clock.deadline import within
from rejoinder.errors import LeaseLost, StoreError
from rejoinder.queue.backoff import Jitter, next_due
from rejoinder.queue.settings import QueueSettings
from rejoinder.store import jobs
from rejoinder.store.records import Job
from rejoinder.store.unit import Store, Unit

_log: Final = structlog.get_logger(__name__)
_LONGEST_ERROR: Final = 4096  # characters of an exception that the events of a dead letter show


class Handler(Protocol):
    """What does the jobs of a kind."""

    async def handle(self, job: Job) -> None:
        """Do the job and end its claim in the transaction of the result.

        Raises:
            Exception: whatever went wrong on our side; the job is tried again later.
        """
        ...

    async def bury(self, job: Job, error: str) -> None:
        """Make the job a dead letter because ``handle`` has failed too often, and say so in its events.

        Raises:
            LeaseLost: the claim is no longer this owner's; nothing was done.
            StoreError: nothing was done.
        """
        ...


class QueueWorker:
    """Works off the jobs of the kinds that have a handler."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: QueueSettings,
        owner: str,
        handlers: Mapping[str, Handler],
        *,
        jitter: Jitter,
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._owner = owner
        self._handlers = handlers
        self._jitter = jitter
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._held: dict[str, _Holding] = {}
        self._wake = asyncio.Event()
        self._is_draining = False
        self._is_claiming = False
        self._is_full = False
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    async def run(self) -> None:
        """Claim and work until drained; when cancelled, cancel what is going on and leave it leased."""
        end_subscription = self._store.on_jobs(self._wake.set)
        try:
            async with asyncio.TaskGroup() as group:
                renewal = group.create_task(self._renew_for_ever())
                await self._claim_until_draining()
                await self._is_idle.wait()
                renewal.cancel()
        finally:
            end_subscription()
            await _cancel(*self._tasks.values())

    async def drain(self, deadline: int) -> None:
        """Claim nothing more, and return when nothing is held, or soon after that instant.

        What goes on at that instant is cancelled; its lease stays, so that it is known to be interrupted.
        """
        self._is_draining = True
        self._wake.set()
        await self._wait(self._is_idle, deadline)
        await _cancel(*self._tasks.values())
        self._held.clear()
        self._look_idle()

    def hold(self, job: Job, lost: Callable[[], object] = lambda: None) -> None:
        """Keep renewing the lease of a job that somebody outside the loop works on.

        Args:
            job: leased to this worker's owner.
            lost: called if the lease is lost all the same.
        """
        earlier = self._held.get(job.id)
        self._held[job.id] = _Holding(job, lost)
        self._look_idle()
        if earlier is not None:
            # We slept through our own lease and claimed the job anew.
            earlier.lost()

    def drop(self, job: Job) -> None:
        """Renew the lease of this claim no more."""
        holding = self._held.get(job.id)
        if holding is not None and holding.job.attempt == job.attempt:
            if self._is_place_awaited(job):
                self._wake.set()
            del self._held[job.id]
            self._look_idle()

    def _is_place_awaited(self, job: Job) -> bool:
        """Whether there may be a job that was not claimed for want of the place that this one frees."""
        busy = sum(holding.job.lane == job.lane for holding in self._held.values())
        return self._is_full or busy >= self._settings.rooms.get(job.kind, 1)

    def _look_idle(self) -> None:
        if self._held or self._is_claiming:
            self._is_idle.clear()
        else:
            self._is_idle.set()

    async def _claim_until_draining(self) -> None:
        while not self._is_draining:
            self._wake.clear()
            due = await self._claim()
            poll = after(self._clock.now(), self._settings.poll)
            await self._wait(self._wake, poll if due is None else min(due, poll))

    async def _claim(self) -> int | None:
        """Claim what there are places for and begin it; the instant at which to look again."""
        places = self._settings.slots - len(self._tasks)
        self._is_full = places <= 0
        if self._is_full:
            return None
        self._is_claiming = True
        self._look_idle()
        try:
            claimed, due = await self._store.transaction(lambda: self._claim_unit(places))
            for job in claimed:
                await self._begin(job)
            self._is_full = len(claimed) >= places
            return due
        except StoreError as error:
            _log.error("queue.claim_failed", code=error.code, error=error.text)
            return None
        except Exception:  # noqa: BLE001 - a claim that fails must not end the claiming
            _log.exception("queue.claim_failed")
            return None
        finally:
            self._is_claiming = False
            self._look_idle()

    def _claim_unit(self, places: int) -> Unit[tuple[list[Job], int | None]]:
        kinds, settings = tuple(self._handlers), self._settings
        claimed = yield from jobs.claim(kinds, self._owner, places, settings.lease, settings.rooms)
        # In one unit now is one instant, so nothing becomes due between the two questions.
        return claimed, (yield from jobs.next_due(kinds))

    async def _begin(self, job: Job) -> None:
        if self._is_draining:
            await self._ended(job, self._store.transaction(lambda: jobs.release(job)))
            return
        task = asyncio.create_task(self._work(job, self._tasks.get(job.id)), name=f"job {job.id}")
        self._tasks[job.id] = task
        self.hold(job, task.cancel)
        task.add_done_callback(lambda done: self._end(job, done))

    def _end(self, job: Job, task: asyncio.Task[None]) -> None:
        if self._tasks.get(job.id) is task:
            del self._tasks[job.id]
        self.drop(job)

    async def _work(self, job: Job, predecessor: asyncio.Task[None] | None) -> None:
        try:
            if predecessor is not None:
                await _cancel(predecessor)
            await self._handlers[job.kind].handle(job)
        except LeaseLost as error:
            _log.warning("queue.lease_lost", job_id=job.id, kind=job.kind, error=error.text)
        except StoreError as error:
            _log.error("queue.store_failed", job_id=job.id, kind=job.kind, code=error.code, error=error.text)
            await self._ended(job, self._put_back(job, job.interruptions + 1))
        except Exception as error:  # noqa: BLE001 - whatever it is, the job is tried again or buried
            _log.exception("queue.job_failed", job_id=job.id, kind=job.kind, attempt=job.attempt)
            await self._ended(job, self._failed(replace(job, failures=job.failures + 1), error))

    async def _failed(self, job: Job, error: Exception) -> None:
        if job.failures <= len(self._settings.failure_schedule):
            await self._put_back(job, job.failures)
            return
        await self._handlers[job.kind].bury(job, _text(error))
        _log.error("queue.job_buried", job_id=job.id, kind=job.kind, failures=job.failures)

    async def _put_back(self, job: Job, wait: int) -> None:
        schedule = self._settings.failure_schedule
        due = next_due(schedule, min(wait, len(schedule)), self._clock.now(), self._jitter)
        assert due is not None
        # The next hop may have taken the mail already (RFC 1047): only the record of it may have failed.
        await self._store.transaction(lambda: jobs.put_back(job, due))

    async def _ended(self, job: Job, ending: Awaitable[None]) -> None:
        """Await an ending of the claim; where that fails, the lease ends by itself if it has not ended."""
        try:
            await ending
        except (LeaseLost, StoreError) as error:
            _log.warning("queue.give_back_failed", job_id=job.id, code=error.code, error=error.text)
        except Exception:  # noqa: BLE001 - the handler's `bury` is as wrong as its `handle`
            _log.exception("queue.give_back_failed", job_id=job.id)

    async def _renew_for_ever(self) -> None:
        while True:
            await self._clock.sleep(self._settings.lease / 3)
            try:
                lost = await self._store.transaction(self._renewal)
            except StoreError as error:
                _log.error("queue.renewal_failed", code=error.code, error=error.text)
                continue
            except Exception:  # noqa: BLE001 - nor must a renewal
                _log.exception("queue.renewal_failed")
                continue
            for job_id in lost:
                if holding := self._held.get(job_id):
                    _log.warning("queue.lease_lost", job_id=job_id)
                    holding.lost()

    def _renewal(self) -> Unit[list[str]]:
        return jobs.renew(self._owner, tuple(self._held), self._settings.lease)

    async def _wait(self, event: asyncio.Event, until: int) -> None:
        """Return when the event is set, at that instant at the latest."""
        await within(self._clock, (until - self._clock.now()) / SECOND, event.wait())


def _text(error: Exception) -> str:
    return "".join(format_exception_only(error)).strip()[:_LONGEST_ERROR]


@dataclass(frozen=True, slots=True)
class _Holding:
    """A claim whose lease is renewed."""

    job: Job
    lost: Callable[[], object]


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
