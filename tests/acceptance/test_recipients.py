# SPDX-License-Identifier: Apache-2.0
"""One transaction, several recipients: each a mail of its own, one answer, one transaction of the store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from rejoinder.clock.manual import ManualClock
from rejoinder.message.address import Mailbox
from rejoinder.message.event_key import EventKeys
from rejoinder.message.headers import split
from rejoinder.outbound.connection import NextHop
from rejoinder.smtp.envelope import Envelope
from rejoinder.store import seen
from rejoinder.store.records import Email, EmailStatus, Event, EventKind, Seen
from tests.acceptance.gate import GATE, Gate
from tests.acceptance.house import House, Open

pytestmark = pytest.mark.anyio

ALICE = Mailbox("alice", "customer.example")
OK = "250 2.0.0 Ok"
WORKER = """
async def email(message, env, ctx):
    what = message.to.partition("@")[0].partition("+")[0].lower()
    if what == "answer":
        await message.reply("we got it")
    elif what == "refuse":
        message.set_reject("no " + message.to)
    elif what == "defer":
        message.defer("not now " + message.to)
    elif what == "wait":
        await gate(env, "working")
    elif what == "accept":
        await message.accept()
        await gate(env, "accepted")
    elif what in ("fail", "tempfail", "failgood"):
        raise ValueError(what)
