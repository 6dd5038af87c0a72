# SPDX-License-Identifier: Apache-2.0
"""Telling one request from another."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from rejoinder.message.address import Address, Mailbox
from rejoinder.message.compose import Attached
from rejoinder.replies.fingerprint import differing, fingerprint
from rejoinder.replies.request import ReplyRequest

ANN = Address("Ann", Mailbox("ann", "a.example"))
ONE = ReplyRequest(ANN, text="x", attachments=(Attached("a", "text/plain", b"secret"),))
OTHERS = {
    "from": replace(ONE, from_=Address("", ANN.mailbox)),
    "to": replace(ONE, to=(ANN,)),
    "cc": replace(ONE, cc=()),
    "bcc": replace(ONE, bcc=(ANN,)),
    "reply_to": replace(ONE, reply_to=(ANN,)),
    "subject": replace(ONE, subject="s"),
    "text": replace(ONE, text="X"),
    "html": replace(ONE, html=""),
    "headers": replace(ONE, headers=(("a", "b"),)),
    "attachments": replace(ONE, attachments=(Attached("a", "text/plain", b"Secret"),)),
    "include_original": replace(ONE, include_original=False),
    "reply_all": replace(ONE, reply_all=True),
    "tags": replace(ONE, tags=(("a", "b"),)),
}


def test_equal_requests_have_equal_fingerprints() -> None:
    assert fingerprint(ONE) == fingerprint(replace(ONE))
    assert differing(fingerprint(ONE), fingerprint(replace(ONE))) == ()


@pytest.mark.parametrize(("field", "other"), OTHERS.items(), ids=OTHERS)
def test_the_field_that_differs_is_named(field: str, other: ReplyRequest) -> None:
    assert differing(fingerprint(ONE), fingerprint(other)) == (field,)


def test_every_field_counts() -> None:
    assert [each.name.rstrip("_") for each in fields(ReplyRequest)] == list(OTHERS)


def test_a_fingerprint_tells_nothing_of_what_was_sent() -> None:
    assert "secret" not in fingerprint(ONE)
    assert "a.example" not in fingerprint(ONE)


def test_a_field_that_only_one_version_knows_differs() -> None:
    assert differing('{"a": "1"}', '{"a": "1", "b": "2"}') == ("b",)
