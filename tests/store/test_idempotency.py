# SPDX-License-Identifier: Apache-2.0
"""Answers kept under idempotency keys, and the counters of quotas."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from rejoinder.clock.manual import ManualClock
from rejoinder.errors import QuotaExceeded
from rejoinder.store import idempotency, query, quotas
from rejoinder.store.migration import load, migrate
from rejoinder.store.records import KeptAnswer
from rejoinder.store.session import Session
from rejoinder.store.settings import StoreSettings
from rejoinder.store.sqlite import FILE_NAME, SqliteStore
from rejoinder.store.unit import Store, Unit
from tests.store.samples import NOW

pytestmark = pytest.mark.anyio

DAY: Final = 86_400_000_000
KEPT: Final = KeptAnswer(
    "default", "POST", "/emails/email_1/reply", "k", "{}", '{"id":"sent_1"}', "sent_1", NOW
)


async def keep(store: Store, answer: KeptAnswer) -> KeptAnswer | None:
    return await store.transaction(lambda: idempotency.keep(answer, answer.at - DAY))


async def find(store: Store, at: int = NOW) -> KeptAnswer | None:
    return await store.read(lambda: idempotency.find("default", "POST", KEPT.path, "k", at - DAY))


async def test_an_answer_is_kept_and_found_whole(store: Store) -> None:
    assert await find(store) is None
    assert await keep(store, KEPT) is None
    assert await find(store) == KEPT


async def test_the_first_answer_stays(store: Store) -> None:
    await keep(store, KEPT)
    later = replace(KEPT, answer="{}", fingerprint="[]", sent_id="sent_2", at=NOW + DAY)
    assert await keep(store, later) == KEPT
    assert await find(store) == KEPT


async def test_after_a_day_a_key_is_new(store: Store) -> None:
    await keep(store, KEPT)
    assert await find(store, NOW + DAY) == KEPT
    assert await find(store, NOW + DAY + 1) is None
    later = replace(KEPT, sent_id="sent_2", at=NOW + DAY + 1)
    assert await keep(store, later) is None
    assert await find(store, later.at) == later


@pytest.mark.parametrize(
    "other",
    [
        replace(KEPT, account="b"),
        replace(KEPT, method="PUT"),
        replace(KEPT, path="/x"),
        replace(KEPT, key="K"),
    ],
)
async def test_another_account_method_path_or_key_is_another_request(store: Store, other: KeptAnswer) -> None:
    await keep(store, KEPT)
    assert await keep(store, other) is None


async def test_of_many_at_once_one_keeps_its_answer_and_all_others_get_it(store: Store) -> None:
    answers = [replace(KEPT, sent_id=f"sent_{number}") for number in range(20)]
    earlier = await asyncio.gather(*(keep(store, answer) for answer in answers))
    [winner] = [answer for answer, was in zip(answers, earlier, strict=True) if was is None]
    assert all(was in (None, winner) for was in earlier)


async def test_what_a_transaction_that_failed_kept_is_not_kept(store: Store) -> None:
    def fail() -> Unit[None]:
        yield from idempotency.keep(KEPT, NOW - DAY)
        raise QuotaExceeded

    with pytest.raises(QuotaExceeded):
        await store.transaction(fail)
    assert await find(store) is None


async def test_an_answer_can_be_amended_and_forgotten_by_what_was_sent(store: Store) -> None:
    await keep(store, KEPT)
    await keep(store, replace(KEPT, key="other", sent_id="sent_2"))
    await store.transaction(lambda: idempotency.amend("sent_1", '{"id":"sent_1","more":1}'))
    assert await find(store) == replace(KEPT, answer='{"id":"sent_1","more":1}')
    await store.transaction(lambda: idempotency.forget("sent_1"))
    assert await find(store) is None
    assert await keep(store, replace(KEPT, key="other")) is not None


async def test_what_is_older_than_a_day_goes_as_new_answers_come(store: Store) -> None:
    for number in range(15):
        await keep(store, replace(KEPT, key=f"old{number}"))
    for number in range(2):
        await keep(store, replace(KEPT, key=f"new{number}", at=NOW + DAY + 1))
    # Whatever is found with a horizon at the beginning is still there.
    left = [
        await store.read(lambda key=key: idempotency.find("default", "POST", KEPT.path, key, 0))  # type: ignore[misc]
        for key in [f"old{number}" for number in range(15)]
    ]
    assert left == [None] * 15


async def test_a_counter_counts_its_period_and_begins_again_with_the_next(store: Store) -> None:
    async def count(account: str, length: str, period: str) -> int:
        return await store.transaction(lambda: quotas.count(account, length, period, 1))

    async def give_back(period: str) -> None:
        await store.transaction(lambda: quotas.give_back("a", "month", period, 2))

    assert [await count("a", "month", "2026-01") for _ in range(3)] == [1, 2, 3]
    assert await count("a", "hour", "2026-01-31T23") == 1
    assert await count("b", "month", "2026-01") == 1
    assert await count("a", "month", "2026-02") == 1
    assert await count("a", "hour", "2026-01-31T23") == 2
    assert await store.transaction(lambda: quotas.count("a", "month", "2026-02", 5)) == 6
    await give_back("2026-02")
    await give_back("2026-01")
    assert await count("a", "month", "2026-02") == 5
    assert await store.transaction(lambda: quotas.count("a", "month", "2026-03", 5)) == 5


async def test_a_store_of_the_first_release_is_brought_up_to_date(tmp_path: Path, clock: ManualClock) -> None:
    session = Session(tmp_path / FILE_NAME, query.load("sqlite"), clock)
    migrate(session, load()[:1], NOW)
    session.control(
        "INSERT INTO raw VALUES ('raw_1', 'ab', 1, NULL, 0, x'61')",
    )
    session.control(
        "INSERT INTO sent VALUES"
        " ('sent_1', 'default', 'thread_1', NULL, NULL, 'worker', NULL, 'a@b', '<1@b>', '', 'raw_1', 1, 0)"
    )
    session.close()
    opened = await SqliteStore.open(StoreSettings(data_dir=tmp_path), clock)
    try:
        assert await keep(opened, KEPT) is None
    finally:
        await opened.close()
