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
    task = asyncio.ensure_future(work)
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        timer.cancel()
        task.cancel()
