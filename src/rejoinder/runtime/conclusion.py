# SPDX-License-Identifier: Apache-2.0
"""What the end of a try leaves in the store: the run, its effects, a report, the next try, the events.

``Concluder.conclude`` makes the rows, ``write`` writes them as a part of somebody's transaction: of the one
that accepts the mail when the sender has waited, of one of its own when the run went on after 250. What is
true in both cases stands here once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from rejoinder.clock import SECOND, Clock
from rejoinder.ids import Ids, derived
from rejoinder.queue.backoff import Jitter, next_due
from rejoinder.replies.compose import Reply
from rejoinder.replies.report import compose_report, report_goes_to
from rejoinder.replies.submit import Content, Origin, Submission, prepare, submit
from rejoinder.runtime.outcome import Outcome
from rejoinder.runtime.run import WORKER, Assignment
from rejoinder.runtime.settings import WorkersSettings
from rejoinder.runtime.values import Ended
from rejoinder.store import events, runs
from rejoinder.store.evidence import Json, evidence
from rejoinder.store.raw import RawStore
from rejoinder.store.records import (
    EffectRow,
    EmailStatus,
    Event,
    EventKind,
    Job,
    JobState,
    Raw,
    Run,
    RunState,
)
from rejoinder.store.unit import Store, Unit

_log = structlog.get_logger("runtime")

MOST_DEATHS: Final = 5
"""How often a run may end by another's fault: two beside others and three alone in a child. Then it counts.

What dies alone is nobody else's doing, except where the zygote was killed, and who does that again and again
is most likely the run itself: it must not run for ever.
"""
RUN = "run"
"""The kind of the jobs that run a worker on a mail; the lane is ``run:`` and the worker."""


@dataclass(frozen=True, slots=True)
class RunPayload:
    """What a run's job carries: the mail, and how often a child died for a neighbour's fault."""

    email_id: str
    deaths: int = 0

    def text(self) -> str:
        """As JSON."""
        return json.dumps({"email_id": self.email_id, "deaths": self.deaths})

    @classmethod
    def of(cls, job: Job) -> RunPayload:
        """From a job."""
        values = json.loads(job.payload)
        return cls(values["email_id"], values["deaths"])


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The rows that an end leaves."""

    run: Run
    status: EmailStatus
    effects: tuple[Submission, ...]
    events: tuple[Event, ...]
    again_at: int | None
    """When to try again; None for never."""
    buried: bool = False
    """Whether the job becomes a dead letter."""
    tries: int = 0
    """Tries that count, when it is tried again."""
    deaths: int = 0
    """Tries that ended by a neighbour's fault."""
    report: Submission | None = None

    @property
    def raws(self) -> tuple[Raw, ...]:
        """The messages that it sends."""
        sent = self.effects if self.report is None else (*self.effects, self.report)
        return tuple(each.raw for each in sent)


def write(conclusion: Conclusion, thread_id: str) -> Unit[None]:
    """Write everything but the run, the mail's status and the job, which the caller inserts or changes."""
    for ordinal, effect in enumerate(conclusion.effects):
        yield from submit(effect, thread_id)
        yield from runs.insert_effect(
            EffectRow(
                conclusion.run.id,
                ordinal,
                "reply",
                effect.sent.id,
                evidence(message_id=effect.sent.message_id),
            )
        )
    if conclusion.report is not None:
        yield from submit(conclusion.report, thread_id)
    for event in conclusion.events:
        yield from events.insert(event)


def announce(conclusion: Conclusion) -> None:
    """Say in the log what is to come, once it is written."""
    run = conclusion.run
    if conclusion.again_at is not None:
        _log.info(
            "runtime.run_rescheduled",
            email_id=run.email_id,
            run_id=run.id,
            worker=run.worker,
            wait=max(0, conclusion.again_at - (run.ended_at or conclusion.again_at)) / SECOND,
        )
    if conclusion.buried:
        _log.error(
            "runtime.run_dead_lettered",
            email_id=run.email_id,
            run_id=run.id,
            worker=run.worker,
            attempt=run.attempt,
        )


