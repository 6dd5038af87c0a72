# SPDX-License-Identifier: Apache-2.0
"""The store of a configuration, opened beside a running server for one unit of work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from rejoinder.clock.live import LiveClock
from rejoinder.config import Config
from rejoinder.store.sqlite import SqliteStore
from rejoinder.store.unit import Unit

T = TypeVar("T")


async def done(settings: Config, make: Callable[[], Unit[T]]) -> T:
    """The result of a unit of work in the store of these settings."""
    store = await SqliteStore.open(settings.store, LiveClock())
    try:
        return await store.transaction(make)
    finally:
        await store.close()
