# SPDX-License-Identifier: Apache-2.0
"""Between records and rows: the columns have the names of the fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from rejoinder.store.unit import Row, Value

R = TypeVar("R")


class Record(Protocol):
    """A slotted dataclass; its slots are its fields, in order."""

    __slots__: Sequence[str]


def parameters(record: Record) -> dict[str, Value]:
    """The fields of a record as parameters of a statement."""
    # `dataclasses.asdict` copies deeply and costs more than the insert itself.
    return {name: getattr(record, name) for name in record.__slots__}


def record(kind: Callable[..., R], row: Row, /, **converted: object) -> R:
    """A record from a row, with the columns that need it already converted."""
    return kind(**{**row, **converted})


def text(row: Row, column: str) -> str:
    """A column that is never null and holds text."""
    value = row[column]
    assert isinstance(value, str)
    return value


def integer(row: Row, column: str) -> int:
    """A column that is never null and holds an integer."""
    value = row[column]
    assert isinstance(value, int)
    return value
