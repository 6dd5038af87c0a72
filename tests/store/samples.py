# SPDX-License-Identifier: Apache-2.0
"""Records for tests of whatever keeps them; each test changes the fields that it is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rejoinder.store.records import (
    ApiKey,
    Delivery,
    DeliveryStatus,
    EffectRow,
    Email,
    EmailStatus,
    Event,
    EventKind,
    Job,
    JobState,
    Raw,
    Run,
    RunState,
    Seen,
    Sent,
)

NOW: Final = 1_767_225_600_000_000
"""Where the manual clock starts."""

RAW: Final = Raw("raw_1", "ab" * 32, 5, b"a\0\r\nb", None, NOW)
EMAIL: Final = Email(
    id="email_1",
    account="default",
    thread_id="thread_1",
    raw_id="raw_1",
    raw_size=5,
    reverse_path="ann@customer.example",
    forward_path="support@desk.example",
    client_ip="192.0.2.1",
    helo="mx.customer.example",
    trace=b"Return-Path: <ann@customer.example>\r\n",
    verdict="{}",
    event_key="k1",
    event_key_stable=True,
    status=EmailStatus.RECEIVED,
    mark=None,
    route="support@desk.example",
    message_id="<1@customer.example>",
    subject="Grüße",
    author="ann@customer.example",
    author_name=None,
    received_at=NOW,
)
SEEN: Final = Seen("default", "k1", "email_1", 250, "2.0.0 Ok", NOW)
RUN: Final = Run("run_1", "default", "email_1", "desk", RunState.RUNNING, 1, NOW, None, None, "")
EFFECT: Final = EffectRow("run_1", 1, "reply", "sent_1", "{}")
SENT: Final = Sent(
    id="sent_1",
    account="default",
    thread_id="thread_1",
    email_id="email_1",
    run_id="run_1",
    policy="worker",
    reverse_path=None,
    author="support@desk.example",
    message_id="<2@desk.example>",
    subject="Re: Grüße",
    raw_id="raw_1",
    raw_size=5,
    created_at=NOW,
)
DELIVERY: Final = Delivery("sent_1", "ann@customer.example", DeliveryStatus.QUEUED, 0, None, False, NOW)
EVENT: Final = Event("event_1", "default", EventKind.RECEIVED, NOW, "email_1", None, None, "{}")
KEY: Final = ApiKey("key_1", "default", "cd" * 32, "", NOW, None, None)
JOB: Final = Job(
    "job_1", "default", "run", "run:desk", "email_1", "{}", JobState.READY, NOW, 0, None, None, NOW
)


def job(number: int, lane: str = "run:desk", due_at: int = NOW) -> Job:
    """One of many jobs; its kind is that of its lane."""
    kind = lane.partition(":")[0]
    return replace(
        JOB, id=f"job_{number:05d}", kind=kind, lane=lane, due_at=due_at, subject_id=f"email_{number}"
    )
