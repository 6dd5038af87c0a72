# SPDX-License-Identifier: Apache-2.0
"""Runs after 250: what a due run leaves, and what becomes of one that goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from rejoinder.clock import SECOND
from rejoinder.dispatch.run import Finisher, GoingOn, RunHandler
from rejoinder.errors import LeaseLost
from rejoinder.runtime.conclusion import RunPayload
from rejoinder.runtime.values import Actions, Ended, Ending, ReplyAction
from rejoinder.store import emails, events, jobs, raws, runs, sent, threads
from rejoinder.store.records import Email, EmailStatus, EventKind, Job, Run, RunState
from rejoinder.store.unit import Unit
from tests.store.samples import EMAIL
from tests.unit.replies.originals import HEADERS, NOW, PROVEN
from tests.unit.runtime.desk import ASSIGNMENT, Desk, open_desk

pytestmark = pytest.mark.anyio

CRASH = Ended(Ending.CRASH, error="it died")
MAIL = f"{HEADERS}\r\nIt burns.\r\n".encode()


@dataclass
class Leases:
    """Remembers who holds what, and who is to be told of a loss."""

    held: dict[str, Callable[[], object]] = field(default_factory=dict)

    def hold(self, job: Job, lost: Callable[[], object]) -> None:
        self.held[job.id] = lost

    def drop(self, job: Job) -> None:
        del self.held[job.id]


class Office:
    """A stored mail with a run that is due, and what works on it."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.store, self.stage = desk, desk.store, desk.stage
        self.finisher = Finisher(desk.store, desk.concluder)
        self.handler = RunHandler(desk.store, desk.raws, desk.runner, desk.concluder, self.finisher)

    async def receive(self) -> None:
        kept = await self.desk.raws.keep(MAIL, NOW)
        email = replace(
            EMAIL,
            raw_id=kept.id,
            raw_size=kept.size,
            reverse_path="alice@customer.example",
            verdict=PROVEN.as_json(),
            status=EmailStatus.DISPATCHED,
        )

        def unit() -> Unit[None]:
            yield from raws.insert(kept)
            thread = yield from threads.place(
                "default", references=(), in_reply_to=(), new_id="thread_1", now=NOW
            )
            yield from emails.insert(replace(email, thread_id=thread))
            yield from runs.insert(self.desk.concluder.run(ASSIGNMENT, RunState.WAITING))
            yield from jobs.enqueue(self.desk.concluder.job(ASSIGNMENT, due_at=NOW, attempt=0))

        await self.store.transaction(unit)

    async def claim(self) -> Job:
        (job,) = await self.store.transaction(lambda: jobs.claim(["run"], "me", 10, 30.0, {"run": 10}))
        return job

    async def email(self) -> Email:
        found = await self.store.read(lambda: emails.get("default", EMAIL.id))
        assert found is not None
        return found

    async def run(self) -> Run:
        found = await self.store.read(lambda: runs.get("run_1"))
        assert found is not None
        return found

    async def kinds(self) -> list[EventKind]:
        return [each.kind for each in await self.store.read(lambda: events.of_email("default", EMAIL.id))]

    async def next_due(self) -> int | None:
        return await self.store.read(lambda: jobs.next_due(["run"]))


async def reply(actions: Actions) -> None:
    """A worker that replies."""
    await actions.reply(ReplyAction(text="Hello"))


