# SPDX-License-Identifier: Apache-2.0
"""`@inboundemail/sdk`, unmodified, against the real server: what its users do is done here by itself."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import Final

import pytest

from rejoinder.message.parse import parse
from tests.acceptance.house import SUPPORT as SUPPORT_MAILBOX
from tests.contract.desk import Answer, Arrived, Desk

pytestmark = pytest.mark.anyio

SUPPORT: Final = "Support <support@desk.example>"
TO_MANY: Final = b"\r\n".join(
    [
        b"From: Alice <alice@customer.example>",
        b"To: support@desk.example, Bob <bob@customer.example>",
        b"Cc: sales@desk.example, carol@customer.example, BOB@customer.example, alice@customer.example",
        b"Subject: To all of you",
        b"Message-ID: <many@customer.example>",
        b"Date: Sat, 21 Nov 2026 10:00:00 +0000",
        b"",
        b"Hello.",
        b"",
    ]
)


async def reply(desk: Desk, email_id: str, **fields: object) -> Answer:
    """Reply with these fields, from support unless they say otherwise."""
    return await desk.call("reply", email_id, {"from": SUPPORT, "text": "We are on our way.", **fields})


def is_on_the_wire(answer: Answer, arrived: Arrived) -> bool:
    """Whether the messageId that the client was given is the one that came to the customer."""
    return arrived.headers.get("Message-ID") == f"<{answer['messageId']}>"


# --- the seed's examples ------------------------------------------------------------------------------------


async def test_a_basic_reply_arrives_signed_quoted_and_in_its_thread(desk: Desk) -> None:
    email = await desk.letter()
    answer = await desk.call(
        "reply", email.id, {"from": "support@desk.example", "text": "Thank you for your email."}
    )
    arrived = await desk.arrived()
    assert answer.text("id").startswith("sent_")
    assert is_on_the_wire(answer, arrived)
    assert arrived.recipients == ["alice@customer.example"]
    assert arrived.headers.get("From") == "support@desk.example"
    assert arrived.headers.get("To") == "Alice <alice@customer.example>"
    assert arrived.headers.get("Subject") == "Re: The printer is on fire"
    assert arrived.headers.get("In-Reply-To") == email.message_id
    assert arrived.headers.get("References") == email.message_id
    text = parse(arrived.raw).text
    assert text is not None
    assert text.startswith("Thank you for your email.\n")
    assert "Alice <alice@customer.example> wrote:\n" in text
    assert "\n> Please help." in text


async def test_a_reply_goes_to_whom_it_names_with_what_it_names(desk: Desk) -> None:
    email = await desk.letter()
    answer = await desk.call(
        "reply",
        email.id,
        {
            "from": "john@desk.example",
            "from_name": "John, of the desk",
            "to": ["customer@customer.example"],
            "cc": "manager@customer.example",
            "bcc": ["hidden@customer.example"],
            "replyTo": "desk@desk.example",
            "subject": "Re: Support Request #12345",
            "text": "Dear Customer,\n\nWe have resolved your issue...",
            "html": "<p>Dear Customer,</p><p>We have resolved your issue...</p>",
            "headers": {"X-Support-Ticket": "12345"},
            "includeOriginal": True,
            "tags": [{"name": "category", "value": "support"}, {"name": "priority", "value": "high"}],
            "unheardOf": {"is": "ignored"},
        },
    )
    arrived = await desk.arrived()
    assert is_on_the_wire(answer, arrived)
    assert sorted(arrived.recipients) == [
        "customer@customer.example",
        "hidden@customer.example",
        "manager@customer.example",
    ]
    headers = arrived.headers
    assert headers.get("From") == '"John, of the desk" <john@desk.example>'
    assert headers.get("To") == "customer@customer.example"
    assert headers.get("Cc") == "manager@customer.example"
    assert headers.get("Reply-To") == "desk@desk.example"
    assert headers.get("Bcc") is None
    assert b"hidden@" not in arrived.raw
    assert headers.get("Subject") == "Re: Support Request #12345"
    assert headers.get("X-Support-Ticket") == "12345"
    assert headers.get("In-Reply-To") == email.message_id
    opened = parse(arrived.raw)
    assert opened.root.content_type == "multipart/alternative"
    assert opened.text is not None
    assert opened.text.startswith("Dear Customer,\n\nWe have resolved your issue...\n")
    assert "> Please help." in opened.text
    assert opened.html is not None
    assert opened.html.startswith("<p>Dear Customer,</p><p>We have resolved your issue...</p>")
    assert '<blockquote class="gmail_quote"' in opened.html
    assert "Please help." in opened.html


@pytest.mark.parametrize("spelling", ["includeOriginal", "include_original"])
async def test_without_the_original_nothing_is_quoted(desk: Desk, spelling: str) -> None:
    email = await desk.letter()
    await reply(desk, email.id, text="This is an automated response.", **{spelling: False})
    arrived = await desk.arrived()
    assert parse(arrived.raw).text == "This is an automated response.\n"
    assert arrived.headers.get("In-Reply-To") == email.message_id


async def test_attachments_arrive_whole_and_an_image_stands_in_its_html(desk: Desk) -> None:
    pdf, png = b"%PDF-1.7\r\n" + bytes(range(256)) * 300, b"\x89PNG\r\n\x1a\n\0\0"
    lines = b64encode(pdf).decode("ascii")
    email = await desk.letter()
    answer = await reply(
        desk,
        email.id,
        html='<p>See <img src="cid:logo"></p>',
        attachments=[
            {"filename": "invoice.pdf", "content_type": "application/pdf", "content": lines},
            {
                "filename": "logo.png",
                "contentType": "image/png",
                "content_id": "logo",
                "content": f"data:image/png;base64,{b64encode(png).decode('ascii')}",
            },
            {
                "filename": "Größe 漢字.txt",
                "contentType": "text/plain",
                "content": "\r\n".join([lines[:76], lines[76:152]]),
            },
        ],
    )
    arrived = await desk.arrived()
    assert is_on_the_wire(answer, arrived)
    parts = {each.filename: each for each in parse(arrived.raw).attachments}
    assert set(parts) == {"invoice.pdf", "logo.png", "Größe 漢字.txt"}
    assert parts["invoice.pdf"].content == pdf
    assert parts["invoice.pdf"].content_type == "application/pdf"
    assert parts["invoice.pdf"].disposition == "attachment"
    assert parts["logo.png"].content == png
    assert parts["logo.png"].content_id == "logo"
    assert parts["logo.png"].disposition == "inline"
    assert parts["Größe 漢字.txt"].content == pdf[:114]


@pytest.mark.parametrize("spelling", ["replyAll", "reply_all"])
async def test_a_reply_to_all_reaches_everybody_once_and_none_of_us(desk: Desk, spelling: str) -> None:
    email = await desk.received(TO_MANY)
    await reply(desk, email.id, **{spelling: True})
    arrived = await desk.arrived()
    assert sorted(arrived.recipients) == [
        "alice@customer.example",
        "bob@customer.example",
        "carol@customer.example",
    ]
    assert arrived.headers.get("To") == "Alice <alice@customer.example>"
    assert arrived.headers.get("Cc") == "Bob <bob@customer.example>, carol@customer.example"


async def test_a_reply_goes_to_whom_the_customer_wants_it(desk: Desk) -> None:
    email = await desk.letter(headers=[("X-Mailer", "none")])
    other = await desk.received(
        TO_MANY.replace(b"Cc: ", b"Reply-To: Bob <bob@customer.example>\r\nX-Cc: ").replace(b"<many", b"<one")
    )
    await reply(desk, other.id)
    assert (await desk.arrived()).recipients == ["bob@customer.example"]
    await reply(desk, email.id)
    assert (await desk.arrived()).recipients == ["alice@customer.example"]


async def test_what_was_sent_is_answered_by_its_id_and_goes_on_to_its_recipients(desk: Desk) -> None:
    email = await desk.letter()
    first = await reply(desk, email.id, to="bob@customer.example")
    first_arrived = await desk.arrived()
    second = await desk.call(
        "email.sent.reply", first["id"], {"from": SUPPORT, "text": "One thing more.", "simple": False}
    )
    arrived = await desk.arrived()
    assert is_on_the_wire(second, arrived)
    assert arrived.recipients == first_arrived.recipients == ["bob@customer.example"]
    assert arrived.headers.get("In-Reply-To") == f"<{first['messageId']}>"
    assert arrived.headers.get("References") == f"{email.message_id} <{first['messageId']}>"
    assert arrived.headers.get("Subject") == "Re: The printer is on fire"
    text = parse(arrived.raw).text
    assert text is not None
    assert "> We are on our way." in text


async def test_a_thread_is_answered_by_its_id_as_its_latest_received_mail(desk: Desk) -> None:
    letter = await desk.letter()
    first = await reply(desk, letter.id)
    question = desk.house.alice.write(SUPPORT_MAILBOX, "", "When?", answering=(await desk.arrived()).headers)
    latest = await desk.received(question)
    answer = await reply(desk, first.text("repliedToThreadId"))
    arrived = await desk.arrived()
    assert arrived.headers.get("In-Reply-To") == latest.message_id
    assert answer["repliedToEmailId"] == latest.id
    assert answer["repliedToThreadId"] == letter.thread_id
    assert (first["isThreadReply"], answer["isThreadReply"]) == (False, True)


async def test_a_quick_reply_is_a_reply(desk: Desk) -> None:
    email = await desk.letter()
    options = {"idempotencyKey": "quick"}
    answers = [
        await desk.call("quickReply", email.id, "We have it.", "support@desk.example", options)
        for _ in range(2)
    ]
    arrived = await desk.arrived()
    assert answers[0] == answers[1]
    assert is_on_the_wire(answers[0], arrived)
    assert arrived.headers.get("In-Reply-To") == email.message_id


async def test_the_client_takes_the_mail_itself_where_it_takes_an_id(desk: Desk) -> None:
    email = await desk.letter()
    received = await desk.call("email.received.get", email.id)
    answer = await desk.call("reply", received.data, {"from": SUPPORT, "text": "We have it."})
    assert is_on_the_wire(answer, await desk.arrived())


async def test_simple_changes_nothing_of_the_content(desk: Desk) -> None:
    bodies = []
    email = await desk.letter()
    for simple in (True, False):
        await reply(desk, email.id, simple=simple, cc="bob@customer.example", html="<p>We are.</p>")
        arrived = await desk.arrived()
        opened = parse(arrived.raw)
        bodies.append((opened.text, opened.html, arrived.headers.get("Cc"), arrived.headers.get("Subject")))
    assert bodies[0] == bodies[1]


# --- idempotency --------------------------------------------------------------------------------------------


async def test_the_same_key_sends_once_and_has_the_same_answer(desk: Desk) -> None:
    email = await desk.letter()
    fields = {"from": SUPPORT, "text": "Thanks for your message!"}
    options = {"idempotencyKey": "reply-abc123-user456-v1"}
    first = await desk.call("email.sent.reply", email.id, fields, options)
    again = await desk.call("reply", email.id, fields, options)
    assert again == first
    assert is_on_the_wire(first, await desk.arrived())
    assert await desk.sent_count(email) == 1


async def test_the_same_key_at_the_same_time_sends_once(desk: Desk) -> None:
    email = await desk.letter()
    fields, options = {"from": SUPPORT, "text": "Thanks!"}, {"idempotencyKey": "at-once"}
    answers = await asyncio.gather(*(desk.call("reply", email.id, fields, options) for _ in range(20)))
    assert answers == [answers[0]] * 20
    assert is_on_the_wire(answers[0], await desk.arrived())
    assert await desk.sent_count(email) == 1


async def test_the_same_key_with_another_text_has_the_first_answer(desk: Desk) -> None:
    email = await desk.letter()
    options = {"idempotencyKey": "text"}
    answers = [await desk.call("reply", email.id, {"from": SUPPORT, "text": text}, options) for text in "ab"]
    assert answers[0] == answers[1]
    assert await desk.sent_count(email) == 1


async def test_a_key_for_one_mail_is_another_key_for_another(desk: Desk) -> None:
    one, other = await desk.letter(), await desk.letter()
    options = {"idempotencyKey": "k" * 256}
    fields = {"from": SUPPORT, "text": "Thanks!"}
    answers = [await desk.call("reply", each.id, fields, options) for each in (one, other)]
    assert answers[0]["id"] != answers[1]["id"]
    assert [await desk.sent_count(each) for each in (one, other)] == [1, 1]


async def test_without_a_key_each_call_sends(desk: Desk) -> None:
    email = await desk.letter()
    answers = [await reply(desk, email.id) for _ in range(2)]
    assert answers[0]["id"] != answers[1]["id"]
    assert await desk.sent_count(email) == 2


async def test_a_thousand_requests_with_twenty_keys_send_twenty_mails(desk: Desk) -> None:
    email = await desk.letter()

    async def fifty(number: int) -> str:
        fields = {"from": SUPPORT, "text": f"Answer {number}.", "includeOriginal": False}
        options = {"idempotencyKey": f"key-{number}"}
        answers = await asyncio.gather(*(desk.call("reply", email.id, fields, options) for _ in range(50)))
        assert answers == [answers[0]] * 50
        return answers[0].text("messageId")

    promised: list[str] = []
    for start in range(0, 20, 4):
        promised += await asyncio.gather(*(fifty(number) for number in range(start, start + 4)))
    arrived = [await desk.arrived() for _ in range(20)]
    assert sorted(f"<{each}>" for each in promised) == sorted(
        each.headers.get("Message-ID", "") for each in arrived
    )
    assert {parse(each.raw).text for each in arrived} == {f"Answer {number}.\n" for number in range(20)}
    assert await desk.sent_count(email) == 20


# --- reading ------------------------------------------------------------------------------------------------


async def test_what_was_sent_can_be_read(desk: Desk) -> None:
    email = await desk.letter()
    answer = await reply(desk, email.id, html="<p>We are on our way.</p>", includeOriginal=False)
    await desk.arrived()
    sent = await desk.call("email.sent.get", answer["id"])
    assert isinstance(sent.data, dict)
    assert sent["last_event"] in {"created", "pending", "delivered"}
    assert sent.text("created_at").endswith("Z")
    expected = {
        "object": "email",
        "id": answer["id"],
        "from": "Support <support@desk.example>",
        "to": ["Alice <alice@customer.example>"],
        "subject": "Re: The printer is on fire",
        "html": "<p>We are on our way.</p>\n",
        "text": "We are on our way.\n",
        "cc": [],
        "bcc": [],
        "reply_to": [],
    }
    assert {name: sent.data.get(name) for name in expected} == expected


async def test_one_method_finds_what_was_received_and_what_was_sent(desk: Desk) -> None:
    email = await desk.letter()
    answer = await reply(desk, email.id)
    received = await desk.call("email.get", email.id)
    sent = await desk.call("email.get", answer["id"])
    assert received["messageId"] == email.message_id
    assert sent["object"] == "email"
    assert sent["id"] == answer["id"]
    assert (await desk.call("email.received.get", answer["id"])).error == "Email not found"
    assert (await desk.call("email.sent.get", email.id)).error == "Email not found"


async def test_what_was_received_can_be_listed_and_read(desk: Desk) -> None:
    emails = [await desk.letter(subject) for subject in ("First", "Second")]
    listed = await desk.call("email.received.list", {"limit": 1, "offset": 1})
    assert listed["pagination"] == {"limit": 1, "offset": 1, "total": 2, "hasMore": False}
    found = listed["emails"]
    assert isinstance(found, list)
    assert [each["id"] for each in found] == [emails[0].id]
    one = await desk.call("email.received.get", emails[1].id)
    assert one["subject"] == "Second"
    assert one["from"] == "alice@customer.example"
    assert one["messageId"] == emails[1].message_id
    assert one["content.textBody"] == "Please help.\n"


async def test_a_base_address_may_end_in_a_slash(desk: Desk) -> None:
    email = await desk.letter()
    base_url = desk.base_url + "/"
    listed = await desk.call("email.received.list", base_url=base_url)
    assert listed["pagination.total"] == 1
    assert (await desk.call("email.received.get", email.id, base_url=base_url))["id"] == email.id
    fields = {"from": SUPPORT, "text": "We have it."}
    answer = await desk.call("reply", email.id, fields, base_url=base_url)
    assert is_on_the_wire(answer, await desk.arrived())