class Concluder:
    """Makes conclusions."""

    def __init__(
        self,
        *,
        raw_store: RawStore,
        clock: Clock,
        ids: Ids,
        jitter: Jitter,
        secret: bytes,
        settings: WorkersSettings,
        hostname: str,
    ) -> None:
        self._raws = raw_store
        self._clock = clock
        self._ids = ids
        self._jitter = jitter
        self._secret = secret
        self._settings = settings
        self._hostname = hostname

    def run(self, assignment: Assignment, state: RunState, ended: Ended | None = None) -> Run:
        """The run's row in a state."""
        return Run(
            id=assignment.run_id,
            account=assignment.account,
            email_id=assignment.email_id,
            worker=assignment.worker,
            state=state,
            attempt=assignment.attempt,
            started_at=assignment.received_at,
            ended_at=None if ended is None else self._clock.now(),
            error=(ended.error or None) if ended is not None else None,
            log=ended.log if ended is not None else "",
        )

    def job(self, assignment: Assignment, *, due_at: int, attempt: int, deaths: int = 0) -> Job:
        """The job that carries a run on; ready, not leased."""
        now = self._clock.now()
        return Job(
            id=self._ids.new("job", now),
            account=assignment.account,
            kind=RUN,
            lane=f"{RUN}:{assignment.worker}",
            subject_id=assignment.run_id,
            payload=RunPayload(assignment.email_id, deaths).text(),
            state=JobState.READY,
            due_at=due_at,
            attempt=attempt,
            owner=None,
            lease_until=None,
            created_at=now,
        )

    async def conclude(
        self,
        assignment: Assignment,
        ended: Ended,
        effects: Sequence[Reply],
        outcome: Outcome,
        *,
        sender_waits: bool,
    ) -> Conclusion:
        """What this end leaves; ``sender_waits`` says whether the SMTP answer tells the sender."""
        if outcome is Outcome.HANDLED:
            submissions = await self._submissions(assignment, effects)
            return self._ended(assignment, ended, RunState.FINISHED, EmailStatus.HANDLED, submissions)
        if outcome is Outcome.REFUSED:
            submissions = await self._submissions(assignment, effects)
            refused = self._ended(assignment, ended, RunState.REJECTED, EmailStatus.REJECTED, submissions)
            return refused if sender_waits else await self._reported(assignment, ended, refused)
        if outcome is Outcome.FAILED_FOR_GOOD and sender_waits:
            return self._ended(assignment, ended, RunState.DEAD_LETTERED, EmailStatus.REJECTED, ())
        return self._again(assignment, ended)

    async def discard(self, conclusion: Conclusion, store: Store) -> None:
        """Remove what was kept for a conclusion that was not written."""
        for raw in conclusion.raws:
            await self._raws.discard(raw, store)

    def event(self, assignment: Assignment, kind: EventKind, **values: Json) -> Event:
        """A step of this run."""
        now = self._clock.now()
        return Event(
            id=self._ids.new("event", now),
            account=assignment.account,
            kind=kind,
            at=now,
            email_id=assignment.email_id,
            sent_id=None,
            run_id=assignment.run_id,
            evidence=evidence(worker=assignment.worker, attempt=assignment.attempt, **values),
        )

    def dead_letter(self, job: Job, error: str) -> Event:
        """The step that says that the job of a run failed too often for a fault of ours."""
        now = self._clock.now()
        return Event(
            id=self._ids.new("event", now),
            account=job.account,
            kind=EventKind.DEAD_LETTERED,
            at=now,
            email_id=RunPayload.of(job).email_id,
            sent_id=None,
            run_id=job.subject_id,
            evidence=evidence(kind=job.kind, error=error),
        )

    def _ended(
        self,
        assignment: Assignment,
        ended: Ended,
        state: RunState,
        status: EmailStatus,
        effects: tuple[Submission, ...],
    ) -> Conclusion:
        kind = EventKind.RUN_FAILED if state is RunState.DEAD_LETTERED else EventKind.RUN_FINISHED
        event = self.event(
            assignment,
            kind,
            **_told(ended),
            replies=[effect.sent.message_id for effect in effects],
        )
        return Conclusion(self.run(assignment, state, ended), status, effects, (event,), None)

    async def _reported(self, assignment: Assignment, ended: Ended, refused: Conclusion) -> Conclusion:
        original, now = assignment.original, self._clock.now()
        reason = ended.reason or "Rejected"
        to = report_goes_to(original)
        if to is None:
            silent = self.event(assignment, EventKind.REJECTED_SILENTLY, reason=reason)
            return replace(refused, events=(*refused.events, silent))
        token = derived(self._secret, assignment.email_id, "report")
        report = compose_report(original, to, reason, hostname=self._hostname, token=token, now=now)
        return replace(refused, report=await self._submission(assignment, "dsn", report))

    async def _submissions(self, assignment: Assignment, effects: Sequence[Reply]) -> tuple[Submission, ...]:
        return tuple([await self._submission(assignment, WORKER, effect) for effect in effects])

    async def _submission(self, assignment: Assignment, policy: str, reply: Reply) -> Submission:
        """The rows of what a program says; it leaves from ``<>`` (RFC 3834 §3.3, RFC 3464 §2)."""
        now = self._clock.now()
        raw = await self._raws.keep(reply.raw, now)
        return prepare(
            Origin(assignment.account, policy, assignment.email_id, assignment.run_id),
            Content(raw, reply.author, reply.message_id, reply.subject),
            reverse_path=None,
            forward_paths=(reply.recipient,),
            ids=self._ids,
            now=now,
        )

    def _again(self, assignment: Assignment, ended: Ended) -> Conclusion:
        now = self._clock.now()
        is_innocent = ended.neighbour and assignment.deaths < MOST_DEATHS
        counted = assignment.attempt - (1 if is_innocent else 0)
        due_at = now if is_innocent else next_due(self._settings.retries, counted, now, self._jitter)
        failed = self.event(assignment, EventKind.RUN_FAILED, again_at=due_at, **_told(ended))
        if due_at is not None:
            waiting = self.run(assignment, RunState.WAITING, ended)
            return Conclusion(
                waiting,
                EmailStatus.DISPATCHED,
                (),
                (failed,),
                due_at,
                tries=counted,
                deaths=assignment.deaths + (1 if ended.neighbour else 0),
            )
        dead = self.run(assignment, RunState.DEAD_LETTERED, ended)
        buried = self.event(assignment, EventKind.DEAD_LETTERED)
        return Conclusion(dead, EmailStatus.FAILED, (), (failed, buried), None, buried=True, tries=counted)


def _told(ended: Ended) -> dict[str, Json]:
    """What the event of an end tells."""
    refused = [{"codes": each.codes, "text": each.text} for each in ended.refused]
    return {
        "ending": ended.ending,
        "reason": ended.reason or None,
        "refused": refused or None,
        "error": ended.error or None,
        "log": ended.log or None,
    }
