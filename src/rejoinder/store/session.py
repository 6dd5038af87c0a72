# SPDX-License-Identifier: Apache-2.0
"""One SQLite connection that runs units.

Transactions are begun and ended by whoever holds the session; it runs units inside them. The
surprise: ``:now`` is one instant for a whole unit, so that a claim and the question what is due next
leave no gap between them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from rejoinder.clock import Clock
from rejoinder.store import failure
from rejoinder.store.query import Query
from rejoinder.store.unit import Row, Statement, Unit

T = TypeVar("T")

BUSY_TIMEOUT_SECONDS: Final = 5.0


class Session:
    """A connection, the statements by name, and the clock that says what now is."""

    def __init__(self, path: Path, queries: Mapping[str, Query], clock: Clock, *, mode: str = "rwc") -> None:
        self.path = path
        self._queries = queries
        self._clock = clock
        self.has_woken = False
        """Whether a statement since this was last set to False may have made a job claimable."""
        try:
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=BUSY_TIMEOUT_SECONDS,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=512,
            )
        except sqlite3.Error as error:
            raise failure.of_sqlite(error, path) from error

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open; SQLite ends one by itself on some errors."""
        return self._connection.in_transaction

    def control(self, sql: str, *values: str | int) -> list[tuple[str | int | None, ...]]:
        """Execute something that is no named statement: a pragma, a savepoint, a migration.

        Raises:
            StoreError: SQLite refused.
        """
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise failure.of_sqlite(error, self.path) from error

    def run(self, make: Callable[[], Unit[T]]) -> T:
        """Drive a unit to its end.

        Raises:
            StoreError: SQLite refused a statement.
            Exception: whatever the unit raised.
        """
        unit = make()
        now = self._clock.now()
        try:
            statement = next(unit)
            while True:
                statement = unit.send(self._execute(statement, now))
        except StopIteration as end:
            result: T = end.value
            return result
        except sqlite3.Error as error:
            raise failure.of_sqlite(error, self.path) from error
        finally:
            unit.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _execute(self, statement: Statement, now: int) -> Sequence[Row]:
        query = self._queries[statement.name]
        values = {**statement.parameters, "now": now} if query.binds_now else statement.parameters
        self.has_woken |= query.wakes
        cursor = self._connection.execute(query.text, values)
        if cursor.description is None:
            return ()
        rows = cursor.fetchall()
        if not rows:
            return ()
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in rows]
