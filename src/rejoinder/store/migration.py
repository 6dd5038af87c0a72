# SPDX-License-Identifier: Apache-2.0
"""Bringing the schema up to date: numbered files, forward only, each checked against what was applied.

A store that a newer version has written is refused, and so is one whose applied migrations differ
from ours: nothing good can be read from a schema that is not the one we know.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files

from rejoinder.errors import StoreError
from rejoinder.store.session import Session


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    number: int
    name: str
    script: str

    @property
    def sha256(self) -> str:
        """The checksum that is kept when it was applied."""
        return hashlib.sha256(self.script.encode()).hexdigest()


def load() -> list[Migration]:
    """All migrations of this version, in order."""
    folder = files("rejoinder.store").joinpath("migrations")
    found = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name
    )
    return [Migration(int(file.name[:4]), file.name, file.read_text(encoding="utf-8")) for file in found]


def migrate(session: Session, migrations: Sequence[Migration], now: int) -> None:
    """Apply what is not applied yet, all in one transaction under the write lock.

    Raises:
        StoreError: the store is newer than these migrations, or was made by other ones.
    """
    session.control("BEGIN IMMEDIATE")
    try:
        session.control(
            "CREATE TABLE IF NOT EXISTS migration"
            " (number BIGINT PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL,"
            " applied_at BIGINT NOT NULL)"
        )
        for migration in _missing(session, migrations):
            for statement in _statements(migration.script):
                session.control(statement)
            session.control(
                "INSERT INTO migration VALUES (?, ?, ?, ?)",
                migration.number,
                migration.name,
                migration.sha256,
                now,
            )
        session.control("COMMIT")
    except StoreError:
        if session.in_transaction:
            session.control("ROLLBACK")
        raise


def _missing(session: Session, migrations: Sequence[Migration]) -> Sequence[Migration]:
    applied = session.control("SELECT number, name, sha256 FROM migration ORDER BY number")
    if len(applied) > len(migrations):
        number, name, _ = applied[-1]
        raise StoreError(
            f"{session.path} was written by a newer version: it has migration {name}, this version ends at"
            f" {migrations[-1].number:04d}, before {number}; start the newer version again"
        )
    for migration, (_, name, sha256) in zip(migrations, applied, strict=False):
        if (migration.name, migration.sha256) != (name, sha256):
            raise StoreError(
                f"{session.path} was made by another migration {name} than this version's {migration.name}"
                " (their checksums differ); start the version that made it, or restore a backup"
            )
    return migrations[len(applied) :]


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
