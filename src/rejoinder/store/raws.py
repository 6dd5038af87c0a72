# SPDX-License-Identifier: Apache-2.0
"""Where the bytes of each message lie; the bytes themselves go through ``store.raw``."""

from __future__ import annotations

from collections.abc import Sequence

from rejoinder.store.records import Raw
from rejoinder.store.row import parameters, record
from rejoinder.store.unit import Statement, Unit


def insert(raw: Raw) -> Unit[None]:
    """Keep a raw message, before whatever refers to it."""
    yield Statement("raw_insert", parameters(raw))


def without_row(locations: Sequence[str]) -> Unit[list[str]]:
    """Those of these files that no row names."""
    unnamed = []
    for location in locations:
        if not (yield Statement("raw_get", {"id": location.rpartition("/")[2]})):
            unnamed.append(location)  # noqa: PERF401 - it yields
    return unnamed


def get(raw_id: str) -> Unit[Raw | None]:
    """A raw message, with its content if that lies in the database."""
    rows = yield Statement("raw_get", {"id": raw_id})
    return record(Raw, rows[0]) if rows else None
