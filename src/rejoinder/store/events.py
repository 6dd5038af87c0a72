# SPDX-License-Identifier: Apache-2.0
"""The steps that the stages took, each with its evidence."""

from __future__ import annotations

from collections.abc import Sequence

from rejoinder.store.records import Event, EventKind
from rejoinder.store.row import parameters, record, text
from rejoinder.store.unit import Row, Statement, Unit


def insert(event: Event) -> Unit[None]:
    """Record a step."""
    yield Statement("event_insert", parameters(event))


def of_email(account: str, email_id: str) -> Unit[list[Event]]:
    """The steps of a mail, of its runs, and of the messages that answer it, in order."""
    rows = yield Statement("event_of_email", {"account": account, "email_id": email_id})
    return _events(rows)


def of_sent(account: str, sent_id: str) -> Unit[list[Event]]:
    """The steps of a sent message, in order."""
    rows = yield Statement("event_of_sent", {"account": account, "sent_id": sent_id})
    return _events(rows)


def recent(account: str, limit: int) -> Unit[list[Event]]:
    """The last steps of an account, the newest first."""
    rows = yield Statement("event_recent", {"account": account, "limit": limit})
    return _events(rows)


def _events(rows: Sequence[Row]) -> list[Event]:
    return [record(Event, row, kind=EventKind(text(row, "kind"))) for row in rows]
