# SPDX-License-Identifier: Apache-2.0
"""What the end of a try leaves, branch by branch."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rejoinder.clock import SECOND
from rejoinder.mailauth.verdict import DmarcResult, SpfResult
from rejoinder.runtime.conclusion import MOST_DEATHS, Conclusion, RunPayload, announce
from rejoinder.runtime.outcome import Outcome
from rejoinder.runtime.run import Assignment
from rejoinder.runtime.values import Actions, Ended, Ending, Refused, ReplyAction
from rejoinder.store.records import EmailStatus, EventKind, JobState, RunState
from tests.unit.replies.originals import ORIGINAL, said
from tests.unit.runtime.desk import ASSIGNMENT, Desk, open_desk

pytestmark = pytest.mark.anyio

NORMAL, REJECT, DEFER, CRASH = (
    Ended(Ending.NORMAL),
    Ended(Ending.REJECT, "closed"),
    Ended(Ending.DEFER, "not now"),
    Ended(Ending.CRASH, error="it died", log="a line"),
)
NEIGHBOUR = replace(CRASH, neighbour=True)


async def conclude(
    desk: Desk,
    ended: Ended,
    outcome: Outcome,
    *,
    sender_waits: bool = False,
    assignment: Assignment = ASSIGNMENT,
) -> Conclusion:
    """The conclusion of a try that replied."""

    async def play(actions: Actions) -> None:
        await actions.reply(ReplyAction(text="Hello"))

    desk.stage.play = play
    attempt = desk.runner.start(ASSIGNMENT)
    await attempt.ended()
    return await desk.concluder.conclude(
        assignment, ended, attempt.effects, outcome, sender_waits=sender_waits
    )


def kinds(end: Conclusion) -> list[EventKind]:
    return [event.kind for event in end.events]


async def test_a_normal_end_keeps_its_effects(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        end = await conclude(desk, NORMAL, Outcome.HANDLED)
        assert (end.run.state, end.status) == (RunState.FINISHED, EmailStatus.HANDLED)
        assert kinds(end) == [EventKind.RUN_FINISHED]
        assert (end.again_at, end.buried, end.report) == (None, False, None)
        told = json.loads(end.events[0].evidence)
        assert told["replies"] == [effect.sent.message_id for effect in end.effects]
        assert len(end.effects) == 1


async def test_a_refusal_that_the_sender_waits_for_is_not_reported_and_keeps_its_reply(
    tmp_path: Path,
) -> None:
    async with open_desk(tmp_path) as desk:
        end = await conclude(desk, REJECT, Outcome.REFUSED, sender_waits=True)
        assert (end.run.state, end.status) == (RunState.REJECTED, EmailStatus.REJECTED)
        assert (len(end.effects), end.report) == (1, None)
        assert kinds(end) == [EventKind.RUN_FINISHED]


async def test_a_late_refusal_is_reported_under_the_same_id_each_time(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        first, second = [await conclude(desk, REJECT, Outcome.REFUSED) for _ in range(2)]
        assert first.report is not None
        assert second.report is not None
        assert first.report.sent.message_id == second.report.sent.message_id
        assert (first.report.sent.policy, first.report.sent.reverse_path) == ("dsn", None)
        assert first.report.sent.message_id != first.effects[0].sent.message_id
        assert b"550 5.7.1 closed" in (first.report.raw.content or b"")


@pytest.mark.parametrize(
    "original",
    [
        replace(ORIGINAL, reverse_path=None),
        replace(ORIGINAL, verdict=said(spf=SpfResult.FAIL, dmarc=DmarcResult.FAIL)),
    ],
    ids=["null reverse-path", "unproven"],
)
async def test_a_late_refusal_that_nobody_may_hear_is_an_event(tmp_path: Path, original: object) -> None:
    async with open_desk(tmp_path) as desk:
        assignment = replace(ASSIGNMENT, original=original)  # type: ignore[arg-type]
        end = await conclude(desk, REJECT, Outcome.REFUSED, assignment=assignment)
        assert end.report is None
        assert kinds(end) == [EventKind.RUN_FINISHED, EventKind.REJECTED_SILENTLY]
        assert json.loads(end.events[1].evidence)["reason"] == "closed"


@pytest.mark.parametrize(
    ("ended", "outcome", "sender_waits"),
    [
        (DEFER, Outcome.DEFERRED, False),
        (CRASH, Outcome.FAILED, False),
        # Beside a recipient who accepted: the sender has 250, so neither is the sender's any more.
        (CRASH, Outcome.TEMPFAILED, False),
        (CRASH, Outcome.FAILED_FOR_GOOD, False),
    ],
)
async def test_what_is_not_done_is_tried_again_and_its_effects_are_discarded(
    tmp_path: Path, ended: Ended, outcome: Outcome, sender_waits: bool
) -> None:
    async with open_desk(tmp_path) as desk:
        end = await conclude(desk, ended, outcome, sender_waits=sender_waits)
        assert (end.run.state, end.status) == (RunState.WAITING, EmailStatus.DISPATCHED)
        assert (end.effects, end.report, end.buried) == ((), None, False)
        assert end.again_at == desk.clock.now() + 60 * SECOND
        assert (end.tries, end.deaths) == (1, 0)
        assert kinds(end) == [EventKind.RUN_FAILED]
        assert json.loads(end.events[0].evidence)["again_at"] == end.again_at


async def test_a_failure_that_the_sender_hears_of_for_good_is_over(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        end = await conclude(desk, CRASH, Outcome.FAILED_FOR_GOOD, sender_waits=True)
        assert (end.run.state, end.status) == (RunState.DEAD_LETTERED, EmailStatus.REJECTED)
        assert (end.effects, end.again_at, end.buried) == ((), None, False)
        assert (end.run.error, end.run.log) == ("it died", "a line")
        assert kinds(end) == [EventKind.RUN_FAILED]


async def test_the_schedule_ends_with_a_dead_letter(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        ends = [
            await conclude(desk, CRASH, Outcome.FAILED, assignment=replace(ASSIGNMENT, attempt=attempt))
            for attempt in (1, 2, 3)
        ]
        now = desk.clock.now()
        assert [end.again_at for end in ends] == [now + 60 * SECOND, now + 300 * SECOND, None]
        last = ends[-1]
        assert last.buried
        assert (last.run.state, last.status) == (RunState.DEAD_LETTERED, EmailStatus.FAILED)
        assert kinds(last) == [EventKind.RUN_FAILED, EventKind.DEAD_LETTERED]


async def test_a_neighbours_fault_does_not_count_and_is_tried_again_at_once(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        for attempt, deaths in ((1, 0), (3, 1)):
            assignment = replace(ASSIGNMENT, attempt=attempt, deaths=deaths)
            end = await conclude(desk, NEIGHBOUR, Outcome.FAILED, assignment=assignment)
            assert end.again_at == desk.clock.now()
            assert (end.tries, end.deaths) == (attempt - 1, deaths + 1)
            assert not end.buried


async def test_a_neighbours_fault_counts_when_it_comes_again_and_again(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        ends = [
            await conclude(
                desk,
                NEIGHBOUR,
                Outcome.FAILED,
                assignment=replace(ASSIGNMENT, attempt=attempt, deaths=deaths),
            )
            for attempt, deaths in ((1, MOST_DEATHS - 1), (1, MOST_DEATHS), (3, MOST_DEATHS + 2))
        ]
        now = desk.clock.now()
        assert [end.again_at for end in ends] == [now, now + 60 * SECOND, None]
        assert [end.tries for end in ends] == [0, 1, 3]
        assert [end.buried for end in ends] == [False, False, True]


async def test_what_is_to_come_is_logged(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        ends = [
            await conclude(desk, CRASH, Outcome.FAILED, assignment=replace(ASSIGNMENT, attempt=attempt))
            for attempt in (1, 3)
        ]
        ends.append(await conclude(desk, NORMAL, Outcome.HANDLED))
    with capture_logs() as logs:
        for end in ends:
            announce(end)
    run = {"email_id": "email_1", "run_id": "run_1", "worker": "desk"}
    assert logs == [
        {"event": "runtime.run_rescheduled", "log_level": "info", **run, "wait": 60.0},
        {"event": "runtime.run_dead_lettered", "log_level": "error", **run, "attempt": 3},
    ]


async def test_the_event_tells_what_was_refused_and_what_was_said(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        ended = replace(CRASH, refused=(Refused(("reply-to-list",), "it came through a list"),))
        end = await conclude(desk, ended, Outcome.FAILED)
        told = json.loads(end.events[0].evidence)
        assert told["refused"] == [{"codes": ["reply-to-list"], "text": "it came through a list"}]
        assert (told["error"], told["log"], told["ending"]) == ("it died", "a line", "crash")
        assert (told["worker"], told["attempt"]) == ("desk", 1)
        assert "reason" not in told


async def test_a_job_carries_what_the_next_try_needs(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        job = desk.concluder.job(ASSIGNMENT, due_at=7, attempt=2, deaths=1)
        assert (job.lane, job.subject_id, job.state) == ("run:desk", "run_1", JobState.READY)
        assert RunPayload.of(job) == RunPayload("email_1", 1)
