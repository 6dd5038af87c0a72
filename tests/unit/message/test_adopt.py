# SPDX-License-Identifier: Apache-2.0
"""Messages that somebody else composed."""

from __future__ import annotations

from email.message import EmailMessage, Message

import pytest

from rejoinder.errors import HeaderInjection, MessageError
from rejoinder.message.adopt import normalise, with_fields
from rejoinder.message.encode import field
from rejoinder.message.parse import parse


@pytest.mark.parametrize(
    ("message", "raw"),
    [
        (b"From: a@x\r\nX:  y\r\n\tz\r\n\r\nbody\r\n", b"From: a@x\r\nX:  y\r\n\tz\r\n\r\nbody\r\n"),
        ("From: a@x\nTo: b@x\n\nbody\rmore\n", b"From: a@x\r\nTo: b@x\r\n\r\nbody\r\nmore\r\n"),
        (b"From x Fri\nFrom: a@x\n\n", b"From: a@x\r\n\r\n"),
        (b"From: a@x", b"From: a@x\r\n\r\n"),
        # Fields that stay at home (RFC 5322 §3.6.3, RFC 5321 §4.4).
        (b"Bcc: v@x\r\nFrom: a@x\r\nResent-Bcc: v@x\r\nReturn-Path: <a@x>\r\n\r\n", b"From: a@x\r\n\r\n"),
        # 8-bit fields are encoded, by what they hold.
        ("Subject: grün\n\n", b"Subject: =?utf-8?q?gr=C3=BCn?=\r\n\r\n"),
        ("From: Jürgen <j@x.example>\n\n", b"From: =?utf-8?q?J=C3=BCrgen?= <j@x.example>\r\n\r\n"),
    ],
)
def test_a_message_is_made_ready_to_leave(message: bytes | str, raw: bytes) -> None:
    assert normalise(message) == raw


@pytest.mark.parametrize("kind", [Message, EmailMessage])
def test_a_message_of_the_standard_library_is_taken(kind: type[Message]) -> None:
    message = kind()
    message["From"] = "a@x.example"
    message["Subject"] = "Hi"
    message.set_payload("From here\nbody\n")
    raw = normalise(message)
    assert raw.startswith(b"From: a@x.example\r\nSubject: Hi\r\n")
    assert raw.endswith(b"From here\r\nbody\r\n")


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"From: a@x\r\nno field\r\n\r\n", "a line that is no field"),
        (b" folded first\r\nFrom: a@x\r\n\r\n", "a line that is no field"),
        (b"From: a@x\r\nFROM: b@x\r\n\r\n", "'FROM' occurs twice"),
        (b"Subject: a\r\nSubject: b\r\n\r\n", "'Subject' occurs twice"),
        (b"From: a@x\r\n\r\na\0b", "NUL"),
        (b"From: a@x\r\n\r\n" + b"x" * 999, "more than 998 octets"),
        (b"From: a@x\r\nX: " + b"x" * 996 + b"\r\n\r\n", "more than 998 octets"),
        ("To: jürgen\r\n\r\n", "would hold no address"),
    ],
)
def test_what_cannot_be_repaired_is_refused(message: bytes | str, why: str) -> None:
    with pytest.raises(MessageError, match=why):
        normalise(message)


def test_a_line_of_998_octets_may_leave() -> None:
    raw = b"From: a@x\r\nX: " + b"x" * 995 + b"\r\n\r\n" + b"y" * 998 + b"\r\n" + b"z" * 998
    assert normalise(raw) == raw


@pytest.mark.parametrize("control", [b"\0", b"\x1b", b"\x7f", b"\x0b"])
def test_a_control_character_in_the_header_block_is_refused(control: bytes) -> None:
    with pytest.raises(HeaderInjection, match="control character"):
        normalise(b"Subject: a" + control + b"b\r\n\r\n")


def test_fields_are_put_at_the_end_of_the_header_block() -> None:
    raw = b"From: a@x\r\nmessage-id: <old@x>\r\nX:  odd \r\n\tspace\r\n\r\nbody  \r\n\r\nmore"
    added = with_fields(raw, add=[field("Message-ID", "<new@x>"), field("Date", "today")])
    assert added == raw.replace(b"\tspace\r\n", b"\tspace\r\nDate: today\r\n")


def test_a_replaced_field_is_there_once() -> None:
    raw = b"Auto-Submitted: no\r\nFrom: a@x\r\nauto-submitted: no\r\n\r\nbody"
    new = field("Auto-Submitted", "auto-replied")
    assert with_fields(raw, replace=[new]) == b"From: a@x\r\nAuto-Submitted: auto-replied\r\n\r\nbody"
    assert with_fields(raw, add=[new], replace=[new]).count(b"auto-replied") == 1
    assert parse(with_fields(b"\r\nbody", add=[new])).text == "body"


def test_a_last_field_without_a_line_end_gets_one() -> None:
    assert with_fields(b"From: a@x", add=[field("Date", "today")]) == b"From: a@x\r\nDate: today\r\n\r\n"
