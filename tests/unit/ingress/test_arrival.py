# SPDX-License-Identifier: Apache-2.0
"""What is known of a mail before anybody decides about it."""

from __future__ import annotations

import pytest

from rejoinder.errors import HeaderBlockTooLarge
from rejoinder.ids import Ids
from rejoinder.ingress.arrival import Arrival, Recipient, recipient, trace_block
from rejoinder.ingress.session import Client, Delivery
from rejoinder.message.address import Mailbox
from rejoinder.message.headers import split
from rejoinder.routing.table import Target, TargetKind
from rejoinder.smtp.envelope import Envelope
from tests.unit.replies.originals import ALICE, NOW, PROVEN, SUPPORT

FROM = "From: alice@customer.example\r\n"
IDS = Ids(bytes)
STORE = Target(TargetKind.STORE, "default", "desk.example")
CLIENT = Client("192.0.2.7", 4711, "mail.customer.example", esmtp=True)


def arrival(
    block: str, *, forward_paths: tuple[Mailbox, ...] = (SUPPORT,), client: Client = CLIENT, body: str = "Hi"
) -> Arrival:
    raw = f"{block}\r\n{body}\r\n".encode()
    return Arrival.of(Delivery(Envelope(ALICE, forward_paths), raw, client, NOW, ()))


NO_AUTHOR = "550 5.6.0 The message has no author domain in From"
SEVERAL = "550 5.6.0 The message has several author domains in From"


@pytest.mark.parametrize(
    ("block", "refusal"),
    [
        (FROM, None),
        ("Subject: x\r\n", NO_AUTHOR),
        ("From: nobody\r\n", NO_AUTHOR),
        ("From: \r\n", NO_AUTHOR),
        ("From: a@one.example, b@two.example\r\n", SEVERAL),
        (FROM + "From: bob@two.example\r\n", SEVERAL),
        # Several authors of one domain: there is one domain to ask about.
        ("From: a@one.example, b@ONE.example\r\n", None),
        (FROM + "Received: by a\r\n" * 100, None),
        (FROM + "Received: by a\r\n" * 101, "554 5.4.6 Too many Received fields, the message is in a loop"),
    ],
)
def test_what_no_policy_can_make_right_is_refused(block: str, refusal: str | None) -> None:
    found = arrival(block).refusal()
    assert (None if found is None else str(found)) == refusal


def test_a_header_block_beyond_the_limit_is_not_split() -> None:
    with pytest.raises(HeaderBlockTooLarge):
        arrival(FROM + f"X: {'x' * 300_000}\r\n")


def test_the_fields_that_identify_it() -> None:
    full = arrival(
        FROM + "Message-ID: <1@c.example> (comment)\r\nIn-Reply-To: <0@d.example>\r\n"
        "References: <a@d.example>\r\nReferences: <0@d.example>\r\n"
    )
    assert full.message_id == "<1@c.example>"
    assert full.in_reply_to == ("<0@d.example>",)
    assert full.references == ("<a@d.example>", "<0@d.example>")
    for unusable in ("", "Message-ID: \r\n", "Message-ID: 1@c.example\r\n"):
        assert arrival(FROM + unusable).message_id is None


def taken(found: Arrival, path: Mailbox = SUPPORT) -> Recipient:
    return recipient(found, path, STORE, found.event_keys(), IDS)


def test_the_event_key_is_that_of_the_mail_and_its_way_not_of_the_delivery() -> None:
    block = FROM + "Message-ID: <1@c.example>\r\n"
    key = taken(arrival(block)).event_key
    assert taken(arrival(block)).event_key == key
    assert taken(arrival("Received: by a\r\n" + block)).event_key == key
    assert taken(arrival(block), Mailbox("Support", "DESK.example")).event_key == key
    assert taken(arrival(block), Mailbox("sales", "desk.example")).event_key != key
    assert taken(arrival(block, body="Ho")).event_key != key
    assert taken(arrival(block)).event_key_stable


def test_a_mail_without_identity_has_a_key_of_its_own_each_time() -> None:
    numbers = iter(range(100))
    ids = Ids(lambda size: next(numbers).to_bytes(size, "big"))
    found = arrival(FROM)
    keys = {recipient(found, SUPPORT, STORE, found.event_keys(), ids).event_key for _ in range(3)}
    assert len(keys) == 3
    assert not taken(arrival(FROM)).event_key_stable


def test_the_trace_block_tells_the_way_and_no_other_recipient() -> None:
    alone = arrival(FROM)
    block = trace_block(alone, taken(alone), PROVEN, "mx.desk.example")
    headers, _ = split(block)
    assert [field.name for field in headers] == ["Return-Path", "Authentication-Results", "Received"]
    assert headers.get("Return-Path") == "<alice@customer.example>"
    assert "for <support@desk.example>" in headers.get("Received", "")
    assert "with ESMTP id email_" in headers.get("Received", "")
    assert block.endswith(b"\r\n")
    both = arrival(FROM, forward_paths=(SUPPORT, Mailbox("sales", "desk.example")))
    assert b"for <" not in trace_block(both, taken(both), PROVEN, "mx.desk.example")


def test_a_client_that_said_nothing_is_told_as_unknown() -> None:
    silent = arrival(FROM, client=Client("2001:db8::1", 1, None, esmtp=False))
    headers, _ = split(trace_block(silent, taken(silent), PROVEN, "mx.desk.example"))
    assert headers.get("Received", "").startswith(
        "from unknown ([IPv6:2001:db8::1]) by mx.desk.example with SMTP"
    )
