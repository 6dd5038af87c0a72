# SPDX-License-Identifier: Apache-2.0
"""The answers that mails got, so that the same mail is answered once and alike.

The surprise: asking and recording are one statement, so of two deliveries at once one records its
answer and the other gets it.
"""

from __future__ import annotations

from rejoinder.store.records import Seen
from rejoinder.store.row import parameters, record
from rejoinder.store.unit import Statement, Unit


def remember(seen: Seen, horizon: int) -> Unit[Seen | None]:
    """Record an answer, unless one is recorded already that is not older than the horizon.

    Returns:
        None if this one is recorded now; otherwise the earlier one, which stays.
    """
    recorded = yield Statement("seen_remember", {**parameters(seen), "horizon": horizon})
    if recorded:
        return None
    return (yield from find(seen.account, seen.event_key, horizon))


def find(account: str, event_key: str, horizon: int) -> Unit[Seen | None]:
    """The answer recorded for a mail, if it is not older than the horizon."""
    rows = yield Statement("seen_find", {"account": account, "event_key": event_key, "horizon": horizon})
    return record(Seen, rows[0]) if rows else None


def forget(horizon: int, limit: int) -> Unit[int]:
    """Drop up to so many answers that are older than the horizon; how many it were."""
    return len((yield Statement("seen_forget", {"horizon": horizon, "limit": limit})))
