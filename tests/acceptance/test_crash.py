# SPDX-License-Identifier: Apache-2.0
"""The server is killed with SIGKILL, at named steps and at random moments under load, and loses nothing.

Every mail that got 250 is there once, unchanged, and answered; none is answered twice under different
Message-IDs; an answer that arrived twice says that it may have; no process of a dead server stays. The
moments come from a seed, which is printed: REJOINDER_SEED repeats them, REJOINDER_KILLS says how many.
"""

from __future__ import annotations

import asyncio
import os
import random
import smtplib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from rejoinder.outbound.pool import Pool
from tests.acceptance.crash_ledger import Answer, Dispatched, Kept, Ledger, is_kept
from tests.acceptance.crash_rig import DELIVER_ROOM, HASTY, REAL, Letter, Rig, rig, until
from tests.acceptance.house import SUPPORT

pytestmark = pytest.mark.anyio

KILLS: Final = int(os.environ.get("REJOINDER_KILLS", "20"))
SENDERS: Final = 12


# --- random moments ----------------------------------------------------------------------------------


async def test_killed_at_random_moments_under_load_the_server_loses_and_repeats_nothing(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, REAL, 60 + 10 * KILLS) as house:
        await kill_under_load(house, KILLS)
        await house.stop()
        report(house)
        assert house.kills == KILLS
        assert house.ledger.findings() == []
        assert len(house.ledger.acknowledged) > KILLS
        # Only what was going on may be called uncertain.
        assert sum(each.uncertain for each in house.ledger.dispatched) <= KILLS * DELIVER_ROOM


async def test_a_server_that_answers_250_before_the_commit_fails_the_same_checks(tmp_path: Path) -> None:
    async with rig(tmp_path, HASTY, 120) as house:
        await kill_under_load(house, 3)
        await house.stop()
        report(house)
        assert [finding for finding in house.ledger.findings() if finding.startswith("lost:")]


async def kill_under_load(house: Rig, kills: int) -> None:
    """Kill the server so many times, one time in six while it starts, and leave it running."""
    seed = int(os.environ.get("REJOINDER_SEED") or time.time_ns() % 1_000_000)
    print(f"REJOINDER_SEED={seed}")  # noqa: T201 - to repeat a failure
    chance, stopping = random.Random(seed), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(SENDERS):
            group.create_task(house.send_until(stopping, random.Random(chance.random())))
        for _ in range(kills):
            if chance.random() < 1 / 6:
                await house.spawn()
                await asyncio.sleep(chance.uniform(0, 1))
            else:
                await house.start()
                await asyncio.sleep(chance.uniform(0, 0.4))
            await house.kill()
        await house.start()
        stopping.set()


def report(house: Rig) -> None:
    ledger = house.ledger
    print(  # noqa: T201 - what the run was worth
        f"{house.kills} kills, {len(ledger.offered)} mails offered, {len(ledger.acknowledged)} acknowledged,"
        f" {len(ledger.kept)} kept, {len(ledger.answers)} answers arrived, {len(ledger.repeats)} of them"
        f" again, {sum(each.uncertain for each in ledger.dispatched)} marked uncertain"
    )


# --- named steps -------------------------------------------------------------------------------------

Step = Callable[[Rig, Pool], Awaitable[None]]
"""Bring the server to its end at a certain point of a mail's way."""


async def before_the_end_of_the_content(house: Rig, pool: Pool) -> None:
    letter = house.letter("at once")
    session = await offer(house, letter, letter.raw[:-20])
    await house.kill()
    session.close()
    assert not is_kept(house.data_dir, letter.message_id)
    await house.start()
    await house.send(pool, letter)


async def before_the_worker_replies(house: Rig, pool: Pool) -> None:
    await killed_by_the_worker(house, pool, "kill-first")


async def between_the_reply_and_the_commit(house: Rig, pool: Pool) -> None:
    await killed_by_the_worker(house, pool, "kill-last")


async def after_an_early_250_before_the_reply(house: Rig, pool: Pool) -> None:
    await killed_by_the_worker(house, pool, "accept kill-first")


async def after_an_early_250_between_the_reply_and_the_commit(house: Rig, pool: Pool) -> None:
    await killed_by_the_worker(house, pool, "accept kill-last")


async def in_a_run_that_went_on_after_the_hold(house: Rig, pool: Pool) -> None:
    await killed_by_the_worker(house, pool, "late kill-last")


async def after_the_commit_with_the_250_lost(house: Rig, pool: Pool) -> None:
    letter = house.letter("at once")
    session = await offer(house, letter, letter.raw + b".\r\n")
    await until(lambda: is_kept(house.data_dir, letter.message_id), "the commit")
    await house.kill()
    session.close()
    await house.start()
    await house.send(pool, letter)


async def right_after_the_250(house: Rig, pool: Pool) -> None:
    letter = house.letter("at once")
    await house.send(pool, letter)
    await house.kill()
    assert is_kept(house.data_dir, letter.message_id)
    await house.start()


