# SPDX-License-Identifier: Apache-2.0
"""The real clock; only the composition root names it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from rejoinder.clock import Alarm


class LiveClock:
    """The machine's clock and asyncio's sleep."""

    def now(self) -> int:
        """Microseconds since the epoch, UTC."""
        return time.time_ns() // 1000

    async def sleep(self, seconds: float) -> None:
        """Sleep in the running loop."""
        await asyncio.sleep(seconds)

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Alarm:
        """The running loop's timer."""
        return asyncio.get_running_loop().call_later(seconds, ring)
