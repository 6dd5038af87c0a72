# SPDX-License-Identifier: Apache-2.0
"""The host of the workers: for each a pool of children, for each interpreter a zygote.

The server holds one of these. It knows mails, actions and endings; what becomes of an ending (an SMTP
reply, another try, a dead letter) is decided by whoever calls ``run``. The surprise: the limits of time
are on the given Clock, the life of processes is on none; nothing here waits for time to see a child die.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from rejoinder.clock import Clock
from rejoinder.errors import ConfigError
from rejoinder.runtime.pool import Pool
from rejoinder.runtime.settings import WorkerEntry, WorkersSettings
from rejoinder.runtime.values import Actions, Ended, Ending, Host, MessageEvent
from rejoinder.runtime.zygote import Zygote

_log = structlog.get_logger("runtime")
_LOOK_EVERY: Final = 1.0


class WorkerHost(Host):
    """Runs each worker in its children."""

    def __init__(self, settings: WorkersSettings, workers: Sequence[WorkerEntry], clock: Clock) -> None:
        self._clock = clock
        self._zygotes = {worker.python: Zygote(worker.python) for worker in workers}
        self._pools = {
            worker.name: Pool(worker, settings, clock, self._zygotes[worker.python]) for worker in workers
        }

    async def start(self) -> None:
        """Start the children and load every worker.

        Raises:
            ConfigError: a worker's file is missing or cannot be used; everything is stopped again.
        """
        try:
            for pool in self._pools.values():
                await pool.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End everything and wait until it is gone; runs that still go on end as neighbours."""
        for pool in self._pools.values():
            pool.stop()
        await asyncio.gather(*(zygote.stop() for zygote in self._zygotes.values()))

    def has_room(self, worker: str, runs: int = 1) -> bool:
        """Whether so many runs of this worker would start at once."""
        return self._pools[worker].has_room(runs)

    async def run(self, worker: str, event: MessageEvent, actions: Actions) -> Ended:
        """Run the worker on the mail and tell how it ended; waits for room first."""
        pool = self._pools.get(worker)
        if pool is None:
            # A mail that waits for a worker which the configuration no longer names.
            return Ended(
                Ending.EXCEPTION, error=f"no [[worker]] is named {worker!r}; put it back, or drop the mail"
            )
        return await pool.run(event, actions)

    def pids(self, worker: str) -> list[int]:
        """The process ids of the worker's children, for people."""
        return [child.pid for child in self._pools[worker].children]

    async def reload(self, worker: str) -> None:
        """Load the worker's file anew into new children; the old ones end with their runs.

        Raises:
            ConfigError: the new file cannot be used; the old one goes on.
        """
        await self._pools[worker].start()

    async def watch(self) -> None:
        """Reload each worker whose file changes, until cancelled; a broken file is logged and not used."""
        known = {name: _stamp(pool.file) for name, pool in self._pools.items()}
        while True:
            await self._clock.sleep(_LOOK_EVERY)
            for name, pool in self._pools.items():
                stamp = _stamp(pool.file)
                if stamp != known[name]:
                    known[name] = stamp
                    await self._reload_if_sound(name)

    async def _reload_if_sound(self, name: str) -> None:
        try:
            await self.reload(name)
        except ConfigError as error:
            _log.error("runtime.reload_refused", worker=name, code=error.code, error=error.text)
        else:
            _log.info("runtime.worker_reloaded", worker=name)


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
