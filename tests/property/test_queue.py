# SPDX-License-Identifier: Apache-2.0
"""The queue against a model of it: whatever happens in whatever order, nothing is lost or done twice.

The model knows jobs and lanes as plain values and says, for each step, what must come back. After each
step the rows are the model's, so nothing is lost, no job has two live leases, and attempts only grow
(but for a release, which takes its own claim back).
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)

from rejoinder.clock import Alarm, after
from rejoinder.errors import LeaseLost
from rejoinder.store import jobs, migration, query
from rejoinder.store.records import Job, JobState
from rejoinder.store.row import record
from rejoinder.store.session import Session
from rejoinder.store.unit import Unit
from tests.store.samples import JOB, NOW

LEASE: Final = 30.0
ROOMS: Final = {"run": 3, "deliver": 1}
LANES: Final = ("run:a", "run:b", "deliver:x.example", "deliver:y.example")

lanes = st.sampled_from(LANES)
owners = st.sampled_from(["a", "b"])
waits = st.sampled_from([0.0, 0.0, 1.0, 29.0, 31.0])


@dataclass
class StandingClock:
    """A clock that the machine moves."""

    at: int = NOW

    def now(self) -> int:
        return self.at

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Alarm:
        raise NotImplementedError


class Queue(RuleBasedStateMachine):
    """Owners that claim, work, die and sleep through their leases."""

    claims = Bundle[Job]("claims")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = StandingClock()
        self.session = Session(Path(self.folder.name) / "queue.db", query.load("sqlite"), self.clock)
        self.jobs: dict[str, Job] = {}
        self.closed_until: dict[str, int] = {}
        self.made = 0

    @initialize()
    def migrate(self) -> None:
        # The file is thrown away, so nothing has to survive the loss of power.
        self.session.control("PRAGMA synchronous = OFF")
        self.session.control("PRAGMA journal_mode = MEMORY")
        migration.migrate(self.session, migration.load(), NOW)

    def teardown(self) -> None:
        self.session.close()
        self.folder.cleanup()

    @rule(lane=lanes, wait=waits)
    def enqueue(self, lane: str, wait: float) -> None:
        job = self.new(lane, after(self.clock.at, wait))
        self.session.run(lambda: jobs.enqueue(job))
        self.jobs[job.id] = job

    @rule(target=claims, lane=lanes, owner=owners)
    def begin_detached(self, lane: str, owner: str) -> Job:
        job = self.leased(replace(self.new(lane, self.clock.at), attempt=0), owner)
        self.session.run(lambda: jobs.enqueue_leased(job))
        self.jobs[job.id] = job
        return job

    @rule(target=claims, owner=owners, limit=st.integers(1, 6))
    def claim(self, owner: str, limit: int) -> MultipleResults[Job]:
        before = {job.id: self.after_expiry(job) for job in self.jobs.values()}
        taken = self.session.run(lambda: jobs.claim(tuple(ROOMS), owner, limit, LEASE, ROOMS))
        assert len(taken) <= limit
        self.jobs = before | {job.id: self.leased(before[job.id], owner) for job in taken}
        for job in taken:
            assert self.is_claimable(before[job.id])
            assert job == self.jobs[job.id]
            assert job.tries >= 1
        busy = Counter(job.lane for job in self.jobs.values() if job.state is JobState.LEASED)
        was_busy = Counter(job.lane for job in before.values() if job.state is JobState.LEASED)
        for lane in {job.lane for job in taken}:
            assert busy[lane] <= ROOMS[lane.partition(":")[0]]
        if len(taken) < limit:
            # Nothing that could be claimed was left.
            left = {job.lane for job in self.jobs.values() if self.is_claimable(job)}
            assert all(busy[lane] >= ROOMS[lane.partition(":")[0]] for lane in left)
        self.assert_fair(before, was_busy, Counter(job.lane for job in taken))
        return multiple(*taken)

    @rule(wait=waits)
    def time_passes(self, wait: float) -> None:
        self.clock.at = after(self.clock.at, wait)

    @rule(owner=owners)
    def renew(self, owner: str) -> None:
        named = sorted(self.jobs)
        lost = self.session.run(lambda: jobs.renew(owner, [*named, "job_gone"], LEASE))
        mine = {job.id for job in self.jobs.values() if job.state is JobState.LEASED and job.owner == owner}
        assert set(lost) == set(named) - mine
        for job_id in mine:
            self.jobs[job_id] = replace(self.jobs[job_id], lease_until=after(self.clock.at, LEASE))

    @rule(claim=claims)
    def finish(self, claim: Job) -> None:
        if self.ends(claim, jobs.finish(claim)):
            del self.jobs[claim.id]

    @rule(claim=claims, wait=waits)
    def retry(self, claim: Job, wait: float) -> None:
        due = after(self.clock.at, wait)
        if self.ends(claim, jobs.retry(claim, due)):
            self.jobs[claim.id] = replace(self.ready(claim.id), due_at=due, interrupted=False, failures=0)

    @rule(claim=claims, wait=waits)
    def put_back(self, claim: Job, wait: float) -> None:
        due = after(self.clock.at, wait)
        if self.ends(claim, jobs.put_back(replace(claim, failures=claim.failures + 1), due)):
            self.jobs[claim.id] = replace(self.cut(claim.id), due_at=due, failures=claim.failures + 1)

    @rule(claim=claims)
    def release(self, claim: Job) -> None:
        if self.ends(claim, jobs.release(claim)):
            self.jobs[claim.id] = replace(self.ready(claim.id), attempt=claim.attempt - 1)

    @rule(claim=claims)
    def bury(self, claim: Job) -> None:
        if self.ends(claim, jobs.bury(claim)):
            self.jobs[claim.id] = replace(self.ready(claim.id), state=JobState.DEAD)

    @rule(owner=owners)
    def owner_dies(self, owner: str) -> None:
        self.session.run(lambda: jobs.void_leases(owner))
        self.void(lambda job: job.owner == owner)

    @rule()
    def server_starts(self) -> None:
        self.session.run(jobs.void_leases)
        self.void(lambda job: True)

    @rule()
    def lanes_are_forgotten(self) -> None:
        # Unless they back off still; those that are closed no more are as good as never closed.
        self.session.run(lambda: jobs.forget_lanes(2))
        self.closed_until = {lane: at for lane, at in self.closed_until.items() if at > self.clock.at}

    @rule(claim=claims, wait=waits)
    def back_off(self, claim: Job, wait: float) -> None:
        if claim.id in self.jobs:
            until = after(self.clock.at, wait)
            self.session.run(lambda: jobs.back_off(claim.lane, until))
            self.closed_until[claim.lane] = max(until, self.closed_until.get(claim.lane, 0))

    @rule(claim=claims)
    def open_lane(self, claim: Job) -> None:
        self.session.run(lambda: jobs.open_lane(claim.lane))
        self.closed_until.pop(claim.lane, None)

    @invariant()
    def the_rows_are_the_models(self) -> None:
        assert self.rows() == self.jobs

    @invariant()
    def what_is_due_next_is_known(self) -> None:
        instants = [job.lease_until for job in self.jobs.values() if job.lease_until is not None]
        for lane in LANES:
            ready = [
                job.due_at for job in self.jobs.values() if job.lane == lane and job.state is JobState.READY
            ]
            if ready:
                instants.append(max(min(ready), self.closed_until.get(lane, 0)))
        expected = min((at for at in instants if at > self.clock.at), default=None)
        assert self.session.run(lambda: jobs.next_due(tuple(ROOMS))) == expected

    def new(self, lane: str, due_at: int) -> Job:
        self.made += 1
        kind = lane.partition(":")[0]
        return replace(JOB, id=f"job_{self.made:03d}", kind=kind, lane=lane, due_at=due_at)

    def leased(self, job: Job, owner: str) -> Job:
        until = after(self.clock.at, LEASE)
        return replace(job, state=JobState.LEASED, owner=owner, lease_until=until, attempt=job.attempt + 1)

    def ready(self, job_id: str) -> Job:
        return replace(self.jobs[job_id], state=JobState.READY, owner=None, lease_until=None)

    def cut(self, job_id: str) -> Job:
        ready = self.ready(job_id)
        return replace(ready, interrupted=True, interruptions=ready.interruptions + 1)

    def after_expiry(self, job: Job) -> Job:
        if job.lease_until is not None and job.lease_until <= self.clock.at:
            return self.cut(job.id)
        return job

    def is_claimable(self, job: Job) -> bool:
        is_open = self.closed_until.get(job.lane, 0) <= self.clock.at
        return job.state is JobState.READY and job.due_at <= self.clock.at and is_open

    def void(self, whose: object) -> None:
        assert callable(whose)
        for job in list(self.jobs.values()):
            if job.state is JobState.LEASED and whose(job):
                self.jobs[job.id] = self.cut(job.id)

    def ends(self, claim: Job, unit: Unit[None]) -> bool:
        """Whether this claim is the job's live one, as the store must find too."""
        live = self.jobs.get(claim.id)
        is_live = live is not None and (live.owner, live.attempt) == (claim.owner, claim.attempt)
        try:
            self.session.run(lambda: unit)
        except LeaseLost:
            assert not is_live
            return False
        assert is_live
        return True

    def assert_fair(self, before: dict[str, Job], was_busy: Counter[str], taken: Counter[str]) -> None:
        """No lane got a place while another, that could have used it, was less busy by more than one."""
        could = Counter(job.lane for job in before.values() if self.is_claimable(job))
        for lane, got in taken.items():
            for other in could:
                room = ROOMS[other.partition(":")[0]]
                if taken[other] < could[other] and was_busy[other] + taken[other] < room:
                    assert was_busy[lane] + got - 1 <= was_busy[other] + taken[other]

    def rows(self) -> dict[str, Job]:
        columns = list(JOB.__slots__)
        found = self.session.control(f"SELECT {', '.join(columns)} FROM job")
        rows = [dict(zip(columns, row, strict=True)) for row in found]
        read = [
            record(Job, row, state=JobState(str(row["state"])), interrupted=bool(row["interrupted"]))
            for row in rows
        ]
        return {job.id: job for job in read}


TestQueue = Queue.TestCase
TestQueue.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
