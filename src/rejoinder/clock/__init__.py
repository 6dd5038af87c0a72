# SPDX-License-Identifier: Apache-2.0
"""Time as an argument: the Clock that everything is given, never a setting and never a global.

Instants are integer microseconds since the epoch, UTC; durations are float seconds. The live clock is
``clock.live`` and is named by the composition root alone; ``clock.manual`` is for tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

SECOND: Final = 1_000_000
"""Microseconds in a second."""


class Alarm(Protocol):
    """Something that will be called."""

    def cancel(self) -> object:
        """Do not call it any more."""
        ...


class Clock(Protocol):
    """Tells the time, waits and calls."""

    def now(self) -> int:
        """The instant, in microseconds since the epoch, UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when that much time has passed on this clock."""
        ...

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Alarm:
        """Call ``ring`` in the loop when that much time has passed: cheaper than a task that sleeps."""
        ...


def after(instant: int, seconds: float) -> int:
    """The instant so many seconds later."""
    return instant + round(seconds * SECOND)
