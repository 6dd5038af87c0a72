# SPDX-License-Identifier: Apache-2.0
"""What a try judges and keeps, in order, and when it is over."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rejoinder.errors import EventEnded, ReplyInvalid, ReplyOncePerEvent, ReplyRefused
from rejoinder.runtime.conclusion import write
from rejoinder.runtime.outcome import Outcome
from rejoinder.runtime.run import Assignment, Try
from rejoinder.runtime.values import Actions, Ended, Ending, ReplyAction
from rejoinder.store import emails, raws, runs, sent, threads
from rejoinder.store.records import Email
from rejoinder.store.unit import Unit
from tests.store.samples import EMAIL
from tests.unit.replies.originals import ORIGINAL
from tests.unit.runtime.desk import ASSIGNMENT, Desk, open_desk

pytestmark = pytest.mark.anyio

HELLO = ReplyAction(text="Hello")
BUILT = ReplyAction(raw=b"From: support@desk.example\r\nMessage-ID: <own@desk.example>\r\n\r\nHello")


async def run(desk: Desk, assignment: Assignment = ASSIGNMENT) -> tuple[Try, Ended]:
    attempt = desk.runner.start(assignment)
    return attempt, await attempt.ended()


async def test_a_reply_is_kept_as_an_effect_and_nothing_is_written(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        said: list[str] = []

        async def play(actions: Actions) -> None:
            said.append(await actions.reply(HELLO))

        desk.stage.play = play
        attempt, ended = await run(desk)
        (effect,) = attempt.effects
        assert ended == Ended(Ending.NORMAL)
        assert said == [effect.message_id]
        assert effect.message_id.endswith("@desk.example>")
        assert str(effect.recipient) == "alice@customer.example"
        assert await desk.store.read(lambda: sent.of_email("email_1")) == []


async def test_a_repeated_try_says_the_same_message_id_and_another_mail_another(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:

        async def play(actions: Actions) -> None:
            await actions.reply(HELLO)

        desk.stage.play = play
        found = [
            (await run(desk, assignment))[0].effects[0].message_id
            for assignment in (
                ASSIGNMENT,
                replace(ASSIGNMENT, attempt=2),
                replace(ASSIGNMENT, original=replace(ORIGINAL, email_id="email_2")),
            )
        ]
        assert found[0] == found[1] != found[2]


async def test_of_two_replies_at_once_the_first_is_kept_and_the_second_told(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        results: list[object] = []

        async def play(actions: Actions) -> None:
            both = (actions.reply(HELLO), actions.reply(BUILT))
            results.extend(await asyncio.gather(*both, return_exceptions=True))

        desk.stage.play = play
        attempt, ended = await run(desk)
        assert len(attempt.effects) == 1
        assert isinstance(results[0], str)
        assert isinstance(results[1], ReplyOncePerEvent)
        assert [each.codes for each in ended.refused] == [("reply-once-per-event",)]


async def test_a_refused_reply_does_not_use_up_the_one(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:

        async def play(actions: Actions) -> None:
            with pytest.raises(ReplyInvalid):
                await actions.reply(ReplyAction(raw=b"Subject: no author\r\n\r\n"))
            with pytest.raises(ReplyInvalid, match="needs a text or a message"):
                await actions.reply(ReplyAction())
            assert await actions.reply(BUILT) == "<own@desk.example>"

        desk.stage.play = play
        attempt, ended = await run(desk)
        assert len(attempt.effects) == 1
        assert len(ended.refused) == 2


async def test_an_action_after_the_end_is_refused(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        attempt, _ = await run(desk)
        with pytest.raises(EventEnded):
            await attempt.reply(HELLO)
        assert attempt.effects == []


async def test_a_reply_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async with open_desk(tmp_path, max_size=1_000) as desk:

        async def play(actions: Actions) -> None:
            with pytest.raises(ReplyInvalid, match=r"more than outbound\.max_size = 1000"):
                await actions.reply(ReplyAction(text="x " * 1_000))
            await actions.reply(HELLO)

        desk.stage.play = play
        attempt, _ = await run(desk)
        assert len(attempt.effects) == 1


@pytest.mark.parametrize("budget", ["per_correspondent", "per_thread"])
async def test_what_was_answered_before_is_counted_for_a_day(tmp_path: Path, budget: str) -> None:
    async with open_desk(tmp_path, **{budget: 2, "max_size": 10_000}) as desk:

        async def play(actions: Actions) -> None:
            await actions.reply(HELLO)

        desk.stage.play = play
        for number in range(3):
            email_id = f"email_{number}"
            assignment = replace(
                ASSIGNMENT,
                event_key=email_id,
                run_id=f"run_{number}",
                original=replace(ORIGINAL, email_id=email_id),
                references=("<0@customer.example>",),
            )
            if number == 2:
                with pytest.raises(ReplyRefused, match=budget):
                    await run(desk, assignment)
                await desk.clock.advance(86_401)
            attempt, _ = await run(desk, assignment)
            await keep(desk, attempt, email_id)


async def test_a_second_reply_to_a_mail_that_was_answered_by_an_earlier_run_is_refused(
    tmp_path: Path,
) -> None:
    async with open_desk(tmp_path) as desk:

        async def play(actions: Actions) -> None:
            await actions.reply(HELLO)

        desk.stage.play = play
        attempt, _ = await run(desk)
        await keep(desk, attempt, "email_1")
        with pytest.raises(ReplyOncePerEvent):
            await run(desk)


async def test_mails_at_once_cannot_each_use_the_last_of_a_budget(tmp_path: Path) -> None:
    async with open_desk(tmp_path, per_correspondent=2) as desk:
        refused: list[ReplyRefused] = []

        async def play(actions: Actions) -> None:
            try:
                await actions.reply(HELLO)
            except ReplyRefused as refusal:
                refused.append(refusal)

        desk.stage.play = play
        tries = [
            desk.runner.start(replace(ASSIGNMENT, original=replace(ORIGINAL, email_id=f"email_{number}")))
            for number in range(5)
        ]
        for attempt in tries:
            await attempt.ended()
        assert sum(len(attempt.effects) for attempt in tries) == 2
        assert [each.code for each in refused] == ["reply-budget"] * 3
        # What is discarded leaves room for another.
        await next(attempt for attempt in tries if attempt.effects).cancel()
        attempt, _ = await run(desk, replace(ASSIGNMENT, original=replace(ORIGINAL, email_id="email_9")))
        assert len(attempt.effects) == 1


async def keep(desk: Desk, attempt: Try, email_id: str) -> None:
    """Commit what the try left, in the one thread of these tests."""
    end = await desk.concluder.conclude(
        attempt.assignment, Ended(Ending.NORMAL), attempt.effects, Outcome.HANDLED, sender_waits=True
    )
    raw = await desk.raws.keep(b"x", desk.clock.now())
    email: Email = replace(EMAIL, id=email_id, raw_id=raw.id, message_id="<0@customer.example>")

    def unit() -> Unit[None]:
        yield from raws.insert(raw)
        thread = yield from threads.place(
            "default", references=("<0@customer.example>",), in_reply_to=(), new_id="thread_1", now=0
        )
        yield from threads.name("default", "<0@customer.example>", email_id, thread, desk.clock.now())
        yield from emails.insert(replace(email, thread_id=thread))
        yield from runs.insert(end.run)
        yield from write(end, thread)

    await desk.store.transaction(unit)
    attempt.release()


# --- waiting, accepting, cancelling -------------------------------------------------------------------------


async def test_a_try_is_settled_by_its_end_or_by_accept(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        attempt = desk.runner.start(ASSIGNMENT)
        await attempt.settled()
        assert attempt.end == Ended(Ending.NORMAL)

        desk.stage.play = lambda actions: actions.accept()
        attempt = desk.runner.start(ASSIGNMENT)
        await attempt.settled()
        assert attempt.end is None
        attempt.committed()
        attempt.committed()
        assert await attempt.ended() == Ended(Ending.NORMAL)


async def test_a_cancelled_try_ends_and_an_accept_that_waits_is_refused(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        waiting: list[asyncio.Task[None]] = []

        async def play(actions: Actions) -> None:
            # As the host does it: the judging of an action outlives the run's own task.
            waiting.append(asyncio.ensure_future(actions.accept()))
            await asyncio.Event().wait()

        desk.stage.play = play
        attempt = desk.runner.start(ASSIGNMENT)
        await attempt.settled()
        await attempt.cancel()
        with pytest.raises(EventEnded):
            await waiting[0]
        await attempt.cancel()


async def test_cancelling_what_has_ended_changes_nothing(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        attempt, ended = await run(desk)
        await attempt.cancel()
        assert attempt.end == ended


async def test_whoever_stops_waiting_for_the_end_does_not_end_it(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        gate = asyncio.Event()

        async def play(actions: Actions) -> None:
            await gate.wait()

        desk.stage.play = play
        attempt = desk.runner.start(ASSIGNMENT)
        waiting = asyncio.create_task(attempt.ended())
        await asyncio.sleep(0)
        waiting.cancel()
        gate.set()
        assert await attempt.ended() == Ended(Ending.NORMAL)


async def test_the_event_says_what_the_worker_may_know(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        await run(desk, replace(ASSIGNMENT, attempt=3, deaths=1))
        await run(desk, replace(ASSIGNMENT, original=replace(ORIGINAL, reverse_path=None), deaths=2))
        first, second = desk.stage.events
        assert (first.reverse_path, first.attempt, first.alone) == ("alice@customer.example", 3, False)
        assert (second.reverse_path, second.alone) == (None, True)
        assert first.header_block == ORIGINAL.headers.raw


TRACEBACK = """Traceback (most recent call last):
  File "/srv/desk.py", line 7, in email
    raise Trouble(message.text)
            ^^^^^^
desk.Trouble: a secret
  of the customer's
ends here
"""


@pytest.mark.parametrize(
    ("ended", "event", "error"),
    [
        (Ended(Ending.NORMAL), "runtime.run_ended", None),
        (Ended(Ending.EXCEPTION, error=TRACEBACK), "runtime.run_failed", "desk.Trouble"),
        (
            Ended(Ending.EXCEPTION, error="no worker is named 'x'"),
            "runtime.run_failed",
            "no worker is named 'x'",
        ),
        (Ended(Ending.TIME_LIMIT, error=f"cancelled\n{TRACEBACK}"), "runtime.run_failed", "cancelled"),
    ],
)
async def test_the_end_of_a_try_is_logged_without_what_the_mail_says(
    tmp_path: Path, ended: Ended, event: str, error: str | None
) -> None:
    async with open_desk(tmp_path) as desk:
        desk.stage.ended = ended
        with capture_logs() as logs:
            await run(desk)
    (line,) = logs
    assert (line["event"], line["ending"], line["error"]) == (event, ended.ending, error)
    assert (line["run_id"], line["worker"], line["replies"], line["refused"]) == ("run_1", "desk", 0, [])
