# SPDX-License-Identifier: Apache-2.0
"""Delivery status notifications (RFC 3464)."""

from __future__ import annotations

from email import message_from_bytes

from rejoinder.message.address import Address, Mailbox
from rejoinder.message.automatic import AutomaticKind, detect
from rejoinder.message.dsn import DsnRecipient, compose_dsn
from rejoinder.message.headers import split
from rejoinder.message.parse import parse

AT = 1_763_758_841_000_000
JANE = Mailbox("jane", "x.example")
ORIGINAL = b"Message-ID: <m@x>\r\nFrom: jane@x.example\r\nSubject: =?utf-8?q?gr=C3=BCn?=\r\n\r\n"
REFUSED = DsnRecipient(Mailbox("support", "desk.example"), "failed", "5.7.1", "550 5.7.1 not\r\nhere, grün")


def dsn(original: bytes = ORIGINAL, *recipients: DsnRecipient, arrival: int | None = AT) -> bytes:
    return compose_dsn(
        reporting_mta="mx.desk.example",
        from_=Address("Mail Delivery System", Mailbox("mailer-daemon", "desk.example")),
        to=JANE,
        original=split(original)[0],
        recipients=recipients or (REFUSED,),
        message_id="<d@desk.example>",
        date=AT,
        arrival=arrival,
    )


def test_it_is_a_report_of_three_parts() -> None:
    message = message_from_bytes(dsn())
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert [part.get_content_type() for part in message.walk()][1:] == [
        "text/plain", "message/delivery-status", "text/plain", "text/plain", "text/rfc822-headers",
    ]  # fmt: skip
    assert message.defects == []


def test_it_says_what_became_of_each_recipient() -> None:
    status = parse(dsn()).root.children[1]
    assert status.text == (
        "Reporting-MTA: dns; mx.desk.example\n"
        "Arrival-Date: Fri, 21 Nov 2025 21:00:41 +0000\n"
        "\n"
        "Final-Recipient: rfc822; support@desk.example\n"
        "Action: failed\n"
        "Status: 5.7.1\n"
        "Diagnostic-Code: smtp; 550 5.7.1 not here, gr?n\n"
    )


def test_it_answers_in_the_thread_and_is_automatic() -> None:
    raw = dsn()
    headers, _ = split(raw)
    assert headers.get("To") == "jane@x.example"
    assert headers.get("In-Reply-To") == headers.get("References") == "<m@x>"
    assert headers.get("Subject") == "Delivery Status Notification (Failure)"
    assert {found.kind for found in detect(headers, None)} >= {AutomaticKind.DSN, AutomaticKind.AUTO_REPLIED}
    assert raw.isascii()


def test_it_tells_people_which_message_and_why() -> None:
    text = parse(dsn()).text or ""
    assert 'Your message "grün"' in text
    assert "could not be handed to:" in text
    assert "support@desk.example: 550 5.7.1 not here, grün" in text


def test_it_makes_nothing_up() -> None:
    later = DsnRecipient(JANE, "delayed", "4.4.1", "451 4.4.1 later")
    raw = dsn(b"From: jane@x.example\r\n\r\n", later, arrival=None)
    headers, _ = split(raw)
    assert headers.get("In-Reply-To") is None
    assert headers.get("Subject") == "Delivery Status Notification (Status)"
    assert "Arrival-Date" not in parse(raw).root.children[1].text
    assert "was sent to:" in (parse(raw).text or "")


def test_it_carries_the_headers_of_the_original_up_to_a_limit() -> None:
    original = ORIGINAL[:-2] + b"X-Long: " + b"x" * 20_000 + b"\r\nX-After: y\r\n\r\n"
    assert parse(dsn(original)).root.children[2].content == ORIGINAL[:-2]
    assert all(len(line) <= 998 for line in dsn(original).split(b"\r\n"))


def test_8_bit_headers_of_the_original_are_encoded() -> None:
    raw = dsn(b"Subject: gr\xc3\xbcn\r\nX: gr\xfcn\r\n\r\n")
    assert raw.isascii()
    assert parse(raw).root.children[2].content == "Subject: grün\r\nX: gr\ufffdn\r\n".encode()
