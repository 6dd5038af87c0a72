# SPDX-License-Identifier: Apache-2.0
"""Runs after 250: those that the session left going on, and those that are due again.

Both end here, in one transaction that ends the job's claim and writes what the end leaves. It fails as a
whole when the lease has changed hands, so that of two runs of one mail at most one has effects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from rejoinder.errors import LeaseLost, StoreError
from rejoinder.mailauth.verdict import Verdict
from rejoinder.message.headers import Headers, split
from rejoinder.message.thread import msg_ids
from rejoinder.replies.original import Original
from rejoinder.runtime.conclusion import Concluder, Conclusion, RunPayload, announce, write
from rejoinder.runtime.outcome import detached
from rejoinder.runtime.run import Assignment, Runner, Try
from rejoinder.runtime.source import Stored
from rejoinder.smtp.grammar import read_mailbox
from rejoinder.store import emails, events, jobs, raws, runs, sent
from rejoinder.store.raw import RawStore
from rejoinder.store.records import Email, EmailStatus, Event, EventKind, Job, Raw, Run, RunState
from rejoinder.store.unit import Store, Unit

_log = structlog.get_logger("dispatch")


class Leases(Protocol):
    """Keeps the leases of jobs (``queue.worker``)."""

    def hold(self, job: Job, lost: Callable[[], object]) -> None:
        """Renew the lease until ``drop``; call ``lost`` if it is lost all the same."""
        ...

    def drop(self, job: Job) -> None:
        """Renew it no more."""
        ...


class Finisher:
    """Ends runs after 250."""

    def __init__(self, store: Store, concluder: Concluder) -> None:
        self._store = store
        self._concluder = concluder

    async def finish(self, attempt: Try, job: Job) -> None:
        """Wait for the end of the try and commit what it leaves; when cancelled, cancel the try.

        Raises:
            LeaseLost: the job is another's now; nothing of this try is kept.
            StoreError: nothing was kept; the job will be claimed again.
        """
        try:
            ended = await attempt.ended()
            end = await self._concluder.conclude(
                attempt.assignment, ended, attempt.effects, detached(ended), sender_waits=False
            )
            await self._commit(attempt.assignment, job, end)
            announce(end)
        except asyncio.CancelledError:
            await attempt.cancel()
            raise
        finally:
            attempt.release()

    async def _commit(self, assignment: Assignment, job: Job, end: Conclusion) -> None:
        try:
            await self._store.transaction(lambda: _write(assignment, job, end))
        except Exception:
            await self._concluder.discard(end, self._store)
            raise


class GoingOn:
    """Runs that went on when the sender got its 250."""

    def __init__(self, finisher: Finisher, leases: Leases) -> None:
        self._finisher = finisher
        self._leases = leases
        self._tasks: set[asyncio.Task[None]] = set()

    def adopt(self, attempt: Try, job: Job) -> None:
        """Keep the job's lease, and finish the run when the try ends."""
        task = asyncio.create_task(self._finish(attempt, job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._leases.hold(job, task.cancel)

    async def stop(self) -> None:
        """Cancel what still goes on; the leases end, and the runs are run again."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _finish(self, attempt: Try, job: Job) -> None:
        try:
            await self._finisher.finish(attempt, job)
        except (LeaseLost, StoreError) as error:
            _log.error(
                "dispatch.finish_failed",
                job_id=job.id,
                run_id=job.subject_id,
                code=error.code,
                error=error.text,
            )
        except Exception:  # noqa: BLE001 - the lease ends, and the run is run again
            _log.exception("dispatch.finish_failed", job_id=job.id, run_id=job.subject_id)
        finally:
            self._leases.drop(job)


class RunHandler:
    """The queue's handler of runs: the worker runs on a stored mail."""

    def __init__(
        self, store: Store, raw_store: RawStore, runner: Runner, concluder: Concluder, finisher: Finisher
    ) -> None:
        self._store = store
        self._raws = raw_store
        self._runner = runner
        self._concluder = concluder
        self._finisher = finisher

    async def handle(self, job: Job) -> None:
        """Run the worker again; see ``queue.worker.Handler``."""
        loaded = await self._store.read(lambda: _load(job))
        if loaded is None:
            _log.warning("dispatch.mail_gone", job_id=job.id, run_id=job.subject_id)
            await self._store.transaction(lambda: jobs.finish(job))
            return
        headers, _ = split(await self._raws.load(loaded.raw))
        assignment = _assignment(loaded, job, headers, Stored(self._raws, loaded.raw))
        await self._store.transaction(lambda: self._started(assignment))
        attempt = self._runner.start(assignment)
        attempt.committed()  # long since: `accept` has nothing to wait for
        await self._finisher.finish(attempt, job)

    async def bury(self, job: Job, error: str) -> None:
        """Make the run a dead letter; see ``queue.worker.Handler``."""
        event = self._concluder.dead_letter(job, error)
        await self._store.transaction(lambda: _bury(job, event, error))

    def _started(self, assignment: Assignment) -> Unit[None]:
        yield from runs.update(self._concluder.run(assignment, RunState.RUNNING))
        yield from events.insert(self._concluder.event(assignment, EventKind.RUN_STARTED))


@dataclass(frozen=True, slots=True)
class _Loaded:
    email: Email
    run: Run
    raw: Raw
    ours: bool


def _load(job: Job) -> Unit[_Loaded | None]:
    run = yield from runs.get(job.subject_id)
    email = yield from emails.get(job.account, RunPayload.of(job).email_id)
    raw = None if email is None else (yield from raws.get(email.raw_id))
    if run is None or email is None or raw is None:
        return None
    ours = email.message_id is not None and (yield from sent.is_ours(email.account, email.message_id))
    return _Loaded(email, run, raw, ours)


def _assignment(loaded: _Loaded, job: Job, headers: Headers, source: Stored) -> Assignment:
    email = loaded.email
    verdict = Verdict.from_json(email.verdict)
    reverse_path = None if email.reverse_path is None else read_mailbox(email.reverse_path)
    original = Original(
        email.id, reverse_path, read_mailbox(email.forward_path), headers, verdict, loaded.ours
    )
    return Assignment(
        account=email.account,
        worker=loaded.run.worker,
        run_id=loaded.run.id,
        attempt=job.tries,
        event_key=email.event_key,
        event_key_stable=email.event_key_stable,
        original=original,
        raw=source,
        raw_size=email.raw_size,
        auth=email.verdict,
        received_at=email.received_at,
        references=msg_ids(" ".join(headers.get_all("References"))),
        in_reply_to=msg_ids(headers.get("In-Reply-To")),
        deaths=RunPayload.of(job).deaths,
    )


def _write(assignment: Assignment, job: Job, end: Conclusion) -> Unit[None]:
    carried = replace(job, payload=RunPayload(assignment.email_id, end.deaths).text())
    if end.buried:
        yield from jobs.bury(carried)
    elif end.again_at is None:
        yield from jobs.finish(carried)
    elif end.tries < job.tries:
        yield from jobs.release(carried)  # a neighbour's fault does not count
    else:
        yield from jobs.retry(carried, end.again_at)
    email = yield from emails.get(assignment.account, assignment.email_id)
    if email is None:
        return
    yield from runs.update(end.run)
    yield from emails.set_status(email.id, end.status)
    yield from write(end, email.thread_id)


def _bury(job: Job, event: Event, error: str) -> Unit[None]:
    yield from jobs.bury(job)
    run = yield from runs.get(job.subject_id)
    if run is None:
        return
    yield from runs.update(replace(run, state=RunState.DEAD_LETTERED, ended_at=event.at, error=error))
    yield from emails.set_status(run.email_id, EmailStatus.FAILED)
    yield from events.insert(event)
