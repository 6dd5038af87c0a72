# SPDX-License-Identifier: Apache-2.0
"""The event key: the same mail has the same key, any other has another."""

from __future__ import annotations

import struct
from hashlib import sha256

import pytest

from rejoinder.message.address import Mailbox
from rejoinder.message.event_key import EventKeys
from rejoinder.message.headers import split

JANE, DESK = Mailbox("jane", "x.example"), Mailbox("support", "desk.example")
MAIL = (
    b"Message-ID: <m@x>\r\nDate: today\r\nFrom: a@x\r\nSubject: Hi\r\nContent-Type: text/plain\r\n"
    b"\r\nbody\r\n"
)


def key(raw: bytes, reverse_path: Mailbox | None = JANE, forward_path: Mailbox = DESK) -> str | None:
    headers, body = split(raw)
    return EventKeys(reverse_path, headers, raw[body:]).of(forward_path)


def test_it_is_the_sha_256_of_the_parts_with_their_lengths() -> None:
    parts = [
        b"jane@x.example", b"message-id", b"<m@x>", b"date", b"today", b"from", b"a@x", b"subject", b"Hi",
        b"content-type", b"text/plain", b"body\r\n", b"support@desk.example",
    ]  # fmt: skip
    assert key(MAIL) == sha256(b"".join(struct.pack(">Q", len(part)) + part for part in parts)).hexdigest()


@pytest.mark.parametrize(
    "same",
    [
        b"Received: by mx\r\n" + MAIL,
        b"DKIM-Signature: v=1\r\nARC-Seal: i=1\r\nAuthentication-Results: x\r\nX-Spam: no\r\n" + MAIL,
        MAIL.replace(b"Subject: Hi", b"subject:   Hi  "),
        MAIL.replace(b"Content-Type: text/plain", b"Content-Type:\r\n text/plain"),
    ],
)
def test_the_way_of_a_mail_does_not_change_it(same: bytes) -> None:
    assert key(same) == key(MAIL)


def test_the_case_of_our_local_part_does_not_change_it() -> None:
    assert key(MAIL, JANE, Mailbox("Support", "desk.example")) == key(MAIL)
    assert key(MAIL, Mailbox("Jane", "x.example")) != key(MAIL)


def test_the_case_of_a_domain_does_not_change_it() -> None:
    assert key(MAIL, Mailbox("jane", "X.Example"), Mailbox("support", "DESK.example.")) == key(MAIL)


@pytest.mark.parametrize(
    "other",
    [
        MAIL.replace(b"body", b"body."),
        MAIL.replace(b"<m@x>", b"<n@x>"),
        MAIL.replace(b"today", b"tomorrow"),
        MAIL.replace(b"a@x", b"b@x"),
        MAIL.replace(b"Hi", b"Ho"),
        MAIL.replace(b"plain", b"html"),
        b"To: x\r\n" + MAIL,
        b"Cc: x\r\n" + MAIL,
        b"Sender: x\r\n" + MAIL,
        b"MIME-Version: 1.0\r\n" + MAIL,
        b"Content-Language: en\r\n" + MAIL,
        # The same characters, divided otherwise.
        MAIL.replace(b"Date: today\r\nFrom: a@x", b"Date: toda\r\nFrom: ya@x"),
    ],
)
def test_what_the_author_wrote_changes_it(other: bytes) -> None:
    assert key(other) != key(MAIL)


def test_the_envelope_changes_it() -> None:
    keys = {
        key(MAIL),
        key(MAIL, None),
        key(MAIL, DESK, JANE),
        key(MAIL, JANE, JANE),
        key(MAIL, Mailbox("Jane", "x.example")),
    }
    assert len(keys) == 5


def test_mail_without_identity_has_none() -> None:
    assert key(b"Subject: Hi\r\n\r\nbody") is None
    assert key(b"Date: today\r\n\r\nbody") is not None
    assert key(b"Message-ID: <m@x>\r\n\r\nbody") is not None
