# SPDX-License-Identifier: Apache-2.0
"""Units of work: what shall happen in one transaction, said once for every database.

A unit is a generator. It yields ``Statement``s, is sent the rows of each, and returns its result; the
driver runs it inside a transaction, in a thread for SQLite, awaiting for PostgreSQL. So the logic of an
aggregate is straight-line code that knows neither threads nor asyncio, and units compose with
``yield from``. The surprise: a driver may run a unit again from the start (a serialization failure, a
lost connection before the commit), therefore ``transaction`` takes a function that makes the unit, and
a unit does nothing but yield statements. An exception raised by a unit undoes what the unit did and
nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

Value = str | int | float | bytes | None
Row = Mapping[str, Value]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Statement:
    """A named statement of ``store/sql`` and its parameters."""

    name: str
    parameters: Mapping[str, Value] = field(default_factory=dict)


Unit = Generator[Statement, Sequence[Row], T]
"""Yields statements, receives their rows, returns a result."""


class Store(Protocol):
    """What every part of the house gets: transactions, reads, raw mail, and a wake-up for new jobs."""

    async def transaction(self, make: Callable[[], Unit[T]]) -> T:
        """Run the unit; when this returns, what it did is durable.

        Raises:
            StoreError: nothing was done (full disk, locked, damaged, lost connection).
            Exception: whatever the unit raised; nothing of it was done.
        """
        ...

    async def read(self, make: Callable[[], Unit[T]]) -> T:
        """Run a unit that only reads, beside the writer."""
        ...

    def on_jobs(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call ``wake`` in the loop after each commit that may have made a job claimable.

        Returns a function that ends the subscription.
        """
        ...
