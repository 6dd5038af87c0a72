# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from rejoinder.clock.manual import ManualClock
from rejoinder.errors import StoreError, StoreFull
from rejoinder.store import emails, failure, raws, seen, sqlite
from rejoinder.store.session import Session
from rejoinder.store.settings import StoreSettings
from rejoinder.store.sqlite import FILE_NAME, SqliteStore
from rejoinder.store.unit import Statement, Unit
from tests.store.samples import EMAIL, NOW, RAW, SEEN

pytestmark = pytest.mark.anyio


async def opened(folder: Path) -> SqliteStore:
    return await SqliteStore.open(StoreSettings(data_dir=folder), ManualClock())


@pytest.fixture
def sessions(tmp_path: Path) -> list[Session]:
    return sqlite._open_sessions(tmp_path, ManualClock())


@pytest.fixture
def writer(sessions: list[Session]) -> Session:
    """The connection that the store writes through, to make it fail."""
    return sessions[0]


@pytest.fixture
async def store(sessions: list[Session]) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(sessions[0], sessions[1:], asyncio.get_running_loop())
    yield store
    await store.close()


def keep(number: int, size: int = 5) -> Callable[[], Unit[None]]:
    return lambda: raws.insert(replace(RAW, id=f"raw_{number}", content=bytes(size)))


async def kept(store: SqliteStore) -> set[int]:
    numbers = range(300)
    rows = [await store.read(lambda n=n: raws.get(f"raw_{n}")) for n in numbers]  # type: ignore[misc]
    return {number for number, row in zip(numbers, rows, strict=True) if row}


