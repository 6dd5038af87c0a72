# SPDX-License-Identifier: Apache-2.0
"""What operators and testers see of a mail, also of one that is not kept: events, the log, the trace."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from rejoinder.internet.blunt import send_as_it_is
from rejoinder.message.address import Mailbox
from rejoinder.runtime.conclusion import MOST_DEATHS
from rejoinder.store.records import Email, Event, EventKind
from tests.acceptance.house import SUPPORT, House, Open

pytestmark = pytest.mark.anyio

Line = Mapping[str, Any]
ALICE = Mailbox("alice", "customer.example")
BARE_LF = b"From: alice@customer.example\r\n\r\na\nb\r\n"


async def blunt(house: House, raw: bytes, to: Mailbox = SUPPORT) -> str:
    address = house.server.smtp_addresses[0]
    return str(await send_as_it_is(address, "mail.customer.example", raw, reverse_path=ALICE, to=to))


def lines(logs: Sequence[Line], stage: str) -> list[Line]:
    return [each for each in logs if each["event"].startswith(stage)]


def without_transcript(event: Event) -> tuple[EventKind, dict[str, object]]:
    told = json.loads(event.evidence)
    del told["transcript"]
    return event.kind, told


async def delivered_of(house: House) -> None:
    """Return when the one answer is known to be delivered, and a turn later, so that it is logged."""
    async with asyncio.timeout(10):
        while EventKind.DELIVERED not in [each.kind for each in await house.recent()]:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0)
        await house.recent()


async def test_content_that_the_receiver_refuses_leaves_an_event_and_a_line(open_house: Open) -> None:
    house = await open_house()
    with capture_logs() as logs:
        answer = await blunt(house, BARE_LF)
    (event,) = await house.recent()
    about = {"helo": "mail.customer.example", "reverse_path": str(ALICE), "forward_paths": [str(SUPPORT)]}
    said = {"client_ip": "127.0.0.1", "size": len(BARE_LF), "answer": answer, **about}
    assert without_transcript(event) == (EventKind.REJECTED, said)
    assert json.loads(event.evidence)["transcript"][-2:] == [f"C: ({len(BARE_LF)} octets)", f"S: {answer}"]
    (line,) = lines(logs, "ingress.")
    assert (line["event"], line["answer"], line["size"]) == ("ingress.mail_rejected", answer, len(BARE_LF))


async def test_what_there_is_no_room_for_leaves_an_event_and_a_line(open_house: Open) -> None:
    house = await open_house(ingress={"max_size": "1MiB", "max_held": "1MiB"})
    with capture_logs() as logs:
        assert (await blunt(house, b"x" * (1 << 20))).startswith("452 4.3.1")
    (event,) = await house.recent()
    assert event.kind is EventKind.DEFERRED_IN
    (line,) = lines(logs, "ingress.")
    assert (line["event"], line["size"]) == ("ingress.mail_deferred", 1 << 20)


@pytest.mark.parametrize(
    ("raw", "to", "answer", "event"),
    [
        (b"x" * (2 << 20), SUPPORT, "552 5.3.4", "ingress.mail_rejected"),
        (b"x", Mailbox("nobody", "desk.example"), "550 5.1.1", "ingress.recipient_refused"),
        (b"x", Mailbox("bob", "elsewhere.example"), "550 5.7.1", "ingress.recipient_refused"),
    ],
    ids=["a size", "an unknown mailbox", "relaying"],
)
async def test_what_nobody_here_was_to_get_is_a_line_and_no_event(
    open_house: Open, raw: bytes, to: Mailbox, answer: str, event: str
) -> None:
    house = await open_house(ingress={"max_size": "1MiB"})
    with capture_logs() as logs:
        assert (await blunt(house, raw, to)).startswith(answer)
    assert await house.recent() == []
    (line,) = lines(logs, "ingress.")
    assert (line["event"], line["reverse_path"]) == (event, str(ALICE))
    assert line["answer"].startswith(answer)


async def test_an_answered_mail_is_three_lines_and_its_repetition_one(open_house: Open) -> None:
    house = await open_house()
    raw = house.alice.write(SUPPORT, "Help", "A secret that no log may tell.")
    with capture_logs() as logs:
        await house.send(raw)
        answer = await house.sink.next()
        await delivered_of(house)
        await house.send(raw)
    (email,) = await house.mail()
    (sent,) = await house.sent(email)
    received, duplicate = lines(logs, "ingress.")
    (ended,), (delivered,) = lines(logs, "runtime."), lines(logs, "outbound.")
    assert (received["event"], received["email_ids"], received["duplicate_of"]) == (
        "ingress.mail_received",
        [email.id],
        [],
    )
    assert (received["spf"], received["dmarc"]) == ("pass", "pass customer.example")
    assert (received["dkim"], received["answer"]) == (["pass customer.example"], "250 2.0.0 Ok")
    assert (ended["event"], ended["email_id"], ended["replies"]) == ("runtime.run_ended", email.id, 1)
    assert (delivered["event"], delivered["sent_id"]) == ("outbound.delivery_delivered", sent.id)
    assert (delivered["reply"], delivered["attempt"]) == ("250 2.0.0 Kept", 1)
    assert (duplicate["event"], duplicate["duplicate_of"]) == ("ingress.mail_duplicate", [email.id])
    assert b"secret" in answer.raw
    assert "secret" not in str(logs)


async def test_the_trace_says_why_a_handled_mail_has_no_answer(open_house: Open) -> None:
    house = await open_house(
        """
