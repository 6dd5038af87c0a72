# SPDX-License-Identifier: Apache-2.0
"""The report about a mail that was refused after 250."""

from __future__ import annotations

from dataclasses import replace

from rejoinder.mailauth.verdict import DmarcResult, SpfResult
from rejoinder.message.address import Mailbox
from rejoinder.message.automatic import AutomaticKind, detect
from rejoinder.message.headers import split
from rejoinder.replies.report import compose_report, report_goes_to
from tests.unit.replies.originals import ALICE, NOW, ORIGINAL, said, with_headers


def test_a_report_goes_only_to_a_reverse_path_that_is_proven() -> None:
    assert report_goes_to(ORIGINAL) == ALICE
    assert report_goes_to(replace(ORIGINAL, reverse_path=None)) is None
    assert report_goes_to(replace(ORIGINAL, reverse_path=Mailbox("v", "elsewhere.example"))) is None
    nothing = said(spf=SpfResult.FAIL, dmarc=DmarcResult.FAIL)
    assert report_goes_to(replace(ORIGINAL, verdict=nothing)) is None


def test_a_report_is_told_for_one_and_is_the_same_each_time() -> None:
    reports = [
        compose_report(ORIGINAL, ALICE, "closed", hostname="mx.desk.example", token="t", now=NOW)
        for _ in range(2)
    ]
    assert reports[0] == reports[1]
    report = reports[0]
    headers, _ = split(report.raw)
    kinds = {each.kind for each in detect(headers, None)}
    assert {AutomaticKind.DSN, AutomaticKind.AUTO_REPLIED} <= kinds
    assert headers.get("From") == "Mail delivery <postmaster@desk.example>"
    assert headers.get("Message-ID") == report.message_id == "<t@desk.example>"
    assert b"Diagnostic-Code: smtp; 550 5.7.1 closed\r\n" in report.raw
    assert b"Final-Recipient: rfc822; support@desk.example\r\n" in report.raw


def test_a_hostile_header_and_a_hostile_reason_make_no_field() -> None:
    hostile = with_headers(b"From: a@b.example\r\nSubject: a\x00\x1b\x93\r\nX: " + b"y" * 5000 + b"\r\n")
    report = compose_report(hostile, ALICE, "a\r\nBcc: v@x.example", hostname="mx", token="t", now=NOW)
    headers, _ = split(report.raw)
    assert headers.get("Bcc") is None
    assert report.raw.isascii()
    assert max(map(len, report.raw.split(b"\r\n"))) <= 998