async def test_a_due_run_is_run_and_its_effects_are_committed(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        office = Office(desk)
        await office.receive()
        office.stage.play = reply
        await office.handler.handle(await office.claim())
        assert (await office.email()).status is EmailStatus.HANDLED
        run = await office.run()
        assert (run.state, run.attempt) == (RunState.FINISHED, 1)
        (answer,) = await office.store.read(lambda: sent.of_email(EMAIL.id))
        (effect,) = await office.store.read(lambda: runs.effects("run_1"))
        assert (effect.sent_id, answer.thread_id) == (answer.id, "thread_1")
        assert await office.kinds() == [EventKind.RUN_STARTED, EventKind.REPLIED, EventKind.RUN_FINISHED]
        assert await office.next_due() is None
        (event,) = office.stage.events
        assert (event.email_id, event.raw_size, event.header_block) == (
            EMAIL.id,
            len(MAIL),
            HEADERS.encode(),
        )


async def test_accept_returns_at_once_in_a_mail_that_was_accepted_long_ago(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        office = Office(desk)
        await office.receive()
        office.stage.play = lambda actions: actions.accept()
        await office.handler.handle(await office.claim())
        assert (await office.run()).state is RunState.FINISHED


async def test_a_failed_run_waits_for_its_time_and_then_is_a_dead_letter(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        office = Office(desk)
        await office.receive()
        office.stage.play, office.stage.ended = reply, CRASH
        for attempt, wait in ((1, 60), (2, 300)):
            await office.handler.handle(await office.claim())
            run = await office.run()
            assert (run.state, run.attempt, run.error) == (RunState.WAITING, attempt, "it died")
            assert await office.next_due() == desk.clock.now() + wait * SECOND
            await desk.clock.advance(wait)
        await office.handler.handle(await office.claim())
        assert (await office.run()).state is RunState.DEAD_LETTERED
        assert (await office.email()).status is EmailStatus.FAILED
        assert await office.next_due() is None
        assert await office.store.read(lambda: sent.of_email(EMAIL.id)) == []


async def test_runs_that_the_server_left_unfinished_use_up_no_try(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        office = Office(desk)
        await office.receive()
        office.stage.ended = CRASH
        for _ in range(5):
            await office.claim()
            await office.store.transaction(jobs.void_leases)
        for attempt in (1, 2):
            await office.handler.handle(await office.claim())
            run = await office.run()
            assert (run.state, run.attempt) == (RunState.WAITING, attempt)
            await desk.clock.advance(300)
            await office.claim()
            await office.store.transaction(jobs.void_leases)
        await office.handler.handle(await office.claim())
        assert (await office.run()).state is RunState.DEAD_LETTERED


async def test_a_run_that_fails_for_a_fault_of_ours_can_become_a_dead_letter(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        office = Office(desk)
        await office.receive()
        await office.handler.bury(await office.claim(), "ValueError: x")
        run = await office.run()
        assert (run.state, run.error) == (RunState.DEAD_LETTERED, "ValueError: x")
        assert (await office.email()).status is EmailStatus.FAILED
        (event,) = await office.store.read(lambda: events.of_email("default", EMAIL.id))
        assert (event.kind, event.run_id) == (EventKind.DEAD_LETTERED, "run_1")
        assert json.loads(event.evidence) == {"kind": "run", "error": "ValueError: x"}
        await office.store.transaction(jobs.void_leases)
        assert await office.next_due() is None


async def test_a_neighbours_fault_is_carried_along_and_not_counted(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        office = Office(desk)
        await office.receive()
        office.stage.ended = replace(CRASH, neighbour=True)
        for deaths in (0, 1, 2):
            job = await office.claim()
            assert (job.attempt, RunPayload.of(job).deaths) == (1, deaths)
            await office.handler.handle(job)
        assert [event.alone for event in office.stage.events] == [False, False, True]


async def test_nothing_is_kept_of_a_run_whose_lease_is_anothers(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        office = Office(desk)
        await office.receive()
        office.stage.play = lambda actions: actions.reply(ReplyAction(text="large " * 200_000))
        job = await office.claim()
        await office.store.transaction(jobs.void_leases)
        await office.claim()
        with pytest.raises(LeaseLost):
            await office.handler.handle(job)
        assert list((tmp_path / "raw").glob("*/*")) == []
        assert (await office.email()).status is EmailStatus.DISPATCHED
        assert await office.store.read(lambda: sent.of_email(EMAIL.id)) == []
        assert await office.store.read(lambda: runs.effects("run_1")) == []


async def test_the_job_of_a_mail_that_is_gone_is_done(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        office = Office(desk)
        job = desk.concluder.job(ASSIGNMENT, due_at=NOW, attempt=0)
        await office.store.transaction(lambda: jobs.enqueue(job))
        await office.handler.handle(await office.claim())
        assert await office.next_due() is None
        assert office.stage.events == []


# --- runs that went on --------------------------------------------------------------------------------------


async def test_a_run_that_goes_on_is_held_until_its_end_is_committed(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        office, leases, gate = Office(desk), Leases(), asyncio.Event()
        await office.receive()

        async def play(actions: Actions) -> None:
            await gate.wait()
            await actions.reply(ReplyAction(text="At last"))

        office.stage.play = play
        going_on = GoingOn(office.finisher, leases)
        going_on.adopt(desk.runner.start(ASSIGNMENT), await office.claim())
        assert len(leases.held) == 1
        gate.set()
        while leases.held:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert (await office.run()).state is RunState.FINISHED
        assert len(await office.store.read(lambda: sent.of_email(EMAIL.id))) == 1


@pytest.mark.parametrize("how", ["lost", "stopped"])
async def test_a_run_that_is_lost_or_stopped_is_cancelled_and_leaves_nothing(
    tmp_path: Path, how: str
) -> None:
    async with open_desk(tmp_path) as desk:
        office, leases, cancelled = Office(desk), Leases(), asyncio.Event()
        await office.receive()

        async def play(actions: Actions) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        office.stage.play = play
        going_on = GoingOn(office.finisher, leases)
        attempt = desk.runner.start(ASSIGNMENT)
        await asyncio.sleep(0)
        going_on.adopt(attempt, await office.claim())
        await asyncio.sleep(0)
        if how == "lost":
            for lost in tuple(leases.held.values()):
                lost()
        await going_on.stop()
        assert cancelled.is_set()
        assert leases.held == {}
        assert (await office.run()).state is RunState.WAITING


async def test_a_fault_of_ours_at_the_end_is_logged_and_the_lease_let_go(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        office, leases = Office(desk), Leases()
        await office.receive()

        async def play(actions: Actions) -> None:
            raise RuntimeError("a host never raises, they say")

        office.stage.play = play
        GoingOn(office.finisher, leases).adopt(desk.runner.start(ASSIGNMENT), await office.claim())
        while leases.held:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert (await office.run()).state is RunState.WAITING
