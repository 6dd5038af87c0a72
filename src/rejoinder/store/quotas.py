# SPDX-License-Identifier: Apache-2.0
"""How many messages an account has sent in the month and in the hour that go on."""

from __future__ import annotations

from rejoinder.store.row import integer
from rejoinder.store.unit import Statement, Unit


def count(account: str, length: str, period: str) -> Unit[int]:
    """Count one more message, and say how many there are now.

    Args:
        account: Whose message it is.
        length: Which of the account's counters, as in ``month``.
        period: What it counts now, as in ``2026-11``; another one than before begins at nothing.
    """
    rows = yield Statement("quota_count", {"account": account, "length": length, "period": period})
    return integer(rows[0], "total")
