# SPDX-License-Identifier: Apache-2.0
"""The databases that keep the store's promises; the conformance suite runs on each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rejoinder.clock.manual import ManualClock
from rejoinder.store.settings import StoreSettings
from rejoinder.store.sqlite import SqliteStore
from rejoinder.store.unit import Store


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Store]:
    assert request.param == "sqlite"
    opened = await SqliteStore.open(StoreSettings(data_dir=tmp_path), clock)
    yield opened
    await opened.close()
