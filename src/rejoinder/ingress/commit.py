# SPDX-License-Identifier: Apache-2.0
"""Everything that a mail leaves in the store, in one transaction.

It only inserts, in a fixed order: the content, and for each recipient its place in a thread, the mail, its
run, the effects, the job that carries on, the events, and the answer under the mail's event key. When
``commit`` returns the mail is ours, and the sender may be told so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from rejoinder.clock import SECOND, Clock, after
from rejoinder.ids import Ids
from rejoinder.ingress.arrival import Arrival, trace_block
from rejoinder.ingress.decide import Handling
from rejoinder.ingress.rows import Course, email_row, received_evidence, seen_row
from rejoinder.ingress.session import Client
from rejoinder.runtime.conclusion import Concluder, Conclusion, announce, write
from rejoinder.runtime.run import Assignment
from rejoinder.smtp.event import ContentRefused
from rejoinder.smtp.reply import Reply
from rejoinder.smtp.transcript import excerpt
from rejoinder.store import emails, events, jobs, raws, runs, seen, threads
from rejoinder.store.evidence import Json, evidence
from rejoinder.store.raw import RawStore
from rejoinder.store.records import (
    Email,
    EmailStatus,
    Event,
    EventKind,
    Job,
    JobState,
    Raw,
    RunState,
    Seen,
)
from rejoinder.store.unit import Store, Unit

REMEMBERED: Final = 86_400 * SECOND
"""How long the answer to a mail is remembered."""
_NOBODY: Final = "default"
"""The account of events about mail that is not kept."""


class SeenElsewhere(Exception):
    """Another process has answered the same mail meanwhile; nothing was done."""

    def __init__(self, seen: Seen) -> None:
        super().__init__(seen.event_key)
        self.seen = seen


@dataclass(frozen=True, slots=True)
class _Rows:
    email: Email
    new_thread: str
    references: tuple[str, ...]
    in_reply_to: tuple[str, ...]
    course: Course
    events: tuple[Event, ...]
    seen: Seen | None


class Committer:
    """Writes what was decided."""

    def __init__(
        self,
        *,
        store: Store,
        raw_store: RawStore,
        concluder: Concluder,
        clock: Clock,
        ids: Ids,
        hostname: str,
        owner: str,
        lease: float,
    ) -> None:
        self._store = store
        self._raws = raw_store
        self._concluder = concluder
        self._clock = clock
        self._ids = ids
        self._hostname = hostname
        self._owner = owner
        self._lease = lease

    async def commit(self, arrival: Arrival, handlings: Sequence[Handling], answer: Reply) -> None:
        """Make everything durable; a try that goes on gets its job, leased to us.

        Raises:
            SeenElsewhere: another process was faster with the same mail; nothing was done.
            StoreError: nothing was done.
        """
        at = arrival.delivery.received_at
        fresh = [handling for handling in handlings if handling.earlier is None]
        duplicates = [
            self._duplicate(arrival, each, answer) for each in handlings if each.earlier is not None
        ]
        raw = await self._raws.keep(arrival.delivery.raw, at) if fresh else None
        rows: list[_Rows] = []
        try:
            rows = [await self._rows(arrival, each, raw, answer) for each in fresh if raw is not None]
            await self._store.transaction(lambda: _write(raw, rows, duplicates, at - REMEMBERED))
        except Exception:
            await self._discard(raw, rows)
            raise
        for row in rows:
            if row.course.conclusion is not None:
                announce(row.course.conclusion)

    async def _discard(self, raw: Raw | None, rows: Sequence[_Rows]) -> None:
        """Remove the files of what was not written."""
        ends = [each.course.conclusion for each in rows if each.course.conclusion is not None]
        for kept in (*([raw] if raw is not None else []), *(each for end in ends for each in end.raws)):
            await self._raws.discard(kept, self._store)

    async def note(self, refusal: ContentRefused, client: Client) -> None:
        """Leave only an event row, for a mail that is not kept.

        Raises:
            StoreError: nothing was done.
        """
        envelope, answer = refusal.envelope, refusal.reply
        event = self._event(
            EventKind.DEFERRED_IN if answer.is_transient else EventKind.REJECTED,
            _NOBODY,
            answer=str(answer),
            client_ip=client.ip,
            helo=client.helo,
            reverse_path=str(envelope.reverse_path or ""),
            forward_paths=[str(path) for path in envelope.forward_paths],
            size=refusal.size,
            transcript=excerpt([*refusal.transcript, f"S: {answer}"]),
        )
        await self._store.transaction(lambda: events.insert(event))

    async def _rows(self, arrival: Arrival, handling: Handling, raw: Raw, answer: Reply) -> _Rows:
        course = await self._course(handling, answer)
        handling.job = course.job
        trace = trace_block(arrival, handling.to, handling.original.verdict, self._hostname)
        email = email_row(arrival, handling, raw, course.status, trace)
        return _Rows(
            email,
            self._ids.new("thread", email.received_at),
            arrival.references,
            arrival.in_reply_to,
            course,
            self._events(arrival, handling, answer),
            seen_row(handling, answer, email.received_at),
        )

    async def _course(self, handling: Handling, answer: Reply) -> Course:
        assignment, attempt = handling.assignment, handling.attempt
        if assignment is None:
            return Course(EmailStatus.RECEIVED)
        if attempt is None:
            waiting = replace(assignment, attempt=0)
            job = self._concluder.job(waiting, due_at=self._clock.now(), attempt=0)
            return Course(EmailStatus.DISPATCHED, self._concluder.run(waiting, RunState.WAITING), None, job)
        if handling.ended is None or handling.outcome is None:
            run = self._concluder.run(assignment, RunState.RUNNING)
            return Course(EmailStatus.DISPATCHED, run, None, self._leased(assignment))
        end = await self._concluder.conclude(
            assignment, handling.ended, attempt.effects, handling.outcome, sender_waits=answer.is_permanent
        )
        return Course(end.status, end.run, end, self._next(assignment, end))

    def _leased(self, assignment: Assignment) -> Job:
        now = self._clock.now()
        job = self._concluder.job(assignment, due_at=now, attempt=1)
        return replace(job, state=JobState.LEASED, owner=self._owner, lease_until=after(now, self._lease))

    def _next(self, assignment: Assignment, end: Conclusion) -> Job | None:
        """The job of the next try, or the dead letter, of a run that failed while the sender waited."""
        if end.again_at is None and not end.buried:
            return None
        job = self._concluder.job(
            assignment, due_at=end.again_at or self._clock.now(), attempt=end.tries, deaths=end.deaths
        )
        return replace(job, state=JobState.DEAD) if end.buried else job

    def _events(self, arrival: Arrival, handling: Handling, answer: Reply) -> tuple[Event, ...]:
        to = handling.to
        kind = EventKind.REJECTED if answer.is_permanent else EventKind.RECEIVED
        found = received_evidence(arrival, handling, answer)
        routed: dict[str, Json] = {
            "target": to.target.kind,
            "worker": to.target.worker,
            "match": to.target.match,
        }
        steps = (
            self._event(kind, to.target.account, email_id=to.email_id, **found),
            self._event(EventKind.ROUTED, to.target.account, email_id=to.email_id, **routed),
        )
        # They happened when the mail came, before the worker did anything, though they are written with it.
        return tuple(replace(step, at=arrival.delivery.received_at) for step in steps)

    def _duplicate(self, arrival: Arrival, handling: Handling, answer: Reply) -> Event:
        assert handling.earlier is not None
        return self._event(
            EventKind.DUPLICATE,
            handling.to.target.account,
            email_id=handling.earlier.email_id,
            **received_evidence(arrival, handling, answer),
        )

    def _event(self, kind: EventKind, account: str, *, email_id: str | None = None, **values: Json) -> Event:
        now = self._clock.now()
        return Event(
            self._ids.new("event", now), account, kind, now, email_id, None, None, evidence(**values)
        )


def _write(raw: Raw | None, rows: Sequence[_Rows], duplicates: Sequence[Event], horizon: int) -> Unit[None]:
    if raw is not None:
        yield from raws.insert(raw)
    for each in rows:
        yield from _write_recipient(each, horizon)
    for event in duplicates:
        yield from events.insert(event)


def _write_recipient(rows: _Rows, horizon: int) -> Unit[None]:
    email, course = rows.email, rows.course
    if rows.seen is not None:
        earlier = yield from seen.remember(rows.seen, horizon)
        if earlier is not None:
            raise SeenElsewhere(earlier)
    thread_id = yield from threads.place(
        email.account,
        references=rows.references,
        in_reply_to=rows.in_reply_to,
        new_id=rows.new_thread,
        now=email.received_at,
    )
    yield from threads.name(email.account, email.message_id, email.id, thread_id, email.received_at)
    yield from emails.insert(replace(email, thread_id=thread_id))
    for event in rows.events:
        yield from events.insert(event)
    if course.run is not None:
        yield from runs.insert(course.run)
    if course.conclusion is not None:
        yield from write(course.conclusion, thread_id)
    if course.job is not None:
        leased = course.job.state is not JobState.READY
        yield from jobs.enqueue_leased(course.job) if leased else jobs.enqueue(course.job)
