# SPDX-License-Identifier: Apache-2.0
"""How the growth of work with the size of its input is told without a flaky deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

Work = Callable[[int], object]


@pytest.fixture
def steps() -> Callable[[Work], float]:
    """How much more work a byte makes when there are eight times as many: 1 if linear, 8 if quadratic.

    What is compared is processor time of this thread at two sizes, the best of several, so that a busy
    machine slows both; no duration is judged by itself.
    """

    def ratio(work: Work) -> float:
        small, large = 512, 4096
        return _best(work, large) / max(_best(work, small), 50e-6) / (large / small)

    return ratio


def _best(work: Work, size: int) -> float:
    times = []
    for _ in range(3):
        start = time.thread_time()
        work(size)
        times.append(time.thread_time() - start)
    return min(times)
