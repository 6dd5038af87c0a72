# SPDX-License-Identifier: Apache-2.0
"""Every sentence of the reply endpoint's page is a test here, against a real server.

``docs/api-reply.md`` has the table of sentences and tests; the last test compares the two.
"""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.header import Header
from itertools import count
from pathlib import Path
from typing import Final

import httpx2
import pytest

from rejoinder.clock.manual import ManualClock
from rejoinder.errors import StoreError
from rejoinder.ingress.session import Delivery
from rejoinder.mailauth.dkim.sign import Signer
from rejoinder.message.parse import ParsedMessage, parse
from rejoinder.replies.answer import Answering
from rejoinder.store.records import Email
from tests.acceptance.house import KEY, House, houses

pytestmark = pytest.mark.anyio

TABLE: Final = Path(__file__).parents[2] / "docs" / "api-reply.md"
ALICE: Final = "alice@customer.example"
BOB: Final = "bob@customer.example"
FROM: Final = "support@desk.example"
PDF: Final = b"%PDF-1.7\n" + bytes(range(256)) * 20
LEAST: Final[dict[str, object]] = {"from": FROM, "text": "We have it."}


@dataclass(frozen=True)
class Service:
    """The server as the page describes it, and the customer."""

    house: House
    numbers: Iterator[int] = field(default_factory=count)

    async def letter(self, subject: str = "The printer is on fire", **headers: str) -> Email:
        """A mail of Alice's, received."""
        fields = {
            "From": "Alice <alice@customer.example>",
            "To": FROM,
            "Date": "Thu, 1 Jan 2026 00:00:00 +0000",
            "Message-ID": f"<{next(self.numbers)}@customer.example>",
            "Subject": Header(subject, "utf-8" if not subject.isascii() else None).encode(),
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return await self.received(head.encode() + b"\r\nPlease help.\r\n")

    async def received(self, raw: bytes) -> Email:
        """This mail, received."""
        await self.house.send(raw)
        return (await self.house.mail())[-1]

    async def post(
        self,
        asked: str,
        content: bytes | str,
        headers: Mapping[str, str] | None = None,
        key: str | None = KEY,
    ) -> httpx2.Response:
        """One request, as it stands."""
        host, port = self.house.server.http_address
        url = f"http://{host}:{port}/api/v2/emails/{asked}/reply"
        authorization = {} if key is None else {"Authorization": f"Bearer {key}"}
        async with httpx2.AsyncClient(trust_env=False) as client:
            return await client.post(url, content=content, headers={**authorization, **(headers or {})})

    async def refused(self, email: Email, **fields: object) -> tuple[int, str]:
        """The status and the sentence of a reply that must fail."""
        response = await self.post(email.id, json.dumps(LEAST | fields))
        return response.status_code, response.json()["error"]

    async def reply(self, email: Email, *keys: str, **fields: object) -> dict[str, str]:
        """What a reply that must succeed is answered, under an idempotency key if one is given."""
        headers = dict(zip(["Idempotency-Key"], keys, strict=False))
        response = await self.post(email.id, json.dumps(LEAST | fields), headers)
        assert response.status_code == 200, response.text
        answer: dict[str, str] = response.json()
        return answer

    async def delivered(self, email: Email, **fields: object) -> Delivery:
        """What comes to the customer's mail server when this is replied."""
        await self.reply(email, **fields)
        async with asyncio.timeout(10):
            return await self.house.sink.next()

    async def arrived(self, email: Email, **fields: object) -> ParsedMessage:
        """The message that comes of it."""
        return parse((await self.delivered(email, **fields)).raw)

    async def sent(self, email: Email) -> int:
        """How many replies to a mail were sent."""
        return len(await self.house.sent(email))


Serve = Callable[..., Awaitable[Service]]


@pytest.fixture
async def serve(tmp_path: Path, customer_key: Signer, desk_key: Path) -> AsyncIterator[Serve]:
    """Starts the server with these sections in its configuration."""
    async with houses(tmp_path, customer_key, desk_key) as open_house:

        async def open_(clock: ManualClock | None = None, **sections: object) -> Service:
            kept = {"worker": [], "route": [{"match": FROM, "store": True}]}
            return Service(await open_house(clock=clock, **(kept | sections)))

        yield open_


@pytest.fixture
async def service(serve: Serve) -> Service:
    return await serve()


def header(message: ParsedMessage, name: str) -> str | None:
    """A header field, decoded; it is there at most once."""
    fields = message.headers.fields(name)
    assert len(fields) <= 1
    return fields[0].decoded if fields else None


def paths(delivery: Delivery) -> list[str]:
    """Whom the envelope names."""
    return sorted(map(str, delivery.envelope.forward_paths))


# --- the endpoint -------------------------------------------------------------------------------------


async def test_a_reply_is_answered_with_its_id_and_its_message_id(service: Service) -> None:
    answer = await service.reply(await service.letter())
    assert answer["id"].startswith("sent_")
    assert re.fullmatch(r"[^<>@\s]+@desk\.example", answer["messageId"])


async def test_received_mail_is_replied_to_in_its_thread(service: Service) -> None:
    email = await service.letter()
    message = await service.arrived(email)
    assert header(message, "In-Reply-To") == email.message_id
    assert header(message, "References") == email.message_id


async def test_a_key_in_the_authorization_header_authenticates(service: Service) -> None:
    email = await service.letter()
    assert (await service.post(email.id, json.dumps(LEAST))).status_code == 200
    assert (await service.post(email.id, json.dumps(LEAST), key=None)).status_code == 401


async def test_the_id_is_that_of_a_mail_that_the_account_received(serve: Serve) -> None:
    others = {"name": "other.example", "account": "other"}
    domains = [{"name": "desk.example"}, others]
    service = await serve(domain=domains, route=[{"match": "*@desk.example", "store": True}])
    email = await service.letter()
    assert (await service.post(email.id, json.dumps(LEAST))).status_code == 200
    assert (await service.post(f"email_{'0' * 26}", json.dumps(LEAST))).status_code == 404


async def test_fields_have_two_spellings(service: Service) -> None:
    email = await service.letter()
    for spelling in ("reply_to", "replyTo"):
        assert header(await service.arrived(email, **{spelling: BOB}), "Reply-To") == BOB
    for spelling in ("include_original", "includeOriginal"):
        assert "Please help." not in str((await service.arrived(email, **{spelling: False})).text)


# --- the body -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["Support <support@desk.example>", "support@desk.example"])
async def test_from_is_an_address_with_or_without_a_name(service: Service, written: str) -> None:
    message = await service.arrived(await service.letter(), **{"from": written})
    assert header(message, "From") == written


async def test_from_is_required(service: Service) -> None:
    assert await service.refused(await service.letter(), **{"from": None}) == (
        400,
        "From address is required",
    )


async def test_the_domain_of_from_is_one_of_the_account(service: Service) -> None:
    status, _ = await service.refused(await service.letter(), **{"from": "a@unverified.example"})
    assert status == 403


async def test_from_name_is_the_name_that_is_shown(service: Service) -> None:
    email = await service.letter()
    for author in (FROM, f"Other <{FROM}>"):
        message = await service.arrived(email, **{"from": author}, from_name="Zoë of Support")
        assert header(message, "From") == f"Zoë of Support <{FROM}>"


async def test_without_to_the_reply_goes_to_the_original_sender(service: Service) -> None:
    delivery = await service.delivered(await service.letter())
    assert paths(delivery) == [ALICE]
    assert header(parse(delivery.raw), "To") == "Alice <alice@customer.example>"


async def test_without_to_the_reply_goes_where_the_sender_wants_it(service: Service) -> None:
    assert paths(await service.delivered(await service.letter(Reply_To=BOB))) == [BOB]


@pytest.mark.parametrize("given", [BOB, [BOB], [BOB, "carl@customer.example"]])
async def test_to_is_one_address_or_a_list(service: Service, given: str | list[str]) -> None:
    delivery = await service.delivered(await service.letter(), to=given)
    assert paths(delivery) == ([given] if isinstance(given, str) else given)


async def test_without_a_subject_re_is_put_before_the_original(service: Service) -> None:
    message = await service.arrived(await service.letter("Grüße"))
    assert header(message, "Subject") == "Re: Grüße"


async def test_a_given_subject_is_the_subject(service: Service) -> None:
    message = await service.arrived(await service.letter(), subject="Re: Support Request #12345")
    assert header(message, "Subject") == "Re: Support Request #12345"


@pytest.mark.parametrize("given", [BOB, [BOB, "carl@customer.example"]])
async def test_cc_gets_a_copy_that_everybody_sees(service: Service, given: str | list[str]) -> None:
    copied = [given] if isinstance(given, str) else given
    delivery = await service.delivered(await service.letter(), cc=given)
    assert paths(delivery) == [ALICE, *copied]
    assert header(parse(delivery.raw), "Cc") == ", ".join(copied)


@pytest.mark.parametrize("given", [BOB, [BOB, "carl@customer.example"]])
async def test_bcc_gets_a_copy_that_nobody_sees(service: Service, given: str | list[str]) -> None:
    delivery = await service.delivered(await service.letter(), bcc=given)
    assert paths(delivery) == [ALICE, *([given] if isinstance(given, str) else given)]
    assert b"bob" not in delivery.raw
    assert header(parse(delivery.raw), "Bcc") is None


@pytest.mark.parametrize("given", [BOB, [BOB, "carl@customer.example"]])
async def test_reply_to_is_where_the_answer_shall_go(service: Service, given: str | list[str]) -> None:
    message = await service.arrived(await service.letter(), reply_to=given)
    assert header(message, "Reply-To") == (given if isinstance(given, str) else ", ".join(given))


async def test_text_is_the_plain_part_and_html_the_other(service: Service) -> None:
    message = await service.arrived(
        await service.letter(), text="Grüße = ok\n\nBye", html="<p>Grüße</p>", include_original=False
    )
    assert (message.text or "").rstrip() == "Grüße = ok\n\nBye"
    assert (message.html or "").rstrip() == "<p>Grüße</p>"


@pytest.mark.parametrize("given", [{"text": "Only text"}, {"text": None, "html": "<b>Only</b> html"}])
async def test_text_or_html_is_enough(service: Service, given: dict[str, str | None]) -> None:
    message = await service.arrived(await service.letter(), **given)
    assert "Only" in str(message.text)


async def test_custom_headers_are_added_to_ours(service: Service) -> None:
    message = await service.arrived(await service.letter(), headers={"X-Support-Ticket": "12345"})
    assert header(message, "X-Support-Ticket") == "12345"
    for name in ("From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "MIME-Version"):
        assert header(message, name)


async def test_attachments_are_files_that_go_along(service: Service) -> None:
    files = [
        {"filename": "invoice.pdf", "content": b64encode(PDF).decode(), "content_type": "application/pdf"},
        {"filename": "Grüße.txt", "content": b64encode(b"hello").decode()},
    ]
    message = await service.arrived(await service.letter(), attachments=files)
    found = [(part.filename, part.content_type, part.content) for part in message.attachments]
    assert found == [("invoice.pdf", "application/pdf", PDF), ("Grüße.txt", "text/plain", b"hello")]


async def test_by_default_the_original_is_quoted_below_with_attribution(service: Service) -> None:
    email = await service.letter()
    for given in ({}, {"include_original": True}, {"includeOriginal": True}):
        message = await service.arrived(email, html="<p>We have it.</p>", **given)
        assert re.search(r"(?s)We have it\..*Alice.* wrote:\s*> Please help\.", message.text or "")
        assert re.search(r"(?s)We have it\..*Alice.* wrote:.*<blockquote.*Please help\.", message.html or "")


async def test_without_the_original_nothing_is_quoted(service: Service) -> None:
    message = await service.arrived(await service.letter(), includeOriginal=False)
    assert (message.text or "").rstrip() == "We have it."


async def test_tags_are_kept_with_the_reply(service: Service) -> None:
    tags = [{"name": "category", "value": "support"}, {"name": "priority", "value": "high"}]
    answer = await service.reply(await service.letter(), tags=tags)
    assert (await service.house.ask(f"/emails/{answer['id']}")).json()["tags"] == tags


async def test_simple_mode_is_as_complete_as_the_other(service: Service) -> None:
    email = await service.letter()
    files = [{"filename": "a.pdf", "content": b64encode(PDF).decode()}]
    full = LEAST | {"cc": BOB, "headers": {"X-A": "b"}, "attachments": files}
    one, other = [await service.delivered(email, **full, simple=simple) for simple in (True, False)]
    assert paths(one) == paths(other)
    for each in (parse(one.raw), parse(other.raw)):
        assert header(each, "X-A") == "b"
        assert "> Please help." in str(each.text)
        assert [part.content for part in each.attachments] == [PDF]


# --- idempotency --------------------------------------------------------------------------------------


async def test_a_key_sends_once_and_gives_the_same_answer_again(service: Service) -> None:
    email = await service.letter()
    first, *others = [await service.reply(email, "auto-reply-1") for _ in range(3)]
    assert others == [first, first]
    assert await service.sent(email) == 1


async def test_other_keys_are_other_replies(service: Service) -> None:
    email = await service.letter()
    answers = [await service.reply(email, key) for key in ("reply-v1", "reply-v2")]
    assert len({answer["id"] for answer in answers}) == 2
    assert await service.sent(email) == 2


async def test_a_key_expires_after_24_hours(serve: Serve) -> None:
    clock = ManualClock()
    service = await serve(clock)
    email = await service.letter()
    first = await service.reply(email, "key")
    await clock.advance(24 * 3600 - 1)
    assert await service.reply(email, "key") == first
    await clock.advance(2)
    assert (await service.reply(email, "key"))["id"] != first["id"]


async def test_a_key_has_at_most_256_characters(service: Service) -> None:
    email = await service.letter()
    await service.reply(email, "k" * 256)
    response = await service.post(email.id, json.dumps(LEAST), {"Idempotency-Key": "k" * 257})
    assert response.status_code == 400


async def test_a_webhook_that_comes_twice_is_answered_once(service: Service) -> None:
    email = await service.letter()
    key = f"auto-reply-{email.id}-29384723"
    answers = await asyncio.gather(*(service.reply(email, key, includeOriginal=False) for _ in range(10)))
    assert len({answer["id"] for answer in answers}) == 1
    assert await service.sent(email) == 1


# --- the answer ---------------------------------------------------------------------------------------


async def test_the_message_id_is_the_one_on_the_wire(service: Service) -> None:
    email = await service.letter()
    answer = await service.reply(email)
    async with asyncio.timeout(10):
        message = parse((await service.house.sink.next()).raw)
    assert header(message, "Message-ID") == f"<{answer['messageId']}>"


async def test_the_id_is_that_of_the_sent_mail(service: Service) -> None:
    answer = await service.reply(await service.letter())
    sent = (await service.house.ask(f"/emails/{answer['id']}")).json()
    assert (sent["object"], sent["from"], sent["message_id"]) == ("email", FROM, f"<{answer['messageId']}>")


async def test_without_amazon_ses_there_is_no_aws_message_id(service: Service) -> None:
    assert "awsMessageId" not in await service.reply(await service.letter())


# --- threading ----------------------------------------------------------------------------------------


async def test_references_keep_the_whole_conversation(service: Service) -> None:
    email = await service.letter(References="<1@a.example> <2@b.example>", In_Reply_To="<2@b.example>")
    message = await service.arrived(email)
    assert header(message, "References") == f"<1@a.example> <2@b.example> {email.message_id}"
    assert header(message, "In-Reply-To") == email.message_id


@pytest.mark.parametrize("subject", ["Re: Printer", "RE: Printer", "AW: Printer"])
async def test_re_is_not_put_before_a_re(service: Service, subject: str) -> None:
    told = header(await service.arrived(await service.letter(subject)), "Subject")
    assert re.fullmatch(r"(?i)(re|aw): Printer", str(told))


async def test_the_answer_to_a_reply_is_in_the_same_thread(service: Service) -> None:
    email = await service.letter()
    answer = await service.reply(email)
    again = await service.letter("Re: The printer", In_Reply_To=f"<{answer['messageId']}>")
    assert again.thread_id == email.thread_id == answer["repliedToThreadId"]


# --- the examples -------------------------------------------------------------------------------------


async def test_the_basic_example(service: Service) -> None:
    text = "Thank you for your email. We have received your request and will respond shortly."
    assert text in str((await service.arrived(await service.letter(), text=text)).text)


async def test_the_advanced_example(serve: Serve) -> None:
    service = await serve(outbound={"route": "direct", "mx_port": 25, "allow_private_mx": True})
    answer = await service.reply(
        await service.letter(),
        **{"from": "john@desk.example"},
        to=["customer@customer.example"],
        cc=["manager@desk.example"],
        subject="Re: Support Request #12345",
        text="Dear Customer,\n\nWe have resolved your issue...",
        html="<p>Dear Customer,</p><p>We have resolved your issue...</p>",
        headers={"X-Support-Ticket": "12345"},
        includeOriginal=True,
        tags=[{"name": "category", "value": "support"}, {"name": "priority", "value": "high"}],
    )
    sent = (await service.house.ask(f"/emails/{answer['id']}")).json()
    assert (sent["to"], sent["cc"]) == (["customer@customer.example"], ["manager@desk.example"])
    assert sent["subject"] == "Re: Support Request #12345"
    assert sent["html"].startswith("<p>Dear Customer,</p>")


async def test_the_example_with_an_attachment(service: Service) -> None:
    file = {
        "content": b64encode(PDF).decode(),
        "filename": "invoice.pdf",
        "content_type": "application/pdf",
    }
    message = await service.arrived(
        await service.letter(),
        **{"from": "billing@desk.example"},
        text="Please find the invoice attached.",
        attachments=[file],
    )
    assert [part.content for part in message.attachments] == [PDF]


# --- the errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["undefined", "null", "x" * 129, "a.b"])
async def test_400_valid_email_id_is_required(service: Service, asked: str) -> None:
    response = await service.post(asked, json.dumps(LEAST))
    assert (response.status_code, response.json()["error"]) == (400, "Valid email ID is required")


async def test_400_from_address_is_required(service: Service) -> None:
    email = await service.letter()
    assert await service.refused(email, **{"from": ""}) == (400, "From address is required")


async def test_400_either_html_or_text_content_must_be_provided(service: Service) -> None:
    told = await service.refused(await service.letter(), text="")
    assert told == (400, "Either html or text content must be provided")


async def test_400_cannot_determine_recipient_email_address(service: Service) -> None:
    email = await service.received(
        # Its author's local-part is not ASCII, so nothing can be sent there (RFC 6531 would be needed).
        b"From: j\xc3\xb6rg@customer.example\r\nReply-To: undisclosed:;\r\n"
        b"To: support@desk.example\r\nMessage-ID: <n@a.example>\r\n\r\nHi\r\n"
    )
    assert await service.refused(email) == (400, "Cannot determine recipient email address")


@pytest.mark.parametrize("name", ["from", "to", "cc", "bcc", "reply_to", "replyTo"])
async def test_400_invalid_email_format(service: Service, name: str) -> None:
    status, told = await service.refused(await service.letter(), **{name: "nobody"})
    assert (status, told) == (400, "Invalid email format: 'nobody'")


async def test_400_invalid_json_in_request_body(service: Service) -> None:
    response = await service.post((await service.letter()).id, '{"from": ')
    assert (response.status_code, response.json()["error"]) == (400, "Invalid JSON in request body")


@pytest.mark.parametrize("key", [None, "rj_unknown", f"rj_{'x' * 43}"])
async def test_401_unauthorized(service: Service, key: str | None) -> None:
    response = await service.post("email_abc123", json.dumps(LEAST), key=key)
    assert (response.status_code, response.json()["error"]) == (401, "Unauthorized")


async def test_403_you_do_not_have_permission_to_send_from_a_domain(service: Service) -> None:
    told = await service.refused(await service.letter(), **{"from": "hello@unverified.com"})
    assert told == (403, "You don't have permission to send from domain: unverified.com")


@pytest.mark.parametrize("asked", ["email_abc123", f"email_{'0' * 26}", "sent_xyz789"])
async def test_404_email_not_found(service: Service, asked: str) -> None:
    response = await service.post(asked, json.dumps(LEAST))
    assert (response.status_code, response.json()["error"]) == (404, "Email not found")


@pytest.mark.parametrize("period", ["per_month", "per_hour"])
async def test_429_email_sending_limit_reached(serve: Serve, period: str) -> None:
    service = await serve(quota={period: 2})
    email = await service.letter()
    for _ in range(2):
        await service.reply(email)
    response = await service.post(email.id, json.dumps(LEAST))
    sentence = "Email sending limit reached. Please upgrade your plan to send more emails."
    assert (response.status_code, response.json()["error"]) == (429, sentence)
    assert response.headers["x-should-retry"] == "false"
    assert await service.sent(email) == 2


async def test_500_failed_to_send_reply(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise StoreError("the disk is on fire: /var/lib")

    email = await service.letter()
    monkeypatch.setattr(service.house.server.store, "transaction", broken)
    told = await service.refused(email)
    monkeypatch.undo()
    assert told == (500, "Failed to send reply. Please try again later.")
    assert await service.sent(email) == 0


async def test_500_internal_server_error(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a secret")

    email = await service.letter()
    monkeypatch.setattr(Answering, "reply", broken)
    assert await service.refused(email) == (500, "Internal server error")


async def test_an_error_is_json_with_its_sentence_in_error(service: Service) -> None:
    response = await service.post("email_abc123", json.dumps(LEAST))
    assert response.headers["content-type"] == "application/json"
    assert isinstance(response.json()["error"], str)


# --- rates --------------------------------------------------------------------------------------------


async def test_requests_have_a_rate(serve: Serve) -> None:
    service = await serve(http={"listen": "127.0.0.1:0", "rate": 1})
    responses = [await service.post("email_abc123", json.dumps(LEAST)) for _ in range(3)]
    assert responses[0].status_code == 404
    assert responses[-1].status_code == 429
    assert responses[-1].headers["retry-after"] == "1"


# --- the table ----------------------------------------------------------------------------------------


def test_the_table_names_each_test_and_each_test_is_in_the_table() -> None:
    named = set(re.findall(r"`(test_\w+)`", TABLE.read_text(encoding="utf-8")))
    written = set(re.findall(r"(?m)^async def (test_\w+)", Path(__file__).read_text(encoding="utf-8")))
    assert written <= named
    elsewhere = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert not [name for name in named if f"def {name}(" not in elsewhere]
