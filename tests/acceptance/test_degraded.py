# SPDX-License-Identifier: Apache-2.0
"""A server without room, without a writable store, without DNS: it says so, and loses nothing."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from rejoinder.clock.manual import ManualClock
from rejoinder.dns import Rcode, RdType
from rejoinder.ingress.session import Delivery
from rejoinder.internet.sink import OK
from rejoinder.message.headers import split
from rejoinder.smtp.reply import Reply
from rejoinder.store import raws
from rejoinder.store.records import Email, EmailStatus, EventKind, RunState
from rejoinder.store.session import Session
from rejoinder.store.work import Work
from tests.acceptance.gate import GATE, Gate
from tests.acceptance.house import SUPPORT, House, Open

pytestmark = pytest.mark.anyio

KIND: Final = """
from rejoinder.worker import ReplyRefused

async def email(message, env, ctx):
    try:
        await message.reply("We have it.")
    except ReplyRefused as refused:
        print(*refused.codes)
"""
PATIENCE: Final = {"queue": {"lease": "1h"}, "workers": {"start_limit": "1h"}}
"""For a clock that jumps: no lease can be renewed in a jump."""


async def answer_to(house: House, raw: bytes) -> str:
    (outcome,) = (await house.send(raw)).outcomes
    return str(outcome.reply)


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    while True:
        if await true():
            return
        await asyncio.sleep(0)


async def has_status(house: House, email: Email, status: EmailStatus) -> bool:
    return status in [each.status for each in await house.mail() if each.id == email.id]


async def happened(house: House, email: Email, kind: EventKind) -> bool:
    return kind in [event.kind for event in await house.events(email)]


# --- the store ----------------------------------------------------------------------------------------------


class _Handover(Work[Session]):
    """A unit that hands over the connection that it is run with."""

    def run(self, session: Session) -> None:
        self._result = session


async def writer(house: House) -> Session:
    """The connection that the store writes through, to make it fail."""
    future: asyncio.Future[Session] = asyncio.get_running_loop().create_future()
    house.server.store._writes.put(_Handover(lambda: raws.get(""), future))  # type: ignore[arg-type, return-value]
    return await future


FULL: Final = "PRAGMA max_page_count = 1"
"""SQLite takes the pages that are in use for the least: nothing can grow any more."""
READ_ONLY: Final = "PRAGMA query_only = ON"
HAS_ROOM: Final = "PRAGMA max_page_count = 1073741823"
WRITABLE: Final = "PRAGMA query_only = OFF"


@pytest.mark.parametrize(
    ("trouble", "repair", "answer"),
    [
        (FULL, HAS_ROOM, "452 4.3.1 Temporary failure, try again later"),
        (READ_ONLY, WRITABLE, "451 4.3.0 Temporary failure, try again later"),
    ],
)
async def test_while_the_store_takes_nothing_mail_is_deferred_and_then_answered_once(
    open_house: Open, trouble: str, repair: str, answer: str
) -> None:
    house = await open_house()
    raw = house.alice.write(SUPPORT, "Help", "a" * 100_000)
    other = house.alice.write(SUPPORT, "Earlier", "This came before.")
    assert await answer_to(house, other) == "250 2.0.0 Ok"
    (earlier,) = await house.mail()
    await until(lambda: happened(house, earlier, EventKind.DELIVERED))
    session = await writer(house)
    session.control(trouble)
    for _ in range(3):
        assert await answer_to(house, raw) == answer
    assert len(await house.mail()) == 1
    assert (await house.ask("/mail")).json()["pagination"]["total"] == 1  # What is there can be read.
    session.control(repair)
    assert await answer_to(house, raw) == "250 2.0.0 Ok"
    assert [b"Re: Help" in (await house.sink.next()).raw for _ in range(2)] == [False, True]
    assert len(house.sink.received) == 2


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        (errno.ENOSPC, "452 4.3.1 Temporary failure, try again later"),
        (errno.EDQUOT, "452 4.3.1 Temporary failure, try again later"),
        (errno.EROFS, "451 4.3.0 Temporary failure, try again later"),
        (errno.EIO, "451 4.3.0 Temporary failure, try again later"),
    ],
)
async def test_a_large_mail_whose_file_cannot_be_written_is_deferred_and_leaves_nothing(
    open_house: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, answer: str
) -> None:
    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    house = await open_house()
    raw = house.alice.write(SUPPORT, "Large", "line\r\n" * 200_000)
    small = house.alice.write(SUPPORT, "Small", "Please help.")
    with monkeypatch.context() as patch:
        patch.setattr("rejoinder.store.raw.files.os.fsync", fail)
        assert await answer_to(house, raw) == answer
        # A small mail lies in the database, whose disk may be another.
        assert await answer_to(house, small) == "250 2.0.0 Ok"
    assert [each for each in (tmp_path / "data" / "raw").rglob("*") if each.is_file()] == []
    assert await answer_to(house, raw) == "250 2.0.0 Ok"
    subjects = {b"Re: Large", b"Re: Small"}
    for _ in range(2):
        answered = (await house.sink.next()).raw
        subjects -= {each for each in subjects if each in answered}
    assert not subjects


async def test_a_run_that_ends_while_the_disk_is_full_is_run_again_and_answers_once(
    open_house: Open, tmp_path: Path
) -> None:
    clock = ManualClock()
    async with Gate(tmp_path / "gate") as gate:
        code = f"{GATE}\nasync def email(message, env, ctx):\n    await message.accept()\n"
        code += "    await gate(env, 'working')\n    await message.reply('a' * 100_000)\n"
        path = tmp_path / "desk.py"
        path.write_text(code)
        worker = {"name": "desk", "file": path, "variables": {"gate": str(gate.path)}}
        house = await open_house(clock=clock, worker=[worker], **PATIENCE)
        assert await answer_to(house, house.alice.write(SUPPORT, "Help", "")) == "250 2.0.0 Ok"
        (email,) = await house.mail()
        first = await gate.arrival("working")
        session = await writer(house)
        session.control(FULL)
        gate.let_go(first)
        await until(lambda: gave_up(house))
        assert house.sink.received == []
        session.control(HAS_ROOM)
        await clock.advance(3601)
        gate.let_go(await gate.arrival("working"))
        await house.sink.next()
        await until(lambda: has_status(house, email, EmailStatus.HANDLED))
    (run,) = await house.runs(email)
    assert run.state is RunState.FINISHED
    assert len(await house.sent(email)) == len(house.sink.received) == 1


async def test_an_answer_that_was_delivered_while_the_store_took_nothing_is_repeated_and_says_so(
    open_house: Open,
) -> None:
    clock = ManualClock()
    house = await open_house(clock=clock, **PATIENCE)
    session = await writer(house)

    def takes_it_and_breaks_the_store(_: Delivery) -> Reply:
        session.control(READ_ONLY)
        return OK

    house.sink.answer = takes_it_and_breaks_the_store
    assert await answer_to(house, house.alice.write(SUPPORT, "Help", "")) == "250 2.0.0 Ok"
    (email,) = await house.mail()
    first = await house.sink.next()
    await until(lambda: nothing_is_under_way(house))
    house.sink.answer = lambda _: OK
    session.control(WRITABLE)
    await clock.advance(3601)
    second = await house.sink.next()
    await until(lambda: happened(house, email, EventKind.DELIVERED))
    assert split(first.raw)[0].get("Message-ID") == split(second.raw)[0].get("Message-ID")
    trace = (await house.ask(f"/mail/{email.id}/trace")).json()
    (delivery,) = trace["sent"][0]["deliveries"]
    assert (delivery["status"], delivery["uncertain"]) == ("delivered", True)


async def nothing_is_under_way(house: House) -> bool:
    """Whether the queue has given up for now what it had claimed."""
    return not house.server._queue._tasks


async def gave_up(house: House) -> bool:
    """Whether no run that went on after 250 is left."""
    return not house.server._going_on._tasks


# --- the DNS ------------------------------------------------------------------------------------------------

LATER: Final = "451 4.4.3 The DNS failed while the sender was authenticated, try again later"
BREAKS: Final[list[tuple[str, RdType, bool]]] = [
    # What is asked, and whether Alice signs.
    ("_dmarc.customer.example", "TXT", True),
    ("_dmarc.customer.example", "TXT", False),
    ("customer.example", "TXT", False),
]


UNSIGNED: Final = (
    b"From: alice@customer.example\r\nTo: support@desk.example\r\nSubject: Help\r\n"
    b"Message-ID: <unsigned@customer.example>\r\n\r\nPlease.\r\n"
)


@pytest.mark.parametrize("rcode", [Rcode.SERVFAIL, Rcode.TIMEOUT])
@pytest.mark.parametrize(("name", "rdtype", "signed"), BREAKS)
async def test_while_the_dns_cannot_say_who_wrote_mail_is_deferred_and_then_answered_once(
    open_house: Open, name: str, rdtype: RdType, signed: bool, rcode: Rcode
) -> None:
    house = await open_house(KIND)
    raw = house.alice.write(SUPPORT, "Help", "Please.") if signed else UNSIGNED
    house.zone.breaks(name, rcode, rdtype)
    assert await answer_to(house, raw) == LATER
    assert await house.mail() == []
    event = (await house.recent())[0]
    assert event.kind is EventKind.DEFERRED_IN
    assert LATER in event.evidence
    house.zone.mends(name, rdtype)
    assert await answer_to(house, raw) == "250 2.0.0 Ok"
    await house.sink.next()
    assert len(await house.mail()) == len(house.sink.received) == 1


async def test_what_the_dns_hides_does_not_matter_when_something_else_proves_the_author(
    open_house: Open,
) -> None:
    house = await open_house(KIND)
    house.zone.breaks("customer.example", Rcode.SERVFAIL, "TXT")  # SPF; the signature is there.
    assert await answer_to(house, house.alice.write(SUPPORT, "Help", "Please.")) == "250 2.0.0 Ok"
    assert b"We have it." in (await house.sink.next()).raw


async def test_mail_may_be_accepted_while_the_dns_fails_and_is_then_not_answered(open_house: Open) -> None:
    house = await open_house(KIND, ingress={"on_dns_failure": "accept"})
    house.zone.breaks("_dmarc.customer.example", Rcode.SERVFAIL)
    assert await answer_to(house, house.alice.write(SUPPORT, "Help", "Please.")) == "250 2.0.0 Ok"
    (email,) = await house.mail()
    assert email.status is EmailStatus.HANDLED
    assert await house.sent(email) == []
    assert (await house.runs(email))[0].log == "reply-dmarc-failed\n"
    assert (await house.ask(f"/mail/{email.id}")).json()["security"]["dmarc"] == "TEMPERROR"


async def test_an_answer_whose_way_the_dns_hides_waits_and_leaves_when_it_is_known(open_house: Open) -> None:
    clock = ManualClock()
    house = await open_house(KIND, clock=clock, **PATIENCE)
    house.zone.breaks("customer.example", Rcode.TIMEOUT, "MX")
    assert await answer_to(house, house.alice.write(SUPPORT, "Help", "Please.")) == "250 2.0.0 Ok"
    (email,) = await house.mail()
    await until(lambda: happened(house, email, EventKind.DELAYED))
    house.zone.mends("customer.example", "MX")
    await clock.advance(600)
    await house.sink.next()
    assert len(house.sink.received) == 1
