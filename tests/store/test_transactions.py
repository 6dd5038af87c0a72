# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from rejoinder.errors import StoreError
from rejoinder.store import emails, jobs, raws, seen
from rejoinder.store.records import Seen
from rejoinder.store.unit import Store, Unit
from tests.store.samples import EMAIL, JOB, NOW, RAW, SEEN, job

pytestmark = pytest.mark.anyio


class Refused(Exception):
    """What a unit of these tests raises."""


def numbered(number: int) -> Seen:
    return replace(SEEN, event_key=f"k{number}", email_id=f"email_{number}")


def remember_then_refuse(number: int) -> Unit[None]:
    yield from seen.remember(numbered(number), NOW)
    raise Refused


def remember(number: int) -> Unit[Seen | None]:
    return seen.remember(numbered(number), NOW)


async def remembered(store: Store, number: int) -> bool:
    return await store.read(lambda: seen.find("default", f"k{number}", NOW)) is not None


async def test_a_read_sees_what_an_awaited_transaction_wrote(store: Store) -> None:
    for number in range(50):
        await store.transaction(lambda n=number: remember(n))  # type: ignore[misc]
        assert await remembered(store, number)


async def test_a_unit_that_raises_is_undone_and_its_neighbours_are_not(store: Store) -> None:
    outcomes = await asyncio.gather(
        *(
            store.transaction(lambda n=number: remember_then_refuse(n) if n % 3 == 0 else remember(n))  # type: ignore[misc]
            for number in range(30)
        ),
        return_exceptions=True,
    )
    for number, outcome in enumerate(outcomes):
        assert isinstance(outcome, Refused) == (number % 3 == 0)
        assert await remembered(store, number) == (number % 3 != 0)


async def test_units_are_run_in_the_order_in_which_they_were_given(store: Store) -> None:
    order: list[int] = []

    def note(number: int) -> Unit[int]:
        order.append(number)
        yield from remember(number)
        return number

    results = await asyncio.gather(*(store.transaction(lambda n=number: note(n)) for number in range(40)))  # type: ignore[misc]
    assert results == order == list(range(40))


async def test_a_cancelled_waiter_leaves_the_others_alone(store: Store) -> None:
    tasks = [asyncio.create_task(store.transaction(lambda n=number: remember(n))) for number in range(20)]  # type: ignore[misc]
    await asyncio.sleep(0)
    tasks[7].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[7], asyncio.CancelledError)
    assert all([await remembered(store, number) for number in range(20) if number != 7])


async def test_a_refused_row_undoes_its_unit_and_is_the_stores_error(store: Store) -> None:
    def twice() -> Unit[None]:
        yield from remember(1)
        yield from raws.insert(RAW)
        yield from raws.insert(RAW)

    with pytest.raises(StoreError, match="raw"):
        await store.transaction(twice)
    assert not await remembered(store, 1)
    assert await store.read(lambda: raws.get(RAW.id)) is None


async def test_a_mail_whose_raw_message_is_not_stored_is_refused(store: Store) -> None:
    with pytest.raises(StoreError):
        await store.transaction(lambda: emails.insert(EMAIL))


async def test_a_unit_that_only_reads_cannot_write(store: Store) -> None:
    with pytest.raises(StoreError):
        await store.read(lambda: raws.insert(RAW))
    assert await store.read(lambda: raws.get(RAW.id)) is None


async def test_a_read_that_raises_gives_its_own_exception(store: Store) -> None:
    def refuse() -> Unit[None]:
        yield from raws.get("raw_1")
        raise Refused

    with pytest.raises(Refused):
        await store.read(refuse)
    assert await store.read(lambda: raws.get("raw_1")) is None


async def test_jobs_wake_their_subscribers_after_the_commit_and_no_more_after_the_end(store: Store) -> None:
    wakes: list[str] = []
    end = store.on_jobs(lambda: wakes.append("first"))
    store.on_jobs(lambda: wakes.append("second"))
    await store.transaction(lambda: jobs.enqueue(JOB))
    assert wakes == ["first", "second"]
    end()
    await store.transaction(lambda: jobs.enqueue(job(2)))
    assert wakes == ["first", "second", "second"]


async def test_only_jobs_that_may_be_claimable_wake_anybody(store: Store) -> None:
    wakes: list[None] = []
    store.on_jobs(lambda: wakes.append(None))
    await store.transaction(lambda: remember(1))

    def enqueue_and_refuse() -> Unit[None]:
        yield from jobs.enqueue(JOB)
        raise Refused

    with pytest.raises(Refused):
        await store.transaction(enqueue_and_refuse)
    assert await store.transaction(lambda: jobs.claim(["run"], "a", 9, 30.0, {"run": 9})) == []
