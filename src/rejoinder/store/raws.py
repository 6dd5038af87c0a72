# SPDX-License-Identifier: Apache-2.0
"""Where the bytes of each message lie; the bytes themselves go through ``store.raw``."""

from __future__ import annotations

from rejoinder.store.records import Raw
from rejoinder.store.row import parameters, record
from rejoinder.store.unit import Statement, Unit


def insert(raw: Raw) -> Unit[None]:
    """Keep a raw message, before whatever refers to it."""
    yield Statement("raw_insert", parameters(raw))


def get(raw_id: str) -> Unit[Raw | None]:
    """A raw message, with its content if that lies in the database."""
    rows = yield Statement("raw_get", {"id": raw_id})
    return record(Raw, rows[0]) if rows else None
