# SPDX-License-Identifier: Apache-2.0
"""The records that the stages exchange through the store: frozen values, no behaviour.

Instants are microseconds since the epoch, UTC. Paths are RFC 5321 mailboxes as text, None is the null
reverse-path. JSON is text. Message-IDs have their angle brackets.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EmailStatus(StrEnum):
    """What became of a received mail."""

    RECEIVED = "received"
    """Stored; nothing has run on it, or nothing is to run."""
    DISPATCHED = "dispatched"
    """A run is going on or due."""
    HANDLED = "handled"
    """The run ended and its effects are committed."""
    FAILED = "failed"
    """The run failed for good; the mail is a dead letter that can be replayed."""
    REJECTED = "rejected"
    """Refused by the worker or by a rule; kept with what explains it."""


class RunState(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    """A child works on it, under the lease of its job."""
    WAITING = "waiting"
    """To be run again at its job's due time."""
    FINISHED = "finished"
    """Ended by itself; effects committed."""
    REJECTED = "rejected"
    """Ended with ``set_reject``; effects committed."""
    DEAD_LETTERED = "dead-lettered"
    """Out of tries; replayable."""


class DeliveryStatus(StrEnum):
    """What became of one forward-path of something we send."""

    QUEUED = "queued"
    """Not tried yet."""
    DEFERRED = "deferred"
    """Tried; the next hop said later, or could not be reached."""
    DELIVERED = "delivered"
    """Accepted by the next hop, which does not promise that anybody reads it."""
    BOUNCED = "bounced"
    """Refused for good."""
    EXPIRED = "expired"
    """Deferred until the schedule ended."""


class EventKind(StrEnum):
    """The steps that leave an event; webhooks call them ``email.`` + kind."""

    RECEIVED = "received"
    REJECTED = "rejected"
    DEFERRED_IN = "deferred_in"
    DUPLICATE = "duplicate"
    ROUTED = "routed"
    RUN_STARTED = "run_started"
    RUN_FINISHED = "run_finished"
    RUN_FAILED = "run_failed"
    DEAD_LETTERED = "dead_lettered"
    QUEUED = "queued"
    ATTEMPTED = "attempted"
    DELIVERED = "delivered"
    DELAYED = "delayed"
    BOUNCED = "bounced"
    FAILED = "failed"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"
    COMPLAINED = "complained"
    CANCELLED = "cancelled"
    REPLIED = "replied"
    REJECTED_SILENTLY = "rejected_silently"
    WEBHOOK_ATTEMPTED = "webhook_attempted"


class JobState(StrEnum):
    """Where a job stands."""

    READY = "ready"
    LEASED = "leased"
    DEAD = "dead"
    """Out of tries; kept until replayed or dropped. A finished job has no row."""


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes of a message, kept once, in the row or at a location."""

    id: str
    sha256: str
    size: int
    content: bytes | None
    """The bytes, when they lie in the database."""
    location: str | None
    """Where they lie otherwise, as the raw store names it."""
    created_at: int


@dataclass(frozen=True, slots=True)
class Email:
    """A received mail, for one forward-path."""

    id: str
    account: str
    thread_id: str
    raw_id: str
    raw_size: int
    reverse_path: str | None
    forward_path: str
    client_ip: str
    helo: str
    trace: bytes
    """Our trace block (Return-Path, Authentication-Results, Received), CRLF at each line's end."""
    verdict: str
    """``Verdict.as_json()``."""
    event_key: str
    event_key_stable: bool
    status: EmailStatus
    mark: str | None
    """``return-path`` for mail to the return-path mailbox; None otherwise."""
    route: str | None
    """The match that won, as written; None for none."""
    message_id: str | None
    subject: str | None
    """Decoded (RFC 2047)."""
    author: str | None
    """First mailbox of From."""
    author_name: str | None
    received_at: int


@dataclass(frozen=True, slots=True)
class Seen:
    """The answer that a mail got, so that the same mail gets it again (unique per account for 24 h)."""

    account: str
    event_key: str
    email_id: str
    reply_code: int
    reply_text: str
    """Enhanced code and text, as they stood in the SMTP reply."""
    at: int


@dataclass(frozen=True, slots=True)
class Run:
    """A worker's run on a mail, over all its tries."""

    id: str
    account: str
    email_id: str
    worker: str
    state: RunState
    attempt: int
    """1 for the first try."""
    started_at: int
    ended_at: int | None
    error: str | None
    """The traceback or the reason, at most 16 KiB."""
    log: str
    """What the worker printed, at most 16 KiB."""


@dataclass(frozen=True, slots=True)
class EffectRow:
    """A committed effect of a run, by its ordinal."""

    run_id: str
    ordinal: int
    kind: str
    sent_id: str | None
    detail: str
    """JSON."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that we took responsibility for sending (RFC 6409): one content, some forward-paths."""

    id: str
    account: str
    thread_id: str
    email_id: str | None
    """The mail that it answers."""
    run_id: str | None
    policy: str
    """``worker``, ``api`` or ``dsn``."""
    reverse_path: str | None
    author: str
    message_id: str
    subject: str
    raw_id: str
    raw_size: int
    created_at: int
    tags: str = "[]"
    """JSON: pairs of name and value, in order."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What was answered to a request with an idempotency key, so that its repeats get the same."""

    account: str
    method: str
    path: str
    """That of the request, with its id: a key used for another mail is another request."""
    key: str
    fingerprint: str
    """JSON: what tells another body from the first."""
    answer: str
    """JSON: the whole answer, in the words of whoever keeps it."""
    sent_id: str
    at: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """One forward-path of a sent message."""

    sent_id: str
    forward_path: str
    status: DeliveryStatus
    attempts: int
    last_reply: str | None
    uncertain: bool
    """Whether an attempt ended without our knowing its outcome (RFC 1047)."""
    updated_at: int


@dataclass(frozen=True, slots=True)
class Event:
    """One step of a stage, with its evidence."""

    id: str
    account: str
    kind: EventKind
    at: int
    email_id: str | None
    sent_id: str | None
    run_id: str | None
    evidence: str
    """JSON, at most 16 KiB."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do, in a lane."""

    id: str
    account: str
    kind: str
    """``run``, ``deliver``."""
    lane: str
    """Kind and destination, as in ``deliver:example.com``; room and back-off are per lane."""
    subject_id: str
    payload: str
    """JSON."""
    state: JobState
    due_at: int
    attempt: int
    """Claims so far; 0 before the first."""
    owner: str | None
    lease_until: int | None
    created_at: int
    interrupted: bool = False
    """Whether the claim before this one ended without a finish (its owner died)."""
    interruptions: int = 0
    """Claims that ended without a result: their owner died, or the handler failed."""
    failures: int = 0
    """How often in a row the handler failed."""

    @property
    def tries(self) -> int:
        """Claims that came to a result, with this one; a server that is restarted uses up no try."""
        return self.attempt - self.interruptions


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key; the secret itself is never kept."""

    id: str
    account: str
    sha256: str
    scopes: str
    """Space-separated; empty means all."""
    created_at: int
    last_used_at: int | None
    revoked_at: int | None
