# SPDX-License-Identifier: Apache-2.0
"""A mail that may be answered, and what tests change about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rejoinder.mailauth.verdict import (
    DmarcResult,
    DmarcVerdict,
    Policy,
    SpfResult,
    SpfVerdict,
    Verdict,
)
from rejoinder.message.address import Mailbox
from rejoinder.message.headers import split
from rejoinder.replies.original import Original

ALICE: Final = Mailbox("alice", "customer.example")
SUPPORT: Final = Mailbox("support", "desk.example")
NOW: Final = 1_767_225_600_000_000
OUR_ID: Final = "<0123456789abcdefghjkmnpqrs@desk.example>"

PROVEN: Final = Verdict(
    SpfVerdict(SpfResult.PASS, "customer.example"),
    (),
    DmarcVerdict(DmarcResult.PASS, Policy.REJECT, "customer.example", "customer.example"),
)
HEADERS: Final = (
    "From: Alice Example <alice@customer.example>\r\n"
    "To: support@desk.example\r\n"
    "Subject: The printer\r\n"
    "Message-ID: <1@customer.example>\r\n"
)
ORIGINAL: Final = Original("email_1", ALICE, SUPPORT, split(HEADERS.encode())[0], PROVEN, ours=False)


def with_headers(text: str | bytes, original: Original = ORIGINAL) -> Original:
    """The mail with another header block, given with LF or CRLF."""
    block = text if isinstance(text, bytes) else text.encode()
    return replace(original, headers=split(block)[0])


def with_more(text: str, original: Original = ORIGINAL) -> Original:
    """The mail with fields added."""
    return with_headers(original.headers.raw + text.encode(), original)


def said(
    *, spf: SpfResult = SpfResult.PASS, dmarc: DmarcResult = DmarcResult.PASS, policy: Policy | None = None
) -> Verdict:
    """Another verdict about customer.example; without DMARC result none a policy is published."""
    published = None if dmarc is DmarcResult.NONE else (policy or Policy.REJECT)
    return Verdict(
        SpfVerdict(spf, "customer.example"),
        (),
        DmarcVerdict(dmarc, published, "customer.example", "customer.example"),
    )
