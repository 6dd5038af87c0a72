# SPDX-License-Identifier: Apache-2.0
"""API keys, by their hash."""

from __future__ import annotations

from rejoinder.store.records import ApiKey
from rejoinder.store.row import parameters, record
from rejoinder.store.unit import Statement, Unit


def insert(key: ApiKey) -> Unit[None]:
    """Keep a key."""
    yield Statement("key_insert", parameters(key))


def by_hash(sha256: str) -> Unit[ApiKey | None]:
    """The key with this hash, revoked or not."""
    rows = yield Statement("key_by_hash", {"sha256": sha256})
    return record(ApiKey, rows[0]) if rows else None


def get(key_id: str) -> Unit[ApiKey | None]:
    """The key with this id, revoked or not."""
    rows = yield Statement("key_get", {"id": key_id})
    return record(ApiKey, rows[0]) if rows else None


def listing(account: str | None = None) -> Unit[list[ApiKey]]:
    """The keys of an account, or of all of them, the oldest first."""
    rows = yield Statement("key_listing", {"account": account})
    return [record(ApiKey, row) for row in rows]


def revoke(key_id: str, at: int) -> Unit[None]:
    """End a key; one that is revoked keeps its first instant."""
    yield Statement("key_revoke", {"id": key_id, "at": at})


def touch(key_id: str, at: int) -> Unit[None]:
    """Say when a key was used last."""
    yield Statement("key_touch", {"id": key_id, "at": at})
