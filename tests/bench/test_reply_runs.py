# SPDX-License-Identifier: Apache-2.0
"""The benchmark of reply requests still measures: a small run, its counts and its table."""

from __future__ import annotations

import pytest

from bench.reply import NAMES, Sizes, measure
from bench.table import reply_table

pytestmark = pytest.mark.anyio


async def test_a_small_run_loses_nothing_and_gives_every_number() -> None:
    results = await measure(Sizes(requests=20, connections=4, letters=5, rounds=2, warm_up=4))
    assert tuple(result.name for result in results) == NAMES
    for result in results:
        assert (result.requests, result.lost, result.doubled) == (20, 0, 0)
        assert result.is_sound
        assert min(result.requests_per_second, result.p50_ms, result.p99_ms, result.client_cpu_ms) > 0
    printed = reply_table(results)
    assert "CPU of the server per request (ms)" in printed
    assert "down / plain" in printed
