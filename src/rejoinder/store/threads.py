# SPDX-License-Identifier: Apache-2.0
"""Threads, and the one index of the Message-IDs that name our mail, received or sent.

A mail joins the thread of the newest mail of ours that its References name, else that its In-Reply-To
names, else it begins one. The surprise: a Message-ID may name several mails (one per forward-path, or
a stranger's copy of it); the newest decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

from rejoinder.store.row import integer, text
from rejoinder.store.unit import Row, Statement, Unit

_AT_ONCE: Final = 10
_LONGEST: Final = 100


def place(
    account: str, *, references: Sequence[str], in_reply_to: Sequence[str], new_id: str, now: int
) -> Unit[str]:
    """The thread that a mail belongs to; ``new_id`` begins one if it belongs to none.

    Of a longer list the last 100 ids count.
    """
    found = yield from find(account, references=references, in_reply_to=in_reply_to)
    if found is not None:
        return found
    yield Statement("thread_insert", {"id": new_id, "account": account, "at": now})
    return new_id


def find(account: str, *, references: Sequence[str], in_reply_to: Sequence[str]) -> Unit[str | None]:
    """The thread that a mail would join; None if it would begin one."""
    for message_ids in (references, in_reply_to):
        named = yield from _newest(account, message_ids)
        if named is not None:
            return text(named, "thread_id")
    return None


def name(account: str, message_id: str | None, owner_id: str, thread_id: str, at: int) -> Unit[None]:
    """Make a mail a member of its thread, and findable by its Message-ID if it has one."""
    yield Statement(
        "thread_name",
        {
            "account": account,
            "message_id": message_id,
            "owner_id": owner_id,
            "thread_id": thread_id,
            "at": at,
        },
    )


def members(account: str, thread_id: str) -> Unit[list[tuple[str, int]]]:
    """The ids of a thread's mail and their instants, the oldest first."""
    rows = yield Statement("thread_members", {"account": account, "thread_id": thread_id})
    return [(text(row, "owner_id"), integer(row, "at")) for row in rows]


def _newest(account: str, message_ids: Sequence[str]) -> Unit[Row | None]:
    newest: Row | None = None
    left = iter(dict.fromkeys(message_ids[-_LONGEST:]))
    while some := list(islice(left, _AT_ONCE)):
        padded = some + [some[0]] * (_AT_ONCE - len(some))
        rows = yield Statement(
            "thread_named", {"account": account} | {f"m{n}": m for n, m in enumerate(padded)}
        )
        if rows and (newest is None or integer(rows[0], "at") > integer(newest, "at")):
            newest = rows[0]
    return newest
