# SPDX-License-Identifier: Apache-2.0
"""When something that failed is tried again; pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from rejoinder.clock import after

_SPREAD: Final = 0.1

Jitter = Callable[[], float]
"""Gives a number from 0 up to 1; of its own generator in production."""


def next_due(schedule: Sequence[float], attempt: int, now: int, jitter: Jitter) -> int | None:
    """The instant of the next try, or None when the schedule is used up.

    Args:
        schedule: seconds to wait after each try; one try more than it has entries.
        attempt: how many tries there have been, at least 1.
        now: the instant at which the last try ended, in microseconds.
        jitter: spreads the tries by up to a tenth of the wait, never earlier, so that what failed
            together does not come back together.
    """
    if attempt > len(schedule):
        return None
    return after(now, schedule[attempt - 1] * (1 + _SPREAD * jitter()))


def end_of(schedule: Sequence[float], since: int) -> int:
    """The instant at which the last try of a schedule is begun at the latest, if nothing holds it up."""
    return after(since, sum(schedule) * (1 + _SPREAD))
