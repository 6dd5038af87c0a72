# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.clock import SECOND
from rejoinder.queue.backoff import next_due

SCHEDULE = (60.0, 300.0, 3600.0)


@pytest.mark.parametrize(("attempt", "wait"), [(1, 60), (2, 300), (3, 3600)])
def test_each_try_waits_as_the_schedule_says(attempt: int, wait: int) -> None:
    assert next_due(SCHEDULE, attempt, 1000, lambda: 0.0) == 1000 + wait * SECOND


@pytest.mark.parametrize("attempt", [4, 5, 1000])
def test_after_the_schedule_there_is_no_try(attempt: int) -> None:
    assert next_due(SCHEDULE, attempt, 0, lambda: 0.0) is None


def test_an_empty_schedule_means_one_try() -> None:
    assert next_due((), 1, 0, lambda: 0.0) is None


@given(st.integers(1, 3), st.integers(0, 2**53), st.floats(0, 1, exclude_max=True))
def test_jitter_delays_by_a_tenth_at_most_and_never_hastens(attempt: int, now: int, jitter: float) -> None:
    due = next_due(SCHEDULE, attempt, now, lambda: jitter)
    wait = round(SCHEDULE[attempt - 1] * SECOND)
    assert due is not None
    assert now + wait <= due <= now + wait + wait // 10