def test_nobody_else_can_read_the_store_in_a_folder_that_is_open_to_all(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    sessions = sqlite._open_sessions(tmp_path, ManualClock())
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    for session in sessions:
        session.close()


def control_of(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The transaction control of the store's sessions, as it is said from now on."""
    said: list[str] = []
    real = Session.control

    def control(self: Session, sql: str, *values: str | int) -> list[tuple[str | int | None, ...]]:
        said.append(sql)
        return real(self, sql, *values)

    monkeypatch.setattr(Session, "control", control)
    return said


class TestSharedCommits:
    async def test_units_that_wait_together_are_committed_together(
        self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said = control_of(monkeypatch)
        gate = threading.Event()

        def wait() -> Unit[None]:
            gate.wait(10)
            yield from raws.get("raw_0")

        first = asyncio.create_task(store.transaction(wait))
        await asyncio.sleep(0)
        others = [asyncio.create_task(store.transaction(keep(n))) for n in range(20)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(first, *others)
        assert said.count("COMMIT") <= 3
        assert said.count("SAVEPOINT unit") == 21

    async def test_a_commit_that_fails_fails_all_its_units(
        self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = Session.control

        def control(self: Session, sql: str, *values: str | int) -> list[tuple[str | int | None, ...]]:
            if sql == "COMMIT":
                raise StoreFull("no room")
            return real(self, sql, *values)

        with monkeypatch.context() as patch:
            patch.setattr(Session, "control", control)
            outcomes = await asyncio.gather(
                *(store.transaction(keep(n)) for n in range(5)), return_exceptions=True
            )
        assert [type(outcome) for outcome in outcomes] == [StoreFull] * 5
        assert len({id(outcome) for outcome in outcomes}) == 5
        assert await kept(store) == set()
        await store.transaction(keep(7))
        assert await kept(store) == {7}

    async def test_a_unit_whose_waiter_was_cancelled_before_its_turn_is_not_run(
        self, store: SqliteStore
    ) -> None:
        gate = threading.Event()

        def wait() -> Unit[None]:
            gate.wait(10)
            yield from raws.get("raw_0")

        first = asyncio.create_task(store.transaction(wait))
        await asyncio.sleep(0)
        second = asyncio.create_task(store.transaction(keep(1)))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([second])
        gate.set()
        await first
        assert await kept(store) == set()


class TestClosing:
    async def test_what_was_given_before_the_close_is_done(self, tmp_path: Path) -> None:
        store = await opened(tmp_path)
        tasks = [asyncio.create_task(store.transaction(keep(n))) for n in range(30)]
        await asyncio.sleep(0)
        await store.close()
        await asyncio.gather(*tasks)
        again = await opened(tmp_path)
        assert await kept(again) == set(range(30))
        await again.close()

    async def test_a_closed_store_says_so(self, tmp_path: Path) -> None:
        store = await opened(tmp_path)
        await store.close()
        with pytest.raises(StoreError, match="closed"):
            await store.transaction(keep(1))
        with pytest.raises(StoreError, match="closed"):
            await store.read(lambda: raws.get("raw_1"))

    async def test_nothing_but_the_database_is_left(self, tmp_path: Path) -> None:
        store = await opened(tmp_path)
        await store.transaction(keep(1))
        await store.close()
        assert names(tmp_path) == [FILE_NAME]


OTHER_PROCESS: Final = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
connection.execute("INSERT INTO raw VALUES ('raw_100', 'x', 1, NULL, 1, x'00')")
print("holding", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
"""


class TestOtherProcesses:
    async def test_a_transaction_waits_for_another_process_and_both_are_kept(
        self, store: SqliteStore, tmp_path: Path
    ) -> None:
        with process(OTHER_PROCESS, tmp_path / FILE_NAME) as other:
            assert other.stdin is not None
            assert other.stdout is not None
            assert other.stdout.readline() == "holding\n"
            ours = asyncio.create_task(store.transaction(keep(1)))
            await asyncio.sleep(0)
            # Reads go on while the other writes.
            assert await kept(store) == set()
            assert not ours.done()
            other.stdin.write("\n")
            other.stdin.flush()
            await ours
        assert await kept(store) == {1, 100}

    async def test_two_stores_on_one_file_lose_nothing(self, store: SqliteStore, tmp_path: Path) -> None:
        beside = await opened(tmp_path)
        await asyncio.gather(*((store, beside)[n % 2].transaction(keep(n)) for n in range(60)))
        assert await kept(store) == await kept(beside) == set(range(60))
        await beside.close()

    async def test_of_two_stores_that_remember_one_mail_one_is_told_of_the_other(
        self, store: SqliteStore, tmp_path: Path
    ) -> None:
        beside = await opened(tmp_path)
        answers = await asyncio.gather(
            *((store, beside)[n % 2].transaction(lambda: seen.remember(SEEN, NOW)) for n in range(20))
        )
        assert answers.count(None) == 1
        await beside.close()


DYING_PROCESS: Final = """
import asyncio, sys
from dataclasses import replace
from pathlib import Path
from rejoinder.clock.manual import ManualClock
from rejoinder.store import raws
from rejoinder.store.records import Raw
from rejoinder.store.settings import StoreSettings
from rejoinder.store.sqlite import SqliteStore

async def keep(store, number):
    await store.transaction(lambda: raws.insert(Raw(f"raw_{number}", "", 1, b"x", None, 1)))
    print(number, flush=True)

async def main():
    store = await SqliteStore.open(StoreSettings(data_dir=Path(sys.argv[1]).parent), ManualClock())
    for start in range(0, 10_000, 20):
        await asyncio.gather(*(keep(store, number) for number in range(start, start + 20)))

asyncio.run(main())
"""


class TestDeath:
    async def test_what_returned_before_a_kill_is_there_after_it(self, tmp_path: Path) -> None:
        with process(DYING_PROCESS, tmp_path / FILE_NAME) as dying:
            assert dying.stdout is not None
            promised = {int(dying.stdout.readline()) for _ in range(150)}
            dying.kill()
            promised |= {int(line) for line in dying.stdout if line.endswith("\n")}
        survivor = await opened(tmp_path)
        assert {number for number in promised if number < 300} <= await kept(survivor)
        await survivor.close()


class TestTrouble:
    async def test_a_full_disk_fails_the_unit_that_needs_room_and_the_next_small_one_is_kept(
        self, store: SqliteStore, writer: Session
    ) -> None:
        await store.transaction(keep(1))
        (pages,) = writer.control("PRAGMA page_count")[0]
        assert isinstance(pages, int)
        writer.control(f"PRAGMA max_page_count = {pages + 4}")
        with pytest.raises(StoreFull, match="no room left"):
            await store.transaction(keep(2, size=1_000_000))
        await store.transaction(keep(3))
        assert await kept(store) == {1, 3}

    async def test_beside_a_unit_that_needs_too_much_room_nothing_is_half_kept(
        self, store: SqliteStore, writer: Session
    ) -> None:
        (pages,) = writer.control("PRAGMA page_count")[0]
        assert isinstance(pages, int)
        writer.control(f"PRAGMA max_page_count = {pages + 4}")
        sizes = [5, 5, 1_000_000, 5]
        outcomes = await asyncio.gather(
            *(store.transaction(keep(n, size)) for n, size in enumerate(sizes)), return_exceptions=True
        )
        assert isinstance(outcomes[2], StoreFull)
        assert await kept(store) == {number for number, outcome in enumerate(outcomes) if outcome is None}

    async def test_a_transaction_that_sqlite_ended_by_itself_fails_every_unit_of_it(
        self, store: SqliteStore, writer: Session
    ) -> None:
        def end_it() -> Unit[None]:
            yield from raws.get("raw_1")
            # As SQLite does on some errors of the disk.
            writer.control("ROLLBACK")
            yield Statement("raw_get")

        outcomes = await asyncio.gather(
            *(store.transaction(end_it if n == 3 else keep(n)) for n in range(6)), return_exceptions=True
        )
        assert isinstance(outcomes[3], StoreError)
        assert await kept(store) == {number for number, outcome in enumerate(outcomes) if outcome is None}

    @pytest.mark.parametrize(
        ("content", "text"),
        [
            (b"this is no database\n" * 300, "no SQLite database"),
            (b"SQLite format 3\0" + b"\xff" * 8000, "database"),
        ],
    )
    async def test_a_file_that_is_no_database_is_refused_and_left_alone(
        self, tmp_path: Path, content: bytes, text: str
    ) -> None:
        (tmp_path / FILE_NAME).write_bytes(content)
        with pytest.raises(StoreError, match=text):
            await opened(tmp_path)
        assert (tmp_path / FILE_NAME).read_bytes() == content

    async def test_a_damaged_page_is_reported_and_the_rest_is_served(self, tmp_path: Path) -> None:
        store = await opened(tmp_path)
        await store.transaction(keep(1, size=200_000))
        await store.close()
        path = tmp_path / FILE_NAME
        with sqlite3.connect(path) as direct:
            (root,) = direct.execute("SELECT rootpage FROM sqlite_master WHERE name = 'email'").fetchone()
            (page,) = direct.execute("PRAGMA page_size").fetchone()
        direct.close()
        content = bytearray(path.read_bytes())
        content[(root - 1) * page : root * page] = b"\xff" * page
        path.write_bytes(content)
        damaged = await opened(tmp_path)

        def read_and_write_mail() -> Unit[None]:
            yield from emails.listing("default", 9)
            yield from emails.insert(EMAIL)

        with pytest.raises(StoreError, match="damaged"):
            await damaged.transaction(read_and_write_mail)
        assert await kept(damaged) == {1}
        await damaged.close()

    async def test_a_folder_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StoreError, match=r"file/data.*check that store\.data_dir is writable"):
            await opened(tmp_path / "file" / "data")

    async def test_a_database_that_is_a_folder_cannot_be_opened(self, tmp_path: Path) -> None:
        (tmp_path / FILE_NAME).mkdir()
        with pytest.raises(StoreError, match="cannot be opened"):
            await opened(tmp_path)

    async def test_a_store_that_became_read_only_says_so_and_can_still_be_read(
        self, store: SqliteStore, writer: Session
    ) -> None:
        await store.transaction(keep(1))
        writer.control("PRAGMA query_only = ON")
        with pytest.raises(StoreError, match="read-only"):
            await store.transaction(keep(2))
        assert await kept(store) == {1}

    @pytest.mark.parametrize(
        ("code", "kind", "text"),
        [
            (sqlite3.SQLITE_FULL, StoreFull, "free some"),
            (sqlite3.SQLITE_BUSY, StoreError, "another process holds"),
            (sqlite3.SQLITE_READONLY, StoreError, "read-only"),
            (sqlite3.SQLITE_IOERR_WRITE, StoreError, "input/output"),
            (sqlite3.SQLITE_CORRUPT_INDEX, StoreError, "restore it from a backup"),
            (sqlite3.SQLITE_MISUSE, StoreError, "boom"),
        ],
    )
    def test_every_trouble_says_what_to_do(self, code: int, kind: type[StoreError], text: str) -> None:
        error = sqlite3.OperationalError("boom")
        error.sqlite_errorcode = code
        mapped = failure.of_sqlite(error, Path("x.db"))
        assert type(mapped) is kind
        assert text in mapped.text


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def process(script: str, path: Path) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", script, str(path)]
    return subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
