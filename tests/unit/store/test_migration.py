# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from rejoinder.clock.manual import ManualClock
from rejoinder.errors import StoreError
from rejoinder.store.migration import Migration, load, migrate
from rejoinder.store.session import Session

FIRST = Migration(
    1,
    "0001_first.sql",
    "-- One; with a semicolon.\nCREATE TABLE a (x TEXT DEFAULT ';');\nCREATE TABLE b (x);",
)
SECOND = Migration(2, "0002_second.sql", "ALTER TABLE a ADD COLUMN y;")


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    opened = Session(tmp_path / "x.db", {}, ManualClock())
    yield opened
    opened.close()


def tables(session: Session) -> set[str]:
    return {str(name) for (name,) in session.control("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_a_fresh_store_gets_every_migration_and_remembers_them(session: Session) -> None:
    migrate(session, [FIRST, SECOND], 7)
    assert tables(session) == {"a", "b", "migration"}
    applied = session.control("SELECT number, name, applied_at FROM migration")
    assert applied == [(1, FIRST.name, 7), (2, SECOND.name, 7)]


def test_only_what_is_missing_is_applied(session: Session) -> None:
    migrate(session, [FIRST], 7)
    migrate(session, [FIRST, SECOND], 8)
    migrate(session, [FIRST, SECOND], 9)
    assert session.control("SELECT applied_at FROM migration ORDER BY number") == [(7,), (8,)]


def test_a_newer_store_is_refused(session: Session) -> None:
    migrate(session, [FIRST, SECOND], 7)
    with pytest.raises(StoreError, match=r"written by a newer version.*0002_second\.sql"):
        migrate(session, [FIRST], 8)


def test_a_store_of_other_migrations_is_refused(session: Session) -> None:
    migrate(session, [FIRST], 7)
    with pytest.raises(StoreError, match=r"made by another migration 0001_first\.sql"):
        migrate(session, [Migration(1, FIRST.name, FIRST.script + "\n"), SECOND], 8)
    assert not session.in_transaction


def test_a_migration_that_fails_leaves_nothing(session: Session) -> None:
    broken = Migration(2, "0002_broken.sql", "CREATE TABLE c (x);\nCREATE TABLE a (x);")
    with pytest.raises(StoreError, match="already exists"):
        migrate(session, [FIRST, broken], 7)
    assert tables(session) == set()


def test_our_migrations_are_numbered_without_a_gap() -> None:
    assert [migration.number for migration in load()] == list(range(1, len(load()) + 1))


def test_every_statement_of_our_migrations_is_complete() -> None:
    for migration in load():
        assert sqlite3.complete_statement(migration.script.rstrip())
