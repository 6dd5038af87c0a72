# SPDX-License-Identifier: Apache-2.0
"""What was answered to requests with an idempotency key.

There is no row for a request that is going on: an answer is kept in the transaction that makes it true. The
surprise: asking and keeping are one statement, so of two requests at once one keeps its answer and the
other gets it.
"""

from __future__ import annotations

from rejoinder.store.records import KeptAnswer
from rejoinder.store.row import parameters, record
from rejoinder.store.unit import Statement, Unit


def find(account: str, method: str, path: str, key: str, horizon: int) -> Unit[KeptAnswer | None]:
    """The answer kept under a key, if it is not older than the horizon."""
    rows = yield Statement(
        "idempotency_find",
        {"account": account, "method": method, "path": path, "key": key, "horizon": horizon},
    )
    return record(KeptAnswer, rows[0]) if rows else None


def keep(answer: KeptAnswer, horizon: int) -> Unit[KeptAnswer | None]:
    """Keep an answer, unless one is kept already that is not older than the horizon.

    Returns:
        None if this one is kept now; otherwise the earlier one, which stays.
    """
    kept = yield Statement("idempotency_keep", {**parameters(answer), "horizon": horizon})
    if kept:
        yield Statement("idempotency_expire", {"horizon": horizon})
        return None
    return (yield from find(answer.account, answer.method, answer.path, answer.key, horizon))


def amend(sent_id: str, answer: str) -> Unit[None]:
    """Give the repeats of the request that sent this message another answer."""
    yield Statement("idempotency_amend", {"sent_id": sent_id, "answer": answer})


def forget(sent_id: str) -> Unit[None]:
    """Keep nothing for the request that sent this message: made again, it is a new one."""
    yield Statement("idempotency_forget", {"sent_id": sent_id})