async def when_the_answer_is_offered_to_the_next_hop(house: Rig, pool: Pool) -> None:
    house.sink.on_recipient = house.strike
    await killed_meanwhile(house, pool, house.letter("at once"))


async def when_the_next_hop_has_the_answer(house: Rig, pool: Pool) -> None:
    letter = house.letter("at once")
    house.sink.on_content = house.strike
    await killed_meanwhile(house, pool, letter)
    await until(lambda: house.answers_to(letter) == 2, "the same answer again")


async def while_it_drains(house: Rig, pool: Pool) -> None:
    letter = house.letter("accept late")
    await house.send(pool, letter)
    house.process.terminate()
    await house.kill()
    await house.start()


STEPS: Final[tuple[Step, ...]] = (
    before_the_end_of_the_content,
    before_the_worker_replies,
    between_the_reply_and_the_commit,
    after_an_early_250_before_the_reply,
    after_an_early_250_between_the_reply_and_the_commit,
    in_a_run_that_went_on_after_the_hold,
    after_the_commit_with_the_250_lost,
    right_after_the_250,
    when_the_answer_is_offered_to_the_next_hop,
    when_the_next_hop_has_the_answer,
    while_it_drains,
)


async def test_killed_at_each_step_of_a_mails_way_the_server_loses_and_repeats_nothing(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, REAL, 120) as house, house.sender() as pool:
        await house.start()
        for step in STEPS:
            await step(house, pool)
            await house.settle()
        await house.stop()
        report(house)
        assert house.kills == len(STEPS)
        assert house.ledger.findings() == []
        assert house.ledger.acknowledged == house.ledger.offered.keys()
        assert house.ledger.repeats


async def killed_by_the_worker(house: Rig, pool: Pool, ways: str) -> None:
    """Send a letter whose worker kills the server at a certain point."""
    house.order_kill()
    await killed_meanwhile(house, pool, house.letter(ways))


async def killed_meanwhile(house: Rig, pool: Pool, letter: Letter) -> None:
    """Send a letter until it is acknowledged, while somebody kills the server."""
    sending = asyncio.create_task(house.send(pool, letter))
    await house.bury()
    await house.start()
    await sending


async def offer(house: Rig, letter: Letter, content: bytes) -> smtplib.SMTP:
    """Bring a letter as far as this content, and never read what the server says to it."""

    def talk() -> smtplib.SMTP:
        session = smtplib.SMTP("127.0.0.1", house.port, "mail.customer.example")
        session.ehlo()
        session.mail(str(letter.sender))
        session.rcpt(str(SUPPORT))
        assert session.docmd("DATA")[0] == 354
        session.send(content)
        return session

    return await asyncio.to_thread(talk)


# --- the checks --------------------------------------------------------------------------------------


def in_order() -> Ledger:
    """One mail, received, answered and delivered."""
    return Ledger(
        offered={"<1@c>": "aa"},
        acknowledged={"<1@c>"},
        answers=[Answer("<2@d>", "<1@c>", True)],
        kept=[Kept("<1@c>", "aa", "handled")],
        dispatched=[Dispatched("<2@d>", "<1@c>", "delivered", False, 0)],
    )


def test_a_ledger_in_order_has_no_findings() -> None:
    assert in_order().findings() == []


@pytest.mark.parametrize(
    ("finding", "broken"),
    [
        ("lost", {"kept": []}),
        ("doubled", {"kept": [Kept("<1@c>", "aa", "handled")] * 2}),
        ("changed", {"kept": [Kept("<1@c>", "bb", "handled")]}),
        ("unfinished", {"kept": [Kept("<1@c>", "aa", "dispatched")]}),
        ("unfinished", {"left_over": 1}),
        ("refused", {"refused": {"<1@c>": "550"}}),
        ("unanswered", {"answers": []}),
        ("unsigned", {"answers": [Answer("<2@d>", "<1@c>", False)]}),
        ("unknown", {"dispatched": []}),
        ("undelivered", {"dispatched": [Dispatched("<2@d>", "<1@c>", "deferred", False, 0)]}),
        ("answered twice", {"answers": [Answer("<2@d>", "<1@c>", True), Answer("<3@d>", "<1@c>", True)]}),
        ("unmarked", {"answers": [Answer("<2@d>", "<1@c>", True)] * 2}),
    ],
)
def test_each_broken_promise_is_found(finding: str, broken: dict[str, object]) -> None:
    ledger = in_order()
    for name, value in broken.items():
        setattr(ledger, name, value)
    assert [found for found in ledger.findings() if found.startswith(f"{finding}:")]


def test_a_repeat_that_says_so_is_in_order() -> None:
    ledger = in_order()
    ledger.answers *= 2
    ledger.dispatched = [Dispatched("<2@d>", "<1@c>", "delivered", True, 1)]
    assert ledger.findings() == []
