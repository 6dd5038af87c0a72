# SPDX-License-Identifier: Apache-2.0
"""The SQL, by name: read from ``store/sql`` when a store is opened.

Each statement is preceded by ``-- name: …`` and a sentence; ``-- wakes: jobs`` marks one after which a
job may be claimable. A folder named after the database holds what differs there and wins over the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_COMMENTS: Final = re.compile(r"^--.*\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Query:
    """A statement's text and what the driver has to know about it."""

    name: str
    text: str
    binds_now: bool
    """Whether the driver gives ``:now``, the instant at which the unit began."""
    wakes: bool
    """Whether a job may be claimable after it."""


def load(dialect: str) -> dict[str, Query]:
    """All statements, as this database wants them."""
    folder = files("rejoinder.store").joinpath("sql")
    shared, own = _queries(folder), _queries(folder.joinpath(dialect))
    return {query.name: query for query in (*shared, *own)}


def _queries(folder: Traversable) -> Iterator[Query]:
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            yield from parse(file.read_text(encoding="utf-8"))


def parse(script: str) -> Iterator[Query]:
    """The statements of one file."""
    _, *pieces = _NAME.split(script)
    for name, piece in zip(pieces[::2], pieces[1::2], strict=True):
        text = _COMMENTS.sub("", piece).strip().removesuffix(";")
        yield Query(name, text, binds_now=":now" in text, wakes="-- wakes: jobs\n" in piece)
