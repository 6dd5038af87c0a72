# SPDX-License-Identifier: Apache-2.0
"""The children of one worker: who has room, who waits for it, and who replaces the dead.

A child is replaced by one that runs the source which was loaded last and well, so that a file broken
meanwhile breaks nothing. Replacing backs off while children die without one having ended a single run.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from pathlib import Path
from typing import Final

import structlog

from rejoinder.clock import Clock
from rejoinder.errors import ConfigError, WorkerNotLoaded
from rejoinder.runtime.child import Child
from rejoinder.runtime.settings import WorkerEntry, WorkersSettings
from rejoinder.runtime.values import Actions, Ended, Ending, MessageEvent
from rejoinder.runtime.zygote import Zygote
from rejoinder.worker.frames import Load

_log = structlog.get_logger("runtime")
_FIRST_DELAY: Final = 0.1
_LONGEST_DELAY: Final = 30.0


class Pool:
    """Runs one worker."""

    def __init__(self, entry: WorkerEntry, settings: WorkersSettings, clock: Clock, zygote: Zygote) -> None:
        self._entry = entry
        self._settings = settings
        self._clock = clock
        self._zygote = zygote
        self._load: Load | None = None
        self._children: list[Child] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._fresh = asyncio.Semaphore(entry.processes)
        self._failures = 0
        self._broken = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def children(self) -> tuple[Child, ...]:
        """Those that are alive."""
        return tuple(self._children)

    @property
    def file(self) -> Path:
        """The worker's file."""
        return self._entry.file

    async def start(self) -> None:
        """Load the file as it is now into new children; those that run the old one end with their runs.

        Raises:
            ConfigError: the file is missing or cannot be used; what ran before goes on.
        """
        load = self._read()
        children = await self._start_children(load)
        old, self._children = self._children, children
        self._load, self._failures, self._broken = load, 0, ""
        for child in old:
            child.retire()
        for child in children:
            self._go(self._replace(child))
        self._wake()

    def stop(self) -> None:
        """Start nothing any more; whoever waits for room is told so. The zygote ends the children."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        self._wake()

    def has_room(self, runs: int = 1) -> bool:
        """Whether so many runs would start at once."""
        return not self._waiting and sum(max(child.room, 0) for child in self._children) >= runs

    async def run(self, event: MessageEvent, actions: Actions) -> Ended:
        """Handle the mail when there is room."""
        if event.alone:
            return await self._run_alone(event, actions)
        early = False
        while True:
            child = self._roomiest() if early or not self._waiting else None
            if child is not None:
                return await child.run(event, actions)
            if (ended := self._unavailable()) is not None:
                return ended
            await self._wait_for_room(early)
            early = True

    async def _run_alone(self, event: MessageEvent, actions: Actions) -> Ended:
        assert self._load is not None
        async with self._fresh:
            if (ended := self._unavailable()) is not None:
                return ended
            child = self._child()
            try:
                await child.start(self._load, 1)
                return await child.run(event, actions)
            except (WorkerNotLoaded, ConfigError) as error:
                ending = Ending.CRASH if child.orphaned else Ending.EXCEPTION
                return Ended(ending, error=error.text, neighbour=child.orphaned)
            finally:
                child.retire()
                if child.served:
                    self._failures = 0  # The file is sound; what killed the others was a mail.

    def _roomiest(self) -> Child | None:
        best = max(self._children, key=lambda child: child.room, default=None)
        return best if best is not None and best.room > 0 else None

    def _unavailable(self) -> Ended | None:
        """Why waiting is of no use, if it is of none."""
        if self._stopping:
            return Ended(Ending.CRASH, error="the server is stopping", neighbour=True)
        if self._broken and not self._children:
            return Ended(Ending.EXCEPTION, error=self._broken)
        return None

    async def _wait_for_room(self, early: bool) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if early:
            self._waiting.appendleft(waiter)  # It was woken before, and somebody else was quicker.
        else:
            self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            self._wake()
            raise

    def _wake(self, _: Child | None = None) -> None:
        rooms = sum(max(child.room, 0) for child in self._children)
        while self._waiting and (rooms > 0 or self._unavailable() is not None):
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                rooms -= 1

    # --- children ------------------------------------------------------------------------------------

    def _read(self) -> Load:
        try:
            source = self._entry.file.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"the file {self._entry.file} of [[worker]] {self._entry.name!r} cannot be read: "
                f"{error.strerror}; correct `file`, or write one with `async def email(message, env, ctx)`"
            ) from None
        return Load(str(self._entry.file.absolute()), self._entry.name, dict(self._entry.variables), source)

    def _child(self) -> Child:
        return Child(self._settings, self._clock, self._zygote, self._wake)

    async def _start_children(self, load: Load) -> list[Child]:
        children = [self._child() for _ in range(self._entry.processes)]
        starts = [child.start(load, self._entry.concurrency) for child in children]
        failures = [
            each for each in await asyncio.gather(*starts, return_exceptions=True) if each is not None
        ]
        if not failures:
            return children
        for child in children:
            child.retire()
        for failure in failures:
            if not isinstance(failure, WorkerNotLoaded | ConfigError):
                raise failure
        raise ConfigError(f"[[worker]] {self._entry.name!r} cannot be started: {failures[0]}")

    async def _replace(self, child: Child) -> None:
        await child.dead.wait()
        if child.retired:
            return
        self._children.remove(child)
        self._failures = 0 if child.served else self._failures + 1
        _log.warning("runtime.child_died", worker=self._entry.name, pid=child.pid)
        load = self._load
        while load is not None and load is self._load:
            await self._clock.sleep(_delay(self._failures))
            if await self._started_anew(load):
                return

    async def _started_anew(self, load: Load) -> bool:
        child = self._child()
        try:
            await child.start(load, self._entry.concurrency)
        except (WorkerNotLoaded, ConfigError) as error:
            self._failures += 1
            self._broken = "" if child.orphaned else error.text
            _log.error(
                "runtime.child_not_started", worker=self._entry.name, code=error.code, error=error.text
            )
            self._wake()
            return False
        if load is not self._load:
            child.retire()  # A reload came meanwhile and has brought its own.
            return True
        self._broken = ""
        self._children.append(child)
        self._go(self._replace(child))
        self._wake()
        return True

    def _go(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _delay(failures: int) -> float:
    return min(_FIRST_DELAY * 2.0 ** (failures - 2), _LONGEST_DELAY) if failures > 1 else 0.0
