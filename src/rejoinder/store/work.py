# SPDX-License-Identifier: Apache-2.0
"""A unit on its way through a thread, and the threads: one that writes, some that read.

The writer takes all units that wait, runs each in a savepoint of one transaction, commits once, and
tells all who wait with one wake-up of their loop. No timer: while a commit is synced, the next units
gather by themselves, and a lone client waits for nobody. The surprise: a unit whose waiter was
cancelled before its turn is not run; one that was begun is committed with the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Generic, Protocol, TypeVar

from rejoinder.errors import StoreError
from rejoinder.store.session import Session
from rejoinder.store.unit import Unit

T = TypeVar("T")


class Waiting(Protocol):
    """A unit of whatever result."""

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits any more."""
        ...

    def run(self, session: Session) -> None:
        """Run it and keep its result; raises what the unit raised."""
        ...

    def fail(self, error: Exception) -> None:
        """Give it an error instead of a result; a first error stays."""
        ...

    def settle(self) -> None:
        """Tell the waiter; in the loop."""
        ...


class Work(Generic[T]):
    """A unit, and the future of its result."""

    __slots__ = ("_error", "_future", "_make", "_result")

    _result: T

    def __init__(self, make: Callable[[], Unit[T]], future: asyncio.Future[T]) -> None:
        self._make = make
        self._future = future
        self._error: Exception | None = None

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits any more."""
        return self._future.cancelled()

    def run(self, session: Session) -> None:
        """Run it and keep its result; raises what the unit raised."""
        self._result = session.run(self._make)

    def fail(self, error: Exception) -> None:
        """Give it an error instead of a result; a first error stays."""
        self._error = self._error or error

    def settle(self) -> None:
        """Tell the waiter; in the loop."""
        if self._future.done():
            return
        if self._error is None:
            self._future.set_result(self._result)
        else:
            self._future.set_exception(self._error)


class Inbox:
    """Where units wait for a thread; they are put from one thread, the loop's."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[Waiting | None] = SimpleQueue()
        self._closed = False

    def put(self, work: Waiting) -> None:
        """Add a unit.

        Raises:
            StoreError: the store is closed.
        """
        if self._closed:
            raise StoreError("the store is closed; nothing can be stored or read any more")
        self._waiting.put(work)

    def take_one(self) -> list[Waiting]:
        """The first that waits; none when closed and empty."""
        first = self._waiting.get()
        if first is None:
            self._waiting.put(None)  # for the next thread
            return []
        return [first]

    def take_all(self) -> list[Waiting]:
        """All that wait, at least one; none when closed and empty."""
        taken = self.take_one()
        while taken and not self._waiting.empty() and (more := self.take_one()):
            taken += more
        return taken

    def close(self) -> None:
        """Take nothing more; what waits is still done."""
        self._closed = True
        self._waiting.put(None)


Settle = Callable[[Sequence[Waiting], bool], None]
"""Given, in a thread, the units that are done and whether a job may be claimable now."""


def write_all(inbox: Inbox, session: Session, settle: Settle) -> None:
    """The writer thread: commit together whatever waits, until the inbox is closed."""
    while batch := inbox.take_all():
        session.has_woken = False
        try:
            _commit_together(batch, session)
        except StoreError as error:
            for work in batch:
                work.fail(type(error)(error.text))
            session.has_woken = False
        settle(batch, session.has_woken)
    session.close()


def read_each(inbox: Inbox, session: Session, settle: Settle) -> None:
    """A reader thread: run each unit on a snapshot of its own, until the inbox is closed."""
    while one := inbox.take_one():
        try:
            session.control("BEGIN")
            try:
                one[0].run(session)
            finally:
                session.control("ROLLBACK")
        except Exception as error:  # noqa: BLE001 - it is the waiter's, who gets it
            one[0].fail(error)
        settle(one, False)
    session.close()


def _commit_together(batch: Sequence[Waiting], session: Session) -> None:
    try:
        session.control("BEGIN IMMEDIATE")
        for work in batch:
            if not work.abandoned:
                _run_in_savepoint(work, session)
        session.control("COMMIT")
    except StoreError:
        if session.in_transaction:
            session.control("ROLLBACK")
        raise


def _run_in_savepoint(work: Waiting, session: Session) -> None:
    session.control("SAVEPOINT unit")
    try:
        work.run(session)
    except Exception as error:
        work.fail(error)
        if not session.in_transaction:
            # SQLite rolled everything back by itself (SQLITE_FULL, SQLITE_IOERR): the whole batch failed.
            raise StoreError(
                f"{session.path}: a unit beside this one ended the transaction: {error}"
            ) from error
        session.control("ROLLBACK TO unit")
    session.control("RELEASE unit")
