# SPDX-License-Identifier: Apache-2.0
"""The store on SQLite: write-ahead log, every commit synced, one writer thread, readers beside it.

It runs the units of whoever awaits ``transaction`` and ``read``; other processes may open the same file
beside it (their commits wait up to five seconds for each other). Only the composition root names it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self, TypeVar

from rejoinder.clock import Clock
from rejoinder.errors import StoreError
from rejoinder.store import failure, migration, query
from rejoinder.store.session import Session
from rejoinder.store.settings import StoreSettings
from rejoinder.store.unit import Store, Unit
from rejoinder.store.work import Inbox, Waiting, Work, read_each, write_all

T = TypeVar("T")

FILE_NAME: Final = "rejoinder.db"
_READERS: Final = 2
_PRAGMAS: Final = (
    # The first asks SQLite to read the file at all.
    "PRAGMA journal_mode = WAL",
    # A commit that returned survives the loss of power: 250 promises it.
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -65536",
)


class SqliteStore(Store):
    """A ``Store`` in ``data_dir``; made by ``open``, ended by ``close``, used from one event loop."""

    def __init__(self, writer: Session, readers: Sequence[Session], loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._writes, self._reads = Inbox(), Inbox()
        self._wakers: list[Callable[[], None]] = []
        self._threads = [_thread("store-writer", write_all, self._writes, writer, self._settle)] + [
            _thread("store-reader", read_each, self._reads, reader, self._settle) for reader in readers
        ]

    @classmethod
    async def open(cls, settings: StoreSettings, clock: Clock) -> Self:
        """Open the store, making and migrating it as needed.

        Raises:
            StoreError: it cannot be opened (not ours, damaged, read-only, newer than this version).
        """
        writer, *readers = await asyncio.to_thread(_open_sessions, settings.data_dir, clock)
        return cls(writer, readers, asyncio.get_running_loop())

    async def transaction(self, make: Callable[[], Unit[T]]) -> T:
        """Run the unit; when this returns, what it did is durable."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._writes.put(Work(make, future))
        return await future

    async def read(self, make: Callable[[], Unit[T]]) -> T:
        """Run a unit that only reads; it sees every transaction that returned before."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._reads.put(Work(make, future))
        return await future

    def on_jobs(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call ``wake`` after each commit of this process that may have made a job claimable."""
        self._wakers.append(wake)
        return lambda: self._wakers.remove(wake)

    async def close(self) -> None:
        """Finish what was begun, then let go of the file."""
        self._writes.close()
        self._reads.close()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def _settle(self, done: Sequence[Waiting], has_woken: bool) -> None:
        # One crossing into the loop for all of them: it costs more than a small unit itself.
        self._loop.call_soon_threadsafe(self._tell, done, has_woken)

    def _tell(self, done: Sequence[Waiting], has_woken: bool) -> None:
        for work in done:
            work.settle()
        if has_woken:
            for wake in tuple(self._wakers):
                wake()


def _open_sessions(data_dir: Path, clock: Clock) -> list[Session]:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise failure.of_os(error, data_dir) from error
    path = data_dir / FILE_NAME
    # The folder may be there already and open to all; SQLite gives its other files the mode of this one.
    with suppress(OSError):
        path.touch(mode=0o600)
    queries = query.load("sqlite")
    writer = Session(path, queries, clock)
    try:
        for pragma in _PRAGMAS:
            writer.control(pragma)
        migration.migrate(writer, migration.load(), clock.now())
    except StoreError:
        writer.close()
        raise
    return [writer] + [Session(path, queries, clock, mode="ro") for _ in range(_READERS)]


def _thread(
    name: str,
    work: Callable[[Inbox, Session, Callable[[Sequence[Waiting], bool], None]], None],
    inbox: Inbox,
    session: Session,
    settle: Callable[[Sequence[Waiting], bool], None],
) -> threading.Thread:
    thread = threading.Thread(target=work, args=(inbox, session, settle), name=name, daemon=True)
    thread.start()
    return thread
