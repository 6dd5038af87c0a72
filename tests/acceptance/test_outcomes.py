# SPDX-License-Identifier: Apache-2.0
"""What the end of a run means for the sender and for the mail: the table of outcomes, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rejoinder.clock.manual import ManualClock
from rejoinder.dispatch.replay import replay
from rejoinder.message.headers import split
from rejoinder.outbound.connection import HopResult
from rejoinder.store.records import Email, EmailStatus, EventKind, Run, RunState
from tests.acceptance.gate import GATE, Gate
from tests.acceptance.house import SUPPORT, House, Open

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Scene:
    """A house on a clock that stands still, and a gate that its worker waits at."""

    house: House
    clock: ManualClock
    gate: Gate

    def send(self, text: str = "Please help.", **envelope: object) -> asyncio.Task[HopResult]:
        raw = self.house.alice.write(SUPPORT, "Help", text)
        return asyncio.create_task(self.house.send(raw, **envelope))  # type: ignore[arg-type]

    async def answer_to(self, sending: asyncio.Task[HopResult]) -> str:
        (outcome,) = (await sending).outcomes
        return str(outcome.reply)

    async def settled(self, email: Email, status: EmailStatus) -> Email:
        """Return when the mail has this status."""
        while True:
            found = next(each for each in await self.house.mail() if each.id == email.id)
            if found.status is status:
                return found
            await asyncio.sleep(0)

    async def waiting(self, email: Email, attempt: int = 1) -> Run:
        """Return when the run on the mail has had this attempt and waits to be tried again."""
        while True:
            (run,) = await self.house.runs(email)
            if run.state is RunState.WAITING and run.attempt == attempt:
                return run
            await asyncio.sleep(0)

    async def kinds(self, email: Email) -> list[EventKind]:
        return [event.kind for event in await self.house.events(email)]


MakeScene = Callable[..., Awaitable[Scene]]


@pytest.fixture
async def scene(open_house: Open, tmp_path: Path) -> AsyncIterator[MakeScene]:
    async with Gate(tmp_path / "gate") as gate:

        async def make(body: str, *, on_failure: str = "queue", **workers: object) -> Scene:
            clock = ManualClock()
            path = tmp_path / "desk.py"
            path.write_text(f"{GATE}\ntries = 0\n\nasync def email(message, env, ctx):\n{body}\n")
            worker = {"name": "desk", "file": path, "variables": {"gate": str(gate.path)}}
            route = {"match": "support@desk.example", "worker": "desk", "on_failure": on_failure}
            # Minutes pass in an instant here, in which no lease can be renewed and no process started.
            patience = {"queue": {"lease": "1h"}, "workers": {"start_limit": "1h", **workers}}
            house = await open_house(clock=clock, worker=[worker], route=[route], **patience)
            return Scene(house, clock, gate)

        yield make


# --- while the sender waits ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """What a worker does, and what comes of it."""

    body: str
    answer: str
    status: EmailStatus
    state: RunState
    on_failure: str = "queue"


ROWS = [
    Row("    await message.reply('a')", "250 2.0.0 Ok", EmailStatus.HANDLED, RunState.FINISHED),
    Row("    pass", "250 2.0.0 Ok", EmailStatus.HANDLED, RunState.FINISHED),
    Row(
        "    message.set_reject('no ticket')", "550 5.7.1 no ticket", EmailStatus.REJECTED, RunState.REJECTED
    ),
    # A reply and a refusal: the refusal is explained. Nobody awaits either, and both happen.
    Row(
        "    message.reply('read the manual'); message.set_reject('closed')",
        "550 5.7.1 closed",
        EmailStatus.REJECTED,
        RunState.REJECTED,
    ),
    # A line break in a reason would end the SMTP reply.
    Row(
        "    message.set_reject('a\\r\\n250 ok')",
        "550 5.7.1 a 250 ok",
        EmailStatus.REJECTED,
        RunState.REJECTED,
    ),
    Row("    raise ValueError('x')", "250 2.0.0 Ok", EmailStatus.DISPATCHED, RunState.WAITING),
    Row(
        "    raise ValueError('x')",
        "550 5.3.0 The message could not be handled",
        EmailStatus.REJECTED,
        RunState.DEAD_LETTERED,
        on_failure="reject",
    ),
    Row("    import os; os._exit(3)", "250 2.0.0 Ok", EmailStatus.DISPATCHED, RunState.WAITING),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.body.strip()} {row.on_failure}")
async def test_the_end_of_a_run_is_the_answer_to_a_sender_who_waits(scene: MakeScene, row: Row) -> None:
    desk = await scene(row.body, on_failure=row.on_failure)
    assert await desk.answer_to(desk.send()) == row.answer
    (email,) = await desk.house.mail()
    (run,) = await desk.house.runs(email)
    assert (email.status, run.state) == (row.status, row.state)
    replied = "reply" in row.body
    assert len(await desk.house.sent(email)) == replied
    if replied:
        assert (await desk.house.sink.next()).envelope.forward_paths[0].local_part == "alice"


@pytest.mark.parametrize(
    ("body", "on_failure", "answer"),
    [
        (
            "    message.reply('a'); message.defer('the ledger is closed')",
            "queue",
            "451 4.7.1 the ledger is closed",
        ),
        (
            "    message.reply('a'); raise ValueError",
            "tempfail",
            "451 4.3.0 Temporary failure, try again later",
        ),
    ],
)
async def test_of_a_mail_that_the_sender_shall_send_again_only_an_event_is_kept(
    scene: MakeScene, body: str, on_failure: str, answer: str
) -> None:
    desk = await scene(body, on_failure=on_failure)
    assert await desk.answer_to(desk.send()) == answer
    assert await desk.house.mail() == []
    (event,) = await desk.house.recent()
    assert event.kind is EventKind.DEFERRED_IN
    assert answer in event.evidence


async def test_a_failure_discards_what_was_replied_and_the_next_try_says_it_once(scene: MakeScene) -> None:
    body = """
    global tries
    tries += 1
    await message.reply(f"try {tries}")
    if tries == 1:
        raise ValueError("the first try fails")"""
    desk = await scene(body)
    assert await desk.answer_to(desk.send()) == "250 2.0.0 Ok"
    (email,) = await desk.house.mail()
    assert await desk.house.sent(email) == []
    await desk.clock.advance(60)
    answer = await desk.house.sink.next()
    assert b"try 2" in answer.raw
    await desk.settled(email, EmailStatus.HANDLED)
    assert len(await desk.house.sent(email)) == 1
    (run,) = await desk.house.runs(email)
    assert (run.state, run.attempt) == (RunState.FINISHED, 2)


async def test_a_worker_that_always_fails_leaves_a_dead_letter(scene: MakeScene) -> None:
    desk = await scene("    raise ValueError('always')", retries=["1m"])
    assert await desk.answer_to(desk.send()) == "250 2.0.0 Ok"
    (email,) = await desk.house.mail()
    await desk.clock.advance(70)
    await desk.settled(email, EmailStatus.FAILED)
    (run,) = await desk.house.runs(email)
    assert run.state is RunState.DEAD_LETTERED
    assert "ValueError: always" in (run.error or "")
    assert (await desk.kinds(email))[-1] is EventKind.DEAD_LETTERED
    assert desk.house.sink.received == []


async def test_a_dead_letter_is_replayed_with_all_its_tries_before_it(scene: MakeScene) -> None:
    desk = await scene("    raise ValueError('always')", retries=["1m"])
    await desk.send()
    (email,) = await desk.house.mail()
    for _ in range(2):
        await desk.clock.advance(70)
        await desk.settled(email, EmailStatus.FAILED)
        (run,) = await desk.house.runs(email)
        assert (run.state, run.attempt) == (RunState.DEAD_LETTERED, 2)
        assert await desk.house.server.store.transaction(lambda: replay(email.id))
        assert not await desk.house.server.store.transaction(lambda: replay(email.id))
        await desk.waiting(email, attempt=1)


async def test_that_a_mail_may_not_be_answered_is_no_failure_of_the_worker(scene: MakeScene) -> None:
    desk = await scene("    await message.reply('a')\n    print('not reached')", on_failure="reject")
    raw = desk.house.alice.write(
        SUPPORT, "Away", "Until Monday.", headers=[("Auto-Submitted", "auto-replied")]
    )
    (outcome,) = (await desk.house.send(raw)).outcomes
    assert str(outcome.reply) == "250 2.0.0 Ok"
    (email,) = await desk.house.mail()
    (run,) = await desk.house.runs(email)
    assert (email.status, run.state) == (EmailStatus.HANDLED, RunState.FINISHED)
    assert run.log.startswith("ReplyToAutomaticMail (not caught): ")
    assert '"reply-to-automatic-mail"' in (await desk.house.events(email))[-1].evidence


async def test_a_reply_that_no_mail_could_get_is_a_failure_of_the_worker(scene: MakeScene) -> None:
    desk = await scene("    await message.reply(b'no header')")
    assert await desk.answer_to(desk.send()) == "250 2.0.0 Ok"
    (email,) = await desk.house.mail()
    assert (await desk.house.runs(email))[0].state is RunState.WAITING


# --- after 250 ----------------------------------------------------------------------------------------------

WAIT = "    await gate(env, 'working')\n"


async def detached(desk: Scene, sending: asyncio.Task[HopResult]) -> Email:
    """Let the sender go while the worker is at work, and the worker go on."""
    working = await desk.gate.arrival("working")
    await desk.clock.advance(5)
    assert await desk.answer_to(sending) == "250 2.0.0 Ok"
    (email,) = await desk.house.mail()
    assert email.status is EmailStatus.DISPATCHED
    desk.gate.let_go(working)
    return email


async def test_the_same_run_goes_on_when_the_sender_is_let_go(scene: MakeScene) -> None:
    desk = await scene(WAIT + "    await message.reply('at last')")
    email = await detached(desk, desk.send())
    assert b"at last" in (await desk.house.sink.next()).raw
    await desk.settled(email, EmailStatus.HANDLED)
    (run,) = await desk.house.runs(email)
    assert (run.state, run.attempt) == (RunState.FINISHED, 1)


async def test_a_late_refusal_is_reported_to_a_proven_sender(scene: MakeScene) -> None:
    desk = await scene(WAIT + "    message.reply('why'); message.set_reject('too late')")
    email = await detached(desk, desk.send())
    reports = [await desk.house.sink.next(), await desk.house.sink.next()]
    report = next(each for each in reports if b"multipart/report" in each.raw)
    headers, _ = split(report.raw)
    assert report.envelope.reverse_path is None
    assert headers.get("Auto-Submitted") == "auto-replied"
    assert b"5.7.1 too late" in report.raw
    await desk.settled(email, EmailStatus.REJECTED)


async def test_a_late_refusal_of_an_unproven_sender_is_told_to_nobody(scene: MakeScene) -> None:
    desk = await scene(WAIT + "    message.set_reject('too late')")
    email = await detached(desk, desk.send(reverse_path="victim@elsewhere.example"))
    await desk.settled(email, EmailStatus.REJECTED)
    assert EventKind.REJECTED_SILENTLY in await desk.kinds(email)
    assert desk.house.sink.received == []


@pytest.mark.parametrize(
    "body", ["    message.defer('later')", "    raise ValueError", "    import os; os._exit(1)"]
)
@pytest.mark.parametrize("on_failure", ["queue", "tempfail", "reject"])
async def test_after_250_a_failure_is_never_the_senders_bounce(
    scene: MakeScene, body: str, on_failure: str
) -> None:
    desk = await scene(WAIT + body, on_failure=on_failure)
    email = await detached(desk, desk.send())
    await desk.waiting(email)
    assert desk.house.sink.received == []
    await desk.clock.advance(40)
    again = await desk.gate.arrival("working")
    assert (await desk.house.runs(email))[0].attempt == 2
    again.close()


async def test_accept_ends_the_waiting_on_purpose(scene: MakeScene) -> None:
    desk = await scene("    await message.accept()\n" + WAIT + "    await message.reply('thought it over')")
    sending = desk.send()
    working = await desk.gate.arrival("working")
    assert await desk.answer_to(sending) == "250 2.0.0 Ok"
    desk.gate.let_go(working)
    assert b"thought it over" in (await desk.house.sink.next()).raw


async def test_a_run_is_cancelled_at_its_time_limit_and_tried_again(scene: MakeScene) -> None:
    desk = await scene(WAIT)
    sending = desk.send()
    waiting_for_ever = await desk.gate.arrival("working")
    await desk.clock.advance(5)
    assert await desk.answer_to(sending) == "250 2.0.0 Ok"
    (email,) = await desk.house.mail()
    await desk.clock.advance(295)
    await desk.waiting(email)
    assert "time-limit" in (await desk.house.events(email))[-1].evidence
    waiting_for_ever.close()


async def test_with_hold_0_no_sender_waits(scene: MakeScene) -> None:
    desk = await scene(WAIT + "    await message.reply('done')", hold=0)
    sending = desk.send()
    assert await desk.answer_to(sending) == "250 2.0.0 Ok"
    desk.gate.let_go(await desk.gate.arrival("working"))
    assert b"done" in (await desk.house.sink.next()).raw


# --- the same mail again ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "answer"),
    [("    await message.reply('a')", "250 2.0.0 Ok"), ("    message.set_reject('no')", "550 5.7.1 no")],
)
async def test_the_same_mail_again_gets_the_same_answer_and_no_second_run(
    scene: MakeScene, body: str, answer: str
) -> None:
    desk = await scene(body)
    raw = desk.house.alice.write(SUPPORT, "Help", "Once.")
    for _ in range(2):
        (outcome,) = (await desk.house.send(raw)).outcomes
        assert str(outcome.reply) == answer
    (email,) = await desk.house.mail()
    assert len(await desk.house.runs(email)) == 1
    assert (await desk.kinds(email)).count(EventKind.DUPLICATE) == 1


async def test_of_two_equal_mails_at_once_the_second_waits_for_the_first(scene: MakeScene) -> None:
    desk = await scene(WAIT + "    await message.reply('a')")
    raw = desk.house.alice.write(SUPPORT, "Help", "Twice.")
    sendings = [asyncio.create_task(desk.house.send(raw)) for _ in range(2)]
    desk.gate.let_go(await desk.gate.arrival("working"))
    assert [await desk.answer_to(each) for each in sendings] == ["250 2.0.0 Ok"] * 2
    (email,) = await desk.house.mail()
    assert len(await desk.house.sent(email)) == 1


async def test_after_a_day_the_same_mail_is_a_new_one(scene: MakeScene) -> None:
    desk = await scene("    await message.reply('a')")
    raw = desk.house.alice.write(SUPPORT, "Help", "Daily.")
    await desk.house.send(raw)
    await desk.clock.leap(86_401)
    await desk.house.send(raw)
    assert len(await desk.house.mail()) == 2
