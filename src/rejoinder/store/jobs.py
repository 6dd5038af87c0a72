# SPDX-License-Identifier: Apache-2.0
"""Jobs: things to do, in lanes, under leases.

A job is ready, leased to an owner, or dead; one that is done has no row. Whoever claimed it ends the
claim by ``finish``, ``retry``, ``put_back``, ``release`` or ``bury``, in the transaction that holds the
result, and each of these raises ``LeaseLost`` when the claim is no longer theirs, so that the result is
undone with it. A lane lets at most its room of jobs be leased at once and can back off; a claim is shared
out among the lanes so that the one with the fewest leased jobs is served first, however long the others.
The surprise: claims read lanes, not jobs, because a lane knows when its earliest job is due; every job
that is ready has its lane's row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace
from typing import Final

from rejoinder.clock import SECOND
from rejoinder.errors import LeaseLost
from rejoinder.store.records import Job, JobState
from rejoinder.store.row import integer, parameters, record, text
from rejoinder.store.unit import Row, Statement, Unit, Value

_SPARE_LANES: Final = 32


def enqueue(job: Job) -> Unit[None]:
    """Add a job that is ready."""
    yield Statement("job_insert", parameters(job))
    yield from _lane_due(job.lane, job.kind, job.due_at)


def enqueue_leased(job: Job) -> Unit[None]:
    """Add a job that its owner works on already: state, owner, attempt and lease are the job's."""
    yield Statement("job_insert", parameters(job))
    yield Statement("lane_make", {"lane": job.lane, "kind": job.kind})


def claim(
    kinds: Sequence[str], owner: str, limit: int, lease_seconds: float, rooms: Mapping[str, int]
) -> Unit[list[Job]]:
    """Lease up to ``limit`` due jobs of these kinds, from lanes that have room and do not back off.

    Leases that ended are ended first: their jobs can be claimed again and are ``interrupted``.
    """
    yield from _ready_again("job_interrupt_expired")
    lanes: list[_Lane] = []
    for kind in kinds:
        scope: dict[str, Value] = {"kind": kind, "room": rooms[kind], "window": limit + _SPARE_LANES}
        rows = yield Statement("lane_claimable", scope)
        lanes += [_lane(row, rooms[kind]) for row in rows]
    heapify(lanes)
    claimed: list[Job] = []
    while lanes and len(claimed) < limit:
        claimed += yield from _claim_shares(lanes, owner, limit - len(claimed), lease_seconds)
    # RETURNING gives no order.
    return sorted(claimed, key=lambda job: (job.due_at, job.id))


def renew(owner: str, job_ids: Sequence[str], lease_seconds: float) -> Unit[list[str]]:
    """Hold jobs longer.

    Returns:
        The ids of those that still exist and are no longer this owner's.
    """
    lost = []
    for job_id in job_ids:
        renewed = yield Statement(
            "job_renew", {"id": job_id, "owner": owner, "lease": _micros(lease_seconds)}
        )
        if not renewed and (yield Statement("job_get", {"id": job_id})):
            lost.append(job_id)
    return lost


def finish(job: Job) -> Unit[None]:
    """The job is done.

    Raises:
        LeaseLost: the claim is no longer this owner's.
    """
    yield from _end_claim("job_finish", job)


def retry(job: Job, due_at: int) -> Unit[None]:
    """The job is to be claimed again at an instant, with the payload that the record has.

    Raises:
        LeaseLost: the claim is no longer this owner's.
    """
    yield from _end_claim("job_retry", job, due_at=due_at, payload=job.payload)
    yield from _lane_due(job.lane, job.kind, due_at)


def put_back(job: Job, due_at: int) -> Unit[None]:
    """Nobody knows how far this claim got: to be claimed again at an instant, interrupted.

    The job gets the number of failures that the record has, and keeps its payload.

    Raises:
        LeaseLost: the claim is no longer this owner's.
    """
    yield from _end_claim("job_put_back", job, due_at=due_at, failures=job.failures)
    yield from _lane_due(job.lane, job.kind, due_at)


def release(job: Job) -> Unit[None]:
    """Give a claim back unused, with the payload that the record has; it does not count as an attempt.

    Raises:
        LeaseLost: the claim is no longer this owner's.
    """
    yield from _end_claim("job_release", job, payload=job.payload)
    yield from _lane_due(job.lane, job.kind, job.due_at)


