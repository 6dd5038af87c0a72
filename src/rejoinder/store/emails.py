# SPDX-License-Identifier: Apache-2.0
"""Received mail, one email for each forward-path."""

from __future__ import annotations

from rejoinder.store.records import Email, EmailStatus
from rejoinder.store.row import integer, parameters, record, text
from rejoinder.store.unit import Row, Statement, Unit, Value


def insert(email: Email) -> Unit[None]:
    """Store a mail; its raw message is stored already."""
    yield Statement("email_insert", parameters(email))


def get(account: str, email_id: str) -> Unit[Email | None]:
    """One mail, if it is this account's."""
    rows = yield Statement("email_get", {"account": account, "id": email_id})
    return _email(rows[0]) if rows else None


def listing(
    account: str, limit: int, offset: int = 0, since: int | None = None
) -> Unit[tuple[list[Email], int]]:
    """A page of mail received at ``since`` or later, the newest first, and how many there are in all."""
    scope: dict[str, Value] = {"account": account, "since": since or 0}
    rows = yield Statement("email_listing", {**scope, "limit": limit, "offset": offset})
    total = yield Statement("email_count", scope)
    return [_email(row) for row in rows], integer(total[0], "total")


def set_status(email_id: str, status: EmailStatus) -> Unit[None]:
    """Say what became of a mail."""
    yield Statement("email_set_status", {"id": email_id, "status": status})


def _email(row: Row) -> Email:
    return record(
        Email,
        row,
        status=EmailStatus(text(row, "status")),
        event_key_stable=bool(row["event_key_stable"]),
    )
