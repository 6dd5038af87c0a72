# SPDX-License-Identifier: Apache-2.0
"""Waiting no longer than so many seconds of a clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from rejoinder.clock import Clock

T = TypeVar("T")


async def within(clock: Clock, seconds: float, work: Awaitable[T]) -> T | None:
    """The work's result, or None (and the work cancelled) if the clock passes so many seconds first."""
    limit = asyncio.timeout(None)
    try:
        async with limit:
            alarm = clock.alarm(seconds, lambda: limit.reschedule(0))
            try:
                return await work
            finally:
                alarm.cancel()
    except TimeoutError:
        if not limit.expired():
            raise  # the work's own
        return None