def bury(job: Job) -> Unit[None]:
    """The job is out of tries and becomes a dead letter.

    Raises:
        LeaseLost: the claim is no longer this owner's.
    """
    yield from _end_claim("job_bury", job)


def revive(subject_id: str) -> Unit[bool]:
    """Make the dead letters about a run or a sent message due again, with all their tries before them.

    Returns:
        Whether there were any.
    """
    rows = yield Statement("job_revive", {"subject_id": subject_id})
    for row in rows:
        yield from _lane_due(text(row, "lane"), text(row, "kind"), integer(row, "due_at"))
    return bool(rows)


def void_leases(owner: str | None = None) -> Unit[None]:
    """Make everything claimable that this owner holds, or that anybody does: they are dead."""
    if owner is None:
        yield from _ready_again("job_interrupt_all")
    else:
        yield from _ready_again("job_interrupt_owner", owner=owner)


def back_off(lane: str, until: int) -> Unit[None]:
    """Claim nothing in this lane before an instant, or the later one that was named before."""
    yield Statement("lane_back_off", {"lane": lane, "until": until})


def open_lane(lane: str) -> Unit[None]:
    """Back off no more; the queue finds the lane open when it looks next."""
    yield Statement("lane_open", {"lane": lane})


def forget_lanes(limit: int) -> Unit[int]:
    """Drop up to so many lanes in which nothing is left to do; how many it were."""
    return len((yield Statement("lane_forget", {"limit": limit})))


def next_due(kinds: Sequence[str]) -> Unit[int | None]:
    """The next instant, after now, at which a job may become claimable without anybody's doing."""
    instants = [(yield Statement("job_next_expiry"))]
    for kind in kinds:
        instants.append((yield Statement("lane_next_open", {"kind": kind})))  # noqa: PERF401 - it yields
    return min(
        (integer(row, "at") for rows in instants for row in rows if row["at"] is not None), default=None
    )


@dataclass(order=True, slots=True)
class _Lane:
    """An open lane; the least of them is the next to be served."""

    leased: int
    open_at: int
    name: str
    room: int


def _lane(row: Row, room: int) -> _Lane:
    return _Lane(integer(row, "leased"), integer(row, "open_at"), text(row, "lane"), room)


def _claim_shares(lanes: list[_Lane], owner: str, places: int, lease_seconds: float) -> Unit[list[Job]]:
    """Claim in each lane what a fair sharing of the places gives it; lanes that had fewer fall out."""
    claimed: list[Job] = []
    shares = _share(lanes, places)
    for lane, share in shares.items():
        scope: dict[str, Value] = {
            "lane": lane,
            "owner": owner,
            "lease": _micros(lease_seconds),
            "places": share,
        }
        rows = yield Statement("job_claim", scope)
        yield Statement("lane_advance", {"lane": lane})
        claimed += [_job(row) for row in rows]
        if len(rows) < share:
            lanes[:] = [other for other in lanes if other.name != lane]
    heapify(lanes)
    return claimed


def _share(lanes: list[_Lane], places: int) -> Counter[str]:
    """Give place after place to the lane with the fewest leased jobs, in the order in which they opened."""
    shares: Counter[str] = Counter()
    while lanes and shares.total() < places:
        lane = lanes[0]
        lane.leased += 1
        shares[lane.name] += 1
        if lane.leased < lane.room:
            heapreplace(lanes, lane)
        else:
            heappop(lanes)
    return shares


def _end_claim(statement: str, job: Job, **more: int | str) -> Unit[None]:
    claim_of: dict[str, Value] = {"id": job.id, "owner": job.owner, "attempt": job.attempt}
    if not (yield Statement(statement, {**claim_of, **more})):
        raise LeaseLost(
            f"job {job.id} is no longer claimed by {job.owner} (attempt {job.attempt}): its lease ended and"
            " another claim has it or finished it; nothing of this attempt is kept"
        )


def _ready_again(statement: str, **scope: str) -> Unit[None]:
    for row in (yield Statement(statement, scope)):
        yield from _lane_due(text(row, "lane"), text(row, "kind"), integer(row, "due_at"))


def _lane_due(lane: str, kind: str, due_at: int) -> Unit[None]:
    yield Statement("lane_due", {"lane": lane, "kind": kind, "due_at": due_at})


def _micros(seconds: float) -> int:
    return round(seconds * SECOND)


def _job(row: Row) -> Job:
    return record(Job, row, state=JobState(text(row, "state")), interrupted=bool(row["interrupted"]))
