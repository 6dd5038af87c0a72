# SPDX-License-Identifier: Apache-2.0
"""Puts away what nobody asks for any more: when the server starts, and then every hour.

Answers to mail that are too old to be given again, lanes in which nothing is left, and, at the start only,
files of raw mail without a row, as a crash between the file and its row leaves them. Rows go a few at a
time, so that nobody waits long for them. The surprise: young files stay, because a command that runs beside
the server may be about to write their rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from rejoinder.clock import SECOND, Clock
from rejoinder.errors import StoreError
from rejoinder.store import jobs, raws, seen
from rejoinder.store.raw.files import RawFiles
from rejoinder.store.unit import Store, Unit

EVERY: Final = 3600.0
_BATCH: Final = 500
_YOUNG: Final = 3600 * SECOND

_log: Final = structlog.get_logger(__name__)


class Housekeeper:
    """Keeps the store from growing by what is of no use."""

    def __init__(self, store: Store, files: RawFiles, clock: Clock, remembered: int) -> None:
        """``remembered`` says how long the answer to a mail is given again, in microseconds."""
        self._store = store
        self._files = files
        self._clock = clock
        self._remembered = remembered

    async def run(self) -> None:
        """Put away, again and again, until cancelled; what fails is tried again in an hour."""
        is_start = True
        while True:
            try:
                await self._put_rows_away()
                if is_start:
                    await self._put_files_away()
                is_start = False
            except StoreError as error:
                _log.error("queue.housekeeping_failed", code=error.code, error=error.text)
            await self._clock.sleep(EVERY)

    async def _put_rows_away(self) -> None:
        horizon = self._clock.now() - self._remembered
        await self._in_batches(lambda: seen.forget(horizon, _BATCH))
        await self._in_batches(lambda: jobs.forget_lanes(_BATCH))

    async def _in_batches(self, make: Callable[[], Unit[int]]) -> None:
        while await self._store.transaction(make) == _BATCH:
            pass

    async def _put_files_away(self) -> None:
        found = await asyncio.to_thread(self._files.older_than, self._clock.now() - _YOUNG)
        for start in range(0, len(found), _BATCH):
            some = found[start : start + _BATCH]
            strays = await self._store.read(lambda some=some: raws.without_row(some))  # type: ignore[misc]
            for location in strays:
                await asyncio.to_thread(self._files.remove, location)
                _log.warning("queue.stray_file_removed", location=location)
