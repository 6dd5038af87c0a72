# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the road still measures: a small run, its counts and its table."""

from __future__ import annotations

import pytest

from bench.road import Sizes, measure
from bench.table import road_table

pytestmark = pytest.mark.anyio


async def test_a_small_run_loses_nothing_and_gives_every_number() -> None:
    results = await measure(
        Sizes(mails=20, steady=5, rate=50, connections=4, warm_up=4), ["rejoinder", "peer"]
    )
    assert [result.name for result in results] == ["rejoinder", "peer"]
    for result in results:
        assert (result.lost, result.doubled, result.unsigned) == (0, 0, 0)
        assert result.is_sound
        assert min(result.cpu_ms, result.replies_per_second, result.p50_ms, result.signature_ms) > 0
    printed = road_table(results)
    assert "CPU per reply, as fast as it goes (ms)" in printed
    assert "peer / rejoinder" in printed
