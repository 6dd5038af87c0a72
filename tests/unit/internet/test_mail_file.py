# SPDX-License-Identifier: Apache-2.0
"""Which files are mail, and what goes over the wire."""

from __future__ import annotations

from pathlib import Path

import pytest

from rejoinder.internet.mail_file import find, read
from rejoinder.message.address import Mailbox

JOE = Mailbox("joe", "example.org")


def test_every_file_is_mail_unless_its_name_tells_otherwise(tmp_path: Path) -> None:
    mails = ["a.eml", "b.raw", "cur/1700000000.M1.host:2,S", "d.golden", "deep/er/c.txt", "mbox"]
    others = ["LICENSE", "License.txt", "README.md", "a.json", ".hidden", ".git/config", "x.ZIP"]
    for name in mails + others:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    found, left_out = find(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in found] == mails
    assert left_out == len(others)


def test_a_file_that_is_named_is_mail(tmp_path: Path) -> None:
    path = tmp_path / "mail.json"
    assert find(path) == ([path], 0)


def test_line_ends_become_crlf_and_nothing_else_changes() -> None:
    file = read(b"From: joe@example.org\nX: a\r\n\n\x00 caf\xe9\rb\n")
    assert file.raw == b"From: joe@example.org\r\nX: a\r\n\r\n\x00 caf\xe9\rb\r\n"
    assert (file.line_ends_made, file.mbox_line_removed) == (True, False)


def test_a_leading_mbox_line_goes_and_only_a_leading_one() -> None:
    file = read(b"From joe Mon Jan  1\r\nFrom: joe@example.org\r\n\r\nFrom me\r\n")
    assert file.raw == b"From: joe@example.org\r\n\r\nFrom me\r\n"
    assert (file.line_ends_made, file.mbox_line_removed) == (False, True)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"Return-Path: <joe@example.org>\nSender: a@b.test\nFrom: c@d.test\n", JOE),
        (b"Sender: Joe <joe@example.org>\nFrom: c@d.test\n", JOE),
        (b"From: Joe <joe@example.org>, c@d.test\n", JOE),
        # The null reverse-path is one; it does not mean that another must be found.
        (b"Return-Path: <>\nFrom: joe@example.org\n", None),
        # What is no mailbox, or none that an envelope can hold, is passed over.
        (b"Return-Path: nobody\nFrom: joe@example.org\n", JOE),
        (b"Sender: j\xc3\xb8e@example.com\nFrom: joe@example.org\n", JOE),
        (b"Subject: none\n", None),
        (b"", None),
    ],
)
def test_the_reverse_path_is_the_first_that_can_be_one(header: bytes, expected: Mailbox | None) -> None:
    assert read(header + b"\nText\n").reverse_path == expected


def test_a_header_block_of_any_size_is_read() -> None:
    assert read(b"X: y\n" * 100_000 + b"From: joe@example.org\n\n").reverse_path == JOE
