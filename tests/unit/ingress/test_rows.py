# SPDX-License-Identifier: Apache-2.0
"""What the rows of a recipient's mail say."""

from __future__ import annotations

from dataclasses import replace

from rejoinder.ingress.arrival import Arrival, Recipient, recipient
from rejoinder.ingress.decide import OK, Handling
from rejoinder.ingress.rows import email_row, received_evidence, seen_row
from rejoinder.ingress.session import Client, Delivery
from rejoinder.routing.table import Target, TargetKind
from rejoinder.smtp.envelope import Envelope
from rejoinder.smtp.reply import Reply
from rejoinder.store.records import EmailStatus, Raw, Seen
from tests.unit.ingress.test_arrival import CLIENT, IDS
from tests.unit.replies.originals import ALICE, HEADERS, NOW, ORIGINAL, SUPPORT, with_headers

RAW = Raw("raw_1", "ab", 5, b"12345", None, NOW)
STORE = Target(TargetKind.STORE, "default", "desk.example")


def handled(block: str = HEADERS, target: Target = STORE, **changed: object) -> tuple[Arrival, Handling]:
    client = Client(CLIENT.ip, CLIENT.port, None, esmtp=False)
    delivery = Delivery(Envelope(ALICE, (SUPPORT,)), f"{block}\r\nx".encode(), client, NOW, ("S: 220 hi",))
    arrival = Arrival.of(delivery)
    to: Recipient = recipient(arrival, SUPPORT, target, arrival.event_keys(), IDS)
    original = replace(with_headers(block), email_id=to.email_id, **changed)  # type: ignore[arg-type]
    return arrival, Handling(to, original, None)


def test_the_mail_as_its_header_tells() -> None:
    arrival, handling = handled(
        "From: =?utf-8?q?Zo=C3=AB?= <zoe@c.example>\r\nSubject: =?utf-8?q?=C3=A9?=\r\n"
    )
    email = email_row(arrival, handling, RAW, EmailStatus.RECEIVED, b"Return-Path: <>\r\n")
    assert (email.author, email.author_name, email.subject) == ("zoe@c.example", "Zoë", "é")
    assert (email.helo, email.message_id, email.mark, email.thread_id) == ("", None, None, "")
    assert (email.reverse_path, email.forward_path) == ("alice@customer.example", "support@desk.example")


def test_a_mail_without_anything_is_told_without_it() -> None:
    arrival, handling = handled("X: y\r\n", reverse_path=None)
    email = email_row(arrival, handling, RAW, EmailStatus.RECEIVED, b"")
    assert (email.author, email.author_name, email.subject, email.reverse_path) == (None, None, None, None)


def test_mail_to_the_return_path_has_its_mark() -> None:
    arrival, handling = handled(target=replace(STORE, kind=TargetKind.RETURN_PATH))
    assert email_row(arrival, handling, RAW, EmailStatus.RECEIVED, b"").mark == "return-path"


def test_the_answer_that_all_recipients_got_is_remembered() -> None:
    _, handling = handled()
    row = seen_row(handling, Reply.of(550, "5.7.1", "not today"), NOW)
    key, email_id = handling.to.event_key, handling.to.email_id
    assert row == Seen("default", key, email_id, 550, "5.7.1 not today", NOW)


def test_a_mail_without_identity_is_not_remembered() -> None:
    _, handling = handled("From: alice@customer.example\r\n")
    assert seen_row(handling, OK, NOW) is None


def test_the_event_tells_the_envelope_the_verdict_and_the_answer() -> None:
    arrival, handling = handled()
    told = received_evidence(arrival, handling, Reply.of(550, "5.7.1", "no"))
    assert told["answer"] == "550 5.7.1 no"
    assert told["dmarc"] == "pass customer.example"
    assert (told["spf"], told["dkim"]) == ("pass", [])
    assert told["transcript"] == ["S: 220 hi", "S: 550 5.7.1 no"]
    assert told["reverse_path"] == str(ORIGINAL.reverse_path)
