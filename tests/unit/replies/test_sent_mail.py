# SPDX-License-Identifier: Apache-2.0
"""Reading back what was sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from rejoinder.message.address import Address, Mailbox
from rejoinder.replies.request import ReplyRequest
from rejoinder.replies.sent_mail import LastEvent, last_event, sent_mail
from rejoinder.store.records import DeliveryStatus
from tests.store.samples import DELIVERY
from tests.unit.replies.desk import FROM, HELLO, Desk, opened

pytestmark = pytest.mark.anyio


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened(tmp_path) as made:
        yield made


async def test_a_sent_mail_is_read_as_it_was_sent(desk: Desk) -> None:
    request = ReplyRequest(
        FROM,
        to=(Address("Ann", Mailbox("ann", "a.example")),),
        cc=(Address("", Mailbox("ben", "BÜCHER.example")),),
        bcc=(Address("Eve", Mailbox("eve", "e.example")), Address("", Mailbox("ann", "A.example"))),
        reply_to=(Address("", Mailbox("office", "desk.example")),),
        text="Water.",
        html="<p>Water.</p>",
        include_original=False,
        tags=(("category", "support"),),
    )
    answer = await desk.reply(await desk.receive(), request)
    mail = await sent_mail(desk.store, desk.raw_store, "default", answer.sent.id)
    assert mail is not None
    assert mail.sent.id == answer.sent.id
    assert mail.from_ == "Desk <support@desk.example>"
    assert (mail.to, mail.cc) == (("Ann <ann@a.example>",), ("ben@xn--bcher-kva.example",))
    assert (mail.bcc, mail.reply_to) == (("eve@e.example",), ("office@desk.example",))
    assert ((mail.text or "").strip(), (mail.html or "").strip()) == ("Water.", "<p>Water.</p>")
    assert mail.tags == (("category", "support"),)
    assert mail.last_event is LastEvent.CREATED


async def test_what_was_not_given_is_empty(desk: Desk) -> None:
    answer = await desk.reply(await desk.receive(), replace(HELLO, include_original=False))
    mail = await sent_mail(desk.store, desk.raw_store, "default", answer.sent.id)
    assert mail is not None
    assert (mail.cc, mail.bcc, mail.reply_to, mail.html, mail.tags) == ((), (), (), None, ())


async def test_what_the_account_did_not_send_is_not_there(desk: Desk) -> None:
    answer = await desk.reply(await desk.receive())
    assert await sent_mail(desk.store, desk.raw_store, "other", answer.sent.id) is None
    assert await sent_mail(desk.store, desk.raw_store, "default", "sent_" + "0" * 26) is None


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ("queued", LastEvent.CREATED),
        ("queued queued", LastEvent.CREATED),
        ("deferred", LastEvent.PENDING),
        ("queued delivered", LastEvent.PENDING),
        ("bounced deferred", LastEvent.PENDING),
        ("delivered delivered", LastEvent.DELIVERED),
        ("delivered bounced", LastEvent.FAILED),
        ("expired", LastEvent.FAILED),
    ],
)
def test_the_last_event_tells_of_all_recipients(statuses: str, expected: LastEvent) -> None:
    assert (
        last_event([replace(DELIVERY, status=DeliveryStatus(each)) for each in statuses.split()]) is expected
    )