async def email(message, env, ctx):
    try:
        await message.reply("hello")
    except Exception:
        pass
"""
    )
    raw = house.alice.write(SUPPORT, "Out", "Away.", headers=[("Auto-Submitted", "auto-replied")])
    with capture_logs() as logs:
        await house.send(raw)
    (email,) = await house.mail()
    trace = (await house.ask(f"/mail/{email.id}/trace")).json()
    (run,) = trace["runs"]
    ((codes, text),) = [(each["codes"], each["text"]) for each in run["refused"]]
    assert (trace["status"], trace["sent"], run["state"]) == ("handled", [], "finished")
    assert codes[0] == "reply-to-automatic-mail"
    assert text
    (ended,) = lines(logs, "runtime.")
    assert ended["refused"] == [" ".join(codes)]


async def test_an_exceptions_message_is_in_the_trace_and_not_in_the_log(open_house: Open) -> None:
    house = await open_house("async def email(message, env, ctx): raise ValueError(message.text)")
    with capture_logs() as logs:
        await house.send(house.alice.write(SUPPORT, "Help", "A secret that no log may tell."))
    failed, again = lines(logs, "runtime.")
    assert (failed["event"], failed["ending"], failed["error"]) == (
        "runtime.run_failed",
        "exception",
        "ValueError",
    )
    assert again["event"] == "runtime.run_rescheduled"
    assert again["wait"] > 0
    assert "secret" not in str(logs)
    (run,) = await house.runs((await house.mail())[0])
    assert "secret" in (run.error or "")


async def failures(house: House, email: Email, count: int) -> list[Event]:
    """So many failed tries of the mail's run, once there are."""
    async with asyncio.timeout(30):
        while True:
            found = [each for each in await house.events(email) if each.kind is EventKind.RUN_FAILED]
            if len(found) >= count:
                return found
            await asyncio.sleep(0)


async def test_a_worker_that_kills_the_zygote_again_and_again_is_blamed_at_last(open_house: Open) -> None:
    house = await open_house(
        """
import os, signal

async def email(message, env, ctx):
    if "kill" in message.text:
        os.kill(os.getppid(), 9)
        signal.pause()  # the kernel ends it with its parent, but not at once
    await message.reply("done")
""",
        workers={"retries": ["1h"]},
    )
    assert (
        str((await house.send(house.alice.write(SUPPORT, "a", "kill"))).outcomes[0].reply) == "250 2.0.0 Ok"
    )
    (culprit,) = await house.mail()
    ends = await failures(house, culprit, MOST_DEATHS + 1)
    waits = [json.loads(each.evidence)["again_at"] - each.at > 1_000_000 for each in ends]
    assert waits == [False] * MOST_DEATHS + [True]
    await house.send(house.alice.write(SUPPORT, "b", "A mail like others."))
    assert b"done" in (await house.sink.next()).raw
