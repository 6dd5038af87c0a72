# SPDX-License-Identifier: Apache-2.0
"""Trace fields and dates."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rejoinder.errors import HeaderInjection
from rejoinder.message.address import Mailbox
from rejoinder.message.headers import split
from rejoinder.message.trace import (
    format_date,
    parse_date,
    received_count,
    received_field,
    return_path_field,
)

AT = 1_763_758_841_000_000


def unfolded(raw: bytes) -> str:
    (field,) = split(raw)[0]
    return field.value


class TestReceived:
    def test_says_from_whom_by_whom_how_and_when(self) -> None:
        raw = received_field(
            helo="mail.x.example", peer="192.0.2.1", by="mx.desk.example", protocol="ESMTP",
            message_id="email_01j", received_at=AT, forward_path=Mailbox("support", "desk.example"),
        )  # fmt: skip
        assert unfolded(raw) == (
            "from mail.x.example ([192.0.2.1]) by mx.desk.example with ESMTP id email_01j "
            "for <support@desk.example>; Fri, 21 Nov 2025 21:00:41 +0000"
        )
        assert max(map(len, raw.split(b"\r\n"))) <= 78

    def test_tells_no_recipient_of_the_others(self) -> None:
        raw = received_field(
            helo="x", peer="2001:db8::1", by="mx", protocol="SMTP", message_id="email_01j", received_at=AT
        )
        assert unfolded(raw).startswith("from x ([IPv6:2001:db8::1]) by mx with SMTP id email_01j; Fri")

    @pytest.mark.parametrize(
        ("helo", "written"),
        [("a b", "a?b"), ("x (e) by y;", "x?e?by?y?"), ("ü", "?"), ("", "unknown"),
         ("[192.0.2.1]", "[192.0.2.1]")],
    )  # fmt: skip
    def test_is_not_forged_by_the_name_a_client_gives(self, helo: str, written: str) -> None:
        raw = received_field(
            helo=helo, peer="192.0.2.1", by="mx", protocol="SMTP", message_id="i", received_at=AT
        )
        assert unfolded(raw).startswith(f"from {written} ([192.0.2.1]) by mx")

    def test_is_counted(self) -> None:
        assert received_count(split(b"Received: a\r\nX: b\r\nreceived: c\r\n\r\n")[0]) == 2


def test_the_null_reverse_path_is_two_brackets() -> None:
    assert return_path_field(None) == b"Return-Path: <>\r\n"
    assert return_path_field(Mailbox("a b", "x.example")) == b'Return-Path: <"a b"@x.example>\r\n'


def test_no_reverse_path_ends_its_field() -> None:
    with pytest.raises(HeaderInjection):
        return_path_field(Mailbox("a\r\nBcc: v", "x.example"))


@pytest.mark.parametrize(
    ("value", "date"),
    [
        ("Fri, 21 Nov 2025 21:00:41 +0000", "Fri, 21 Nov 2025 21:00:41 +0000"),
        ("Fri, 21 Nov 2025 22:30:41 +0130", "Fri, 21 Nov 2025 21:00:41 +0000"),
        ("21 nov 2025 16:00:41 EST", "Fri, 21 Nov 2025 21:00:41 +0000"),
        ("21 Nov 25 21:00 GMT", "Fri, 21 Nov 2025 21:00:00 +0000"),
        ("Fri, 1 Nov 99 1:00:00 -0800", "Mon, 01 Nov 1999 09:00:00 +0000"),
        ("Fri, 21 November 2025, 21:00:41.123 (UTC) +0000", "Fri, 21 Nov 2025 21:00:41 +0000"),
        ("Fri,21-Nov-2025 21:00:41", "Fri, 21 Nov 2025 21:00:41 +0000"),
        ("Sat, 31 Dec 2016 23:59:60 +0000", "Sat, 31 Dec 2016 23:59:59 +0000"),
        ("Sun, 1 Jan 113 00:00:00 +0000", "Tue, 01 Jan 2013 00:00:00 +0000"),
    ],
)
def test_dates_are_read_and_written(value: str, date: str) -> None:
    at = parse_date(value)
    assert at is not None
    assert format_date(at) == date
    assert parse_date(date) == at


@pytest.mark.parametrize(
    "value",
    [None, "", "yesterday", "31 Feb 2025 00:00:00 +0000", "1 Jan 2025 25:00:00 +0000", "1 Jan 2025",
     "1 Jan 0000 00:00:00 +0000", "1 Jan 2025 00:00:00 +9999"],
)  # fmt: skip
def test_what_is_no_date_is_none(value: str | None) -> None:
    assert parse_date(value) is None


@pytest.mark.parametrize("piece", ["1 ", "1 Jan ", "(", "1 Jan 2025 ", ")", "1-"])
def test_hostile_dates_are_read_once(piece: str, steps: Callable[[Callable[[int], object]], float]) -> None:
    assert steps(lambda size: parse_date(piece * size)) < 4