"""
ROUTES = [
    {"match": f"{name}@desk.example", "worker": "desk", "on_failure": on_failure}
    for name, on_failure in [
        ("answer", "queue"),
        ("refuse", "queue"),
        ("defer", "queue"),
        ("wait", "queue"),
        ("accept", "queue"),
        ("fail", "queue"),
        ("tempfail", "tempfail"),
        ("failgood", "reject"),
        ("answer+*", "queue"),
    ]
] + [{"match": "keep@desk.example", "store": True}]


@dataclass(frozen=True)
class Desk:
    """The house, on a clock that stands still, and what is asked of it here."""

    house: House
    clock: ManualClock
    gate: Gate

    def write(self, text: str = "Please help.") -> bytes:
        return self.house.alice.write(Mailbox("answer", "desk.example"), "Help", text)

    async def send(
        self, *to: str, raw: bytes | None = None, reverse_path: Mailbox | None = ALICE
    ) -> list[str]:
        """The answer that each forward-path got, by its local-part or whole address."""
        raw = raw or self.write()
        paths = tuple(_mailbox(each) for each in to)
        hop = NextHop("desk.example", *self.house.server.smtp_addresses[0])
        envelope = Envelope(reverse_path, paths, len(raw))
        result = await self.house.pool.send(hop, "mail.customer.example", envelope, raw)
        return [str(outcome.reply) for outcome in result.outcomes]

    async def mail(self) -> dict[str, Email]:
        """What is kept, by the local-part of its forward-path."""
        return {each.forward_path.partition("@")[0]: each for each in await self.house.mail()}

    async def statuses(self) -> dict[str, EmailStatus]:
        return {name: each.status for name, each in (await self.mail()).items()}

    async def steps(self, name: str) -> list[Event]:
        return await self.house.events((await self.mail())[name])

    async def kinds(self, name: str) -> list[EventKind]:
        return [event.kind for event in await self.steps(name)]


def _mailbox(text: str) -> Mailbox:
    local_part, _, domain = text.partition("@")
    return Mailbox(local_part, domain if "@" in text else "desk.example")


MakeDesk = Callable[..., Awaitable[Desk]]


@pytest.fixture
async def make_desk(open_house: Open, tmp_path: Path) -> AsyncIterator[MakeDesk]:
    async with Gate(tmp_path / "gate") as gate:

        async def make(routes: Sequence[object] = ROUTES, **workers: object) -> Desk:
            clock = ManualClock()
            path = tmp_path / "desk.py"
            path.write_text(GATE + WORKER)
            worker = {"name": "desk", "file": path, "variables": {"gate": str(gate.path)}}
            patience = {"queue": {"lease": "1h"}, "workers": {"start_limit": "1h", **workers}}
            house = await open_house(clock=clock, worker=[worker], route=list(routes), **patience)
            return Desk(house, clock, gate)

        yield make


@pytest.fixture
async def desk(make_desk: MakeDesk) -> Desk:
    return await make_desk()


# --- one answer for all -------------------------------------------------------------------------------------

HANDLED, REJECTED, DISPATCHED, RECEIVED = (
    EmailStatus.HANDLED,
    EmailStatus.REJECTED,
    EmailStatus.DISPATCHED,
    EmailStatus.RECEIVED,
)


@dataclass(frozen=True)
class Row:
    """To whom a mail goes, the answer, and what is kept."""

    to: tuple[str, ...]
    answer: str
    kept: dict[str, EmailStatus]


ROWS = [
    Row(("answer", "keep"), OK, {"answer": HANDLED, "keep": RECEIVED}),
    # All refused for good: the first one's refusal, and both are kept with what explains it.
    Row(
        ("refuse", "failgood"),
        "550 5.7.1 no refuse@desk.example",
        {"refuse": REJECTED, "failgood": REJECTED},
    ),
    Row(
        ("failgood", "refuse"),
        "550 5.3.0 The message could not be handled",
        {"refuse": REJECTED, "failgood": REJECTED},
    ),
    # None accepted, one deferred: its deferral, and nothing is kept.
    Row(("refuse", "defer"), "451 4.7.1 not now defer@desk.example", {}),
    Row(("tempfail", "refuse"), "451 4.3.0 Temporary failure, try again later", {}),
    # Otherwise 250.
    Row(("refuse", "answer"), OK, {"refuse": REJECTED, "answer": HANDLED}),
    Row(("defer", "answer"), OK, {"defer": DISPATCHED, "answer": HANDLED}),
    Row(("refuse", "defer", "keep"), OK, {"refuse": REJECTED, "defer": DISPATCHED, "keep": RECEIVED}),
    # After 250 a failure of ours is run again, whatever the route would have said alone.
    Row(
        ("tempfail", "failgood", "fail"),
        OK,
        {"tempfail": DISPATCHED, "failgood": DISPATCHED, "fail": DISPATCHED},
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row.to))
async def test_all_recipients_get_one_answer(desk: Desk, row: Row) -> None:
    assert await desk.send(*row.to) == [row.answer] * len(row.to)
    assert await desk.statuses() == row.kept
    if not row.kept:
        (event,) = await desk.house.recent()
        assert event.kind is EventKind.DEFERRED_IN
        assert json.loads(event.evidence)["answer"] == row.answer


async def test_they_are_mails_of_their_own_with_one_content(desk: Desk) -> None:
    await desk.send("answer", "keep", "refuse")
    kept = (await desk.mail()).values()
    assert len({each.id for each in kept}) == len({each.event_key for each in kept}) == 3
    assert len({each.raw_id for each in kept}) == 1
    assert all(b"for <" not in each.trace for each in kept)


async def test_a_mailbox_named_twice_is_one_recipient(desk: Desk) -> None:
    assert await desk.send("answer", "answer", "answer@DESK.example") == [OK] * 3
    assert list(await desk.statuses()) == ["answer"]


async def test_who_is_refused_beside_one_who_accepts_is_reported_to_a_proven_sender(desk: Desk) -> None:
    assert await desk.send("refuse", "keep") == [OK, OK]
    report = await desk.house.sink.next()
    assert report.envelope.reverse_path is None
    assert report.envelope.forward_paths == (ALICE,)
    assert b"Final-Recipient: rfc822; refuse@desk.example" in report.raw
    assert b"keep@desk.example" not in report.raw
    received = json.loads((await desk.steps("refuse"))[0].evidence)
    assert (received["answer"], received["forward_path"]) == (OK, "refuse@desk.example")


async def test_it_is_told_to_nobody_when_the_sender_is_not_proven(desk: Desk) -> None:
    await desk.send("refuse", "keep", reverse_path=Mailbox("victim", "elsewhere.example"))
    assert EventKind.REJECTED_SILENTLY in await desk.kinds("refuse")
    await desk.send("refuse", "keep", reverse_path=None)
    assert desk.house.sink.received == []


async def test_who_waited_for_a_refusal_is_not_sent_a_report_too(desk: Desk) -> None:
    await desk.send("refuse")
    assert await desk.kinds("refuse") == [EventKind.REJECTED, EventKind.ROUTED, EventKind.RUN_FINISHED]
    told = json.loads((await desk.steps("refuse"))[0].evidence)
    assert told["answer"] == "550 5.7.1 no refuse@desk.example"


async def test_the_deferred_are_run_again_by_us(desk: Desk) -> None:
    await desk.send("defer", "tempfail", "keep")
    await desk.clock.advance(40)
    for name in ("defer", "tempfail"):
        while EventKind.RUN_STARTED not in await desk.kinds(name):  # noqa: ASYNC110
            await asyncio.sleep(0)
        (run,) = await desk.house.runs((await desk.mail())[name])
        assert run.attempt == 2


async def test_one_who_goes_on_counts_as_accepted_and_is_refused_by_a_report(desk: Desk) -> None:
    sending = asyncio.create_task(desk.send("wait", "refuse"))
    working = await desk.gate.arrival("working")
    await desk.clock.advance(5)
    assert await sending == [OK, OK]
    assert await desk.statuses() == {"wait": DISPATCHED, "refuse": REJECTED}
    assert b"no refuse@desk.example" in (await desk.house.sink.next()).raw
    desk.gate.let_go(working)
    while (await desk.statuses())["wait"] is not HANDLED:  # noqa: ASYNC110
        await asyncio.sleep(0)


async def test_accept_of_one_waits_for_the_others(desk: Desk) -> None:
    sending = asyncio.create_task(desk.send("accept", "wait"))
    working = await desk.gate.arrival("working")
    assert not sending.done()
    desk.gate.let_go(working)
    accepted = await desk.gate.arrival("accepted")
    assert await sending == [OK, OK]
    assert await desk.statuses() == {"accept": DISPATCHED, "wait": HANDLED}
    desk.gate.let_go(accepted)


async def test_with_more_than_ten_recipients_nobody_waits(make_desk: MakeDesk) -> None:
    desk = await make_desk([*ROUTES, {"match": "wait+*@desk.example", "worker": "desk"}])
    assert await desk.send(*(f"wait+{number}" for number in range(11))) == [OK] * 11
    assert set((await desk.statuses()).values()) == {DISPATCHED}
    for _ in range(11):
        desk.gate.let_go(await desk.gate.arrival("working"))


async def test_with_ten_recipients_the_sender_waits_for_all(desk: Desk) -> None:
    assert await desk.send(*(f"answer+{number}" for number in range(10))) == [OK] * 10
    assert set((await desk.statuses()).values()) == {HANDLED}


# --- the same mail again ------------------------------------------------------------------------------------


async def test_a_new_recipient_beside_a_known_one_is_handled_and_the_known_one_is_not(desk: Desk) -> None:
    raw = desk.write()
    assert await desk.send("answer", raw=raw) == [OK]
    assert await desk.send("answer", "keep", raw=raw) == [OK, OK]
    assert await desk.statuses() == {"answer": HANDLED, "keep": RECEIVED}
    assert len(await desk.house.runs((await desk.mail())["answer"])) == 1
    assert (await desk.kinds("answer")).count(EventKind.DUPLICATE) == 1
    assert EventKind.DUPLICATE not in await desk.kinds("keep")


async def test_a_known_refusal_takes_part_in_the_answer_as_what_it_was(desk: Desk) -> None:
    raw = desk.write()
    assert await desk.send("refuse", raw=raw) == ["550 5.7.1 no refuse@desk.example"]
    assert await desk.send("refuse", "failgood", raw=raw) == ["550 5.7.1 no refuse@desk.example"] * 2
    assert await desk.send("refuse", "defer", raw=raw) == ["451 4.7.1 not now defer@desk.example"] * 2
    assert await desk.send("refuse", "keep", raw=raw) == [OK, OK]
    assert desk.house.sink.received == []


async def test_who_was_refused_by_a_report_had_250_and_gets_no_second_report(desk: Desk) -> None:
    raw = desk.write()
    assert await desk.send("refuse", "keep", raw=raw) == [OK, OK]
    assert await desk.send("refuse", raw=raw) == [OK]
    await desk.house.sink.next()
    assert len(await desk.house.sent((await desk.mail())["refuse"])) == 1
    assert len(await desk.house.runs((await desk.mail())["refuse"])) == 1


async def test_what_was_deferred_is_a_new_mail_when_it_comes_again(desk: Desk) -> None:
    raw = desk.write()
    for _ in range(2):
        assert await desk.send("defer", raw=raw) == ["451 4.7.1 not now defer@desk.example"]
    assert await desk.send("defer", "keep", raw=raw) == [OK, OK]
    assert await desk.statuses() == {"defer": DISPATCHED, "keep": RECEIVED}


# --- another process was faster -----------------------------------------------------------------------------


async def win(desk: Desk, raw: bytes, name: str, code: int, text: str) -> None:
    """Answer the mail as a process beside ours would."""
    headers, offset = split(raw)
    key = EventKeys(ALICE, headers, raw[offset:]).of(Mailbox(name, "desk.example"))
    assert key is not None
    winner = Seen("default", key, f"email_of_{name}", code, text, desk.clock.now())
    assert await desk.house.server.store.transaction(lambda: seen.remember(winner, 0)) is None


async def lose(desk: Desk, raw: bytes, *to: str, winners: Mapping[str, tuple[int, str]]) -> list[str]:
    """Send a mail to workers that wait, and let others win while they do."""
    sending = asyncio.create_task(desk.send(*to, raw=raw))
    working = await desk.gate.arrival("working")
    for name, (code, text) in winners.items():
        await win(desk, raw, name, code, text)
    desk.gate.let_go(working)
    return await sending


async def test_the_loser_discards_what_its_worker_did_and_gives_the_winners_answer(desk: Desk) -> None:
    answers = await lose(desk, desk.write(), "wait", winners={"wait": (550, "5.7.1 said elsewhere")})
    assert answers == ["550 5.7.1 said elsewhere"]
    assert await desk.statuses() == {}
    (event,) = await desk.house.recent()
    assert (event.kind, event.email_id) == (EventKind.DUPLICATE, "email_of_wait")


async def test_who_loses_one_recipient_keeps_the_others(desk: Desk) -> None:
    winners = {"answer": (550, "5.7.1 said elsewhere")}
    assert await lose(desk, desk.write(), "wait", "answer", winners=winners) == [OK, OK]
    assert await desk.statuses() == {"wait": HANDLED}
    assert desk.house.sink.received == []


async def test_who_loses_all_recipients_answers_by_the_answers_of_the_winners(desk: Desk) -> None:
    winners = {"wait": (550, "5.7.1 said elsewhere"), "answer": (250, "2.0.0 Ok")}
    assert await lose(desk, desk.write(), "wait", "answer", winners=winners) == [OK, OK]
    assert await desk.statuses() == {}
    kinds = [event.kind for event in await desk.house.recent()]
    assert kinds == [EventKind.DUPLICATE, EventKind.DUPLICATE]


async def test_who_loses_and_is_left_with_a_deferral_keeps_nothing(desk: Desk) -> None:
    winners = {"wait": (550, "5.7.1 said elsewhere")}
    answers = await lose(desk, desk.write(), "wait", "defer", winners=winners)
    assert answers == ["451 4.7.1 not now defer@desk.example"] * 2
    assert await desk.statuses() == {}


# --- who lives here -----------------------------------------------------------------------------------------


async def test_postmaster_and_abuse_always_exist(desk: Desk) -> None:
    for name in ("postmaster", "Postmaster", "abuse", "postmaster@"):
        assert await desk.send(name) == [OK]
    kept = [each.forward_path for each in await desk.house.mail()]
    assert sorted(kept) == [
        "Postmaster@desk.example",
        "abuse@desk.example",
        "postmaster@desk.example",
        "postmaster@desk.example",
    ]


async def test_the_bare_postmaster_beside_the_same_one_with_its_domain_is_one_mail(desk: Desk) -> None:
    assert await desk.send("postmaster@", "postmaster") == [OK, OK]
    assert await desk.statuses() == {"postmaster": RECEIVED}


async def test_mail_to_the_return_path_is_kept_with_its_mark_and_answered_never(
    make_desk: MakeDesk,
) -> None:
    desk = await make_desk([{"match": "*@desk.example", "worker": "desk"}])
    assert await desk.send("bounces", "bounces+sent_1", reverse_path=None) == [OK, OK]
    kept = await desk.house.mail()
    assert [(each.mark, each.status) for each in kept] == [("return-path", RECEIVED)] * 2
    assert [await desk.house.runs(each) for each in kept] == [[], []]
    assert desk.house.sink.received == []


async def test_a_mailbox_that_is_not_and_a_domain_that_is_not_ours_are_refused_by_name(desk: Desk) -> None:
    answers = await desk.send("nobody", "keep", "alice@elsewhere.example", "@desk.example")
    assert answers[:3] == ["550 5.1.1 No such mailbox here", OK, "550 5.7.1 Relaying denied"]
    assert answers[3].startswith("5")
    assert list(await desk.statuses()) == ["keep"]
