# SPDX-License-Identifier: Apache-2.0
"""What is put away, when, and what is left alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rejoinder.clock import SECOND
from rejoinder.clock.manual import ManualClock
from rejoinder.errors import StoreError
from rejoinder.ids import Ids
from rejoinder.queue.housekeeping import Housekeeper
from rejoinder.store import jobs, raws, seen
from rejoinder.store.raw import RawStore
from rejoinder.store.raw.files import RawFiles
from rejoinder.store.records import Seen
from rejoinder.store.settings import StoreSettings
from rejoinder.store.sqlite import SqliteStore
from rejoinder.store.unit import Unit
from tests.store.samples import NOW, SEEN, job

pytestmark = pytest.mark.anyio

DAY = 86_400 * SECOND


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(StoreSettings(data_dir=tmp_path), clock)
    yield opened
    await opened.close()


@pytest.fixture
def files(tmp_path: Path) -> RawFiles:
    return RawFiles(tmp_path / "raw")


@asynccontextmanager
async def keeping_house(store: SqliteStore, files: RawFiles, clock: ManualClock) -> AsyncIterator[None]:
    task = asyncio.create_task(Housekeeper(store, files, clock, DAY).run())
    yield
    task.cancel()
    await asyncio.wait([task])


async def rest(clock: ManualClock) -> None:
    """Return when the housekeeper sleeps."""
    async with asyncio.timeout(10):
        while not clock.sleepers:  # noqa: ASYNC110 - the store's thread tells nobody
            await asyncio.sleep(0)


async def remembered(store: SqliteStore) -> list[str]:
    keys = ["old", "day", "new"]
    found = [await store.read(lambda key=key: seen.find("default", key, 0)) for key in keys]  # type: ignore[misc]
    return [each.event_key for each in found if each is not None]


def all_of(answers: list[Seen]) -> Unit[None]:
    for each in answers:
        yield from seen.remember(each, 0)


async def test_answers_are_put_away_after_a_day_when_the_server_starts_and_every_hour(
    store: SqliteStore, files: RawFiles, clock: ManualClock
) -> None:
    ages = {"old": NOW - DAY - 1, "day": NOW - DAY, "new": NOW}
    answers = [replace(SEEN, event_key=key, at=at) for key, at in ages.items()]
    many = [replace(SEEN, event_key=f"many{n}", at=NOW - 2 * DAY) for n in range(1200)]
    await store.transaction(lambda: all_of(answers + many))
    async with keeping_house(store, files, clock):
        await rest(clock)
        assert await remembered(store) == ["day", "new"]
        assert await store.transaction(lambda: seen.forget(NOW - DAY, 9)) == 0
        await clock.advance(3600)
        await rest(clock)
        assert await remembered(store) == ["new"]


async def test_lanes_in_which_nothing_is_left_are_put_away(
    store: SqliteStore, files: RawFiles, clock: ManualClock
) -> None:
    def unit() -> Unit[None]:
        for n in range(600):
            yield from jobs.enqueue(job(n, f"deliver:{n}.example"))
        for one in (yield from jobs.claim(["deliver"], "me", 599, 30.0, {"deliver": 1})):
            yield from jobs.finish(one)

    await store.transaction(unit)
    async with keeping_house(store, files, clock):
        await rest(clock)
        assert await store.transaction(lambda: jobs.forget_lanes(999)) == 0
        assert (
            len(await store.transaction(lambda: jobs.claim(["deliver"], "me", 9, 30.0, {"deliver": 1}))) == 1
        )


async def test_files_that_no_row_names_are_removed_at_the_start_unless_they_are_young(
    store: SqliteStore, files: RawFiles, clock: ManualClock, tmp_path: Path
) -> None:
    raw_store = RawStore(StoreSettings(inline_max=0), Ids(os.urandom), clock, files)
    named, stray, young = [await raw_store.keep(b"a mail") for _ in range(3)]
    await store.transaction(lambda: raws.insert(named))

    def path(location: str | None) -> Path:
        assert location is not None
        return tmp_path / "raw" / location

    for raw, age in ((named, 3601), (stray, 3601), (young, 3599)):
        os.utime(path(raw.location), ns=(0, (NOW - age * SECOND) * 1000))
    with capture_logs() as logs:
        async with keeping_house(store, files, clock):
            await rest(clock)
            assert [path(raw.location).exists() for raw in (named, stray, young)] == [True, False, True]
            await clock.advance(3600)
            await rest(clock)
            # Who is about to name it has had an hour, but this server may be the one.
            assert path(young.location).exists()
    removed = [entry["location"] for entry in logs if entry["event"] == "queue.stray_file_removed"]
    assert removed == [stray.location]


async def test_what_the_store_refuses_is_tried_again_in_an_hour(
    store: SqliteStore, files: RawFiles, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(make: object) -> int:
        raise StoreError("the disk is away")

    await store.transaction(lambda: all_of([replace(SEEN, event_key="old", at=0)]))
    with capture_logs() as logs, monkeypatch.context() as patch:
        patch.setattr(store, "transaction", refuse)
        async with keeping_house(store, files, clock):
            await rest(clock)
            patch.undo()
            await clock.advance(3600)
            await rest(clock)
            assert await remembered(store) == []
    assert "queue.housekeeping_failed" in [entry["event"] for entry in logs]
