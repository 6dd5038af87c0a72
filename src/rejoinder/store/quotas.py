# SPDX-License-Identifier: Apache-2.0
"""To how many recipients an account has sent in the month and in the hour that go on."""

from __future__ import annotations

from collections.abc import Mapping

from rejoinder.store.row import integer
from rejoinder.store.unit import Statement, Unit, Value


def count(account: str, length: str, period: str, number: int) -> Unit[int]:
    """Count so many more recipients, and say how many there are now.

    Args:
        account: Who sends to them.
        length: Which of the account's counters, as in ``month``.
        period: What it counts now, as in ``2026-11``; another one than before begins at nothing.
        number: How many.
    """
    rows = yield Statement("quota_count", _values(account, length, period, number))
    return integer(rows[0], "total")


def give_back(account: str, length: str, period: str, number: int) -> Unit[None]:
    """Count so many less, if the period still goes on."""
    yield Statement("quota_give_back", _values(account, length, period, number))


def _values(account: str, length: str, period: str, number: int) -> Mapping[str, Value]:
    return {"account": account, "length": length, "period": period, "number": number}
