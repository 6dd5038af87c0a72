# SPDX-License-Identifier: Apache-2.0
"""Take responsibility for a message that shall leave (RFC 6409): a unit of work.

``prepare`` makes the rows, ``submit`` writes them: the content, the message, a delivery for each
forward-path, a job for each destination, its place in the thread, and the event. It is a part of a
transaction, never one of its own: a worker's reply becomes durable with the end of its run, so that a run
that fails has sent nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rejoinder.ids import Ids
from rejoinder.message.address import Mailbox
from rejoinder.store import events, jobs, raws, sent, threads
from rejoinder.store.evidence import Json, evidence
from rejoinder.store.records import (
    Delivery,
    DeliveryStatus,
    Event,
    EventKind,
    Job,
    JobState,
    Raw,
    Sent,
)
from rejoinder.store.unit import Unit

DELIVER = "deliver"
"""The kind of a delivery job; its lane is ``deliver:`` and the destination domain, or ``*`` for several."""
RETURN_PATH: Final = "bounces"
"""The local-part to which what cannot be delivered comes back; it exists at every domain of ours."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who sends and why: the policy, and the mail and run that the message answers, if any."""

    account: str
    policy: str
    email_id: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What is sent: the stored bytes and what the index knows of them."""

    raw: Raw
    author: Mailbox
    message_id: str
    subject: str
    tags: str = "[]"
    """JSON, as in ``Sent``."""


@dataclass(frozen=True, slots=True)
class Submission:
    """The rows of one message, ready to be written; its thread is known in the transaction."""

    raw: Raw
    sent: Sent
    deliveries: tuple[Delivery, ...]
    jobs: tuple[Job, ...]
    event: Event


def prepare(
    origin: Origin,
    content: Content,
    *,
    reverse_path: Mailbox | None,
    forward_paths: Sequence[Mailbox],
    ids: Ids,
    now: int,
    together: int | None = None,
) -> Submission:
    """The rows for a message to these forward-paths; nothing is written yet.

    Each destination domain gets a job of its own, unless up to ``together`` forward-paths shall be
    attempted at once, whatever their domains.
    """
    sent_id = ids.new("sent", now)
    row = Sent(
        id=sent_id,
        account=origin.account,
        thread_id="",
        email_id=origin.email_id,
        run_id=origin.run_id,
        policy=origin.policy,
        reverse_path=None if reverse_path is None else str(reverse_path),
        author=str(content.author),
        message_id=content.message_id,
        subject=content.subject,
        raw_id=content.raw.id,
        raw_size=content.raw.size,
        created_at=now,
        tags=content.tags,
    )
    return Submission(
        content.raw,
        row,
        tuple(_delivery(sent_id, path, now) for path in forward_paths),
        tuple(
            delivery_jobs(row, forward_paths, ids, now)
            if together is None
            else _jobs_together(row, forward_paths, together, ids, now)
        ),
        _event(row, forward_paths, ids, now),
    )


def submit(submission: Submission, thread_id: str) -> Unit[None]:
    """Write the rows; the message is queued when the transaction is committed."""
    row = replace(submission.sent, thread_id=thread_id)
    yield from raws.insert(submission.raw)
    yield from sent.insert(row, submission.deliveries)
    yield from threads.name(row.account, row.message_id, row.id, thread_id, row.created_at)
    for job in submission.jobs:
        yield from jobs.enqueue(job)
    yield from events.insert(submission.event)


def _delivery(sent_id: str, path: Mailbox, now: int) -> Delivery:
    return Delivery(sent_id, str(path), DeliveryStatus.QUEUED, 0, None, False, now)


def delivery_jobs(row: Sent, forward_paths: Sequence[Mailbox], ids: Ids, now: int) -> Iterator[Job]:
    """A job for each destination domain."""
    for domain in sorted({path.host for path in forward_paths}):
        yield _job(row, domain, {"domain": domain}, ids, now)


def _jobs_together(
    row: Sent, forward_paths: Sequence[Mailbox], most: int, ids: Ids, now: int
) -> Iterator[Job]:
    for first in range(0, len(forward_paths), most):
        paths = [str(path) for path in forward_paths[first : first + most]]
        yield _job(row, "*", {"forward_paths": paths}, ids, now)


def _job(row: Sent, lane: str, payload: Mapping[str, Json], ids: Ids, now: int) -> Job:
    return Job(
        id=ids.new("job", now),
        account=row.account,
        kind=DELIVER,
        lane=f"{DELIVER}:{lane}",
        subject_id=row.id,
        payload=json.dumps(payload),
        state=JobState.READY,
        due_at=now,
        attempt=0,
        owner=None,
        lease_until=None,
        created_at=now,
    )


def _event(row: Sent, forward_paths: Sequence[Mailbox], ids: Ids, now: int) -> Event:
    kind = EventKind.QUEUED if row.policy != "worker" else EventKind.REPLIED
    return Event(
        id=ids.new("event", now),
        account=row.account,
        kind=kind,
        at=now,
        email_id=row.email_id,
        sent_id=row.id,
        run_id=row.run_id,
        evidence=evidence(
            policy=row.policy,
            message_id=row.message_id,
            forward_paths=[str(path) for path in forward_paths],
            subject=row.subject,
            size=row.raw_size,
        ),
    )
