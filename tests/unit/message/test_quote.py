# SPDX-License-Identifier: Apache-2.0
"""Quoting in plain text."""

from __future__ import annotations

import pytest

from rejoinder.message.address import Address, Mailbox
from rejoinder.message.quote import attribution, quote_text

JANE = Address("Jane", Mailbox("jane", "x.example"))


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("hello", "> hello"),
        ("a\r\nb\n\nc\n\n", "> a\n> b\n>\n> c"),
        ("> a\n>> b\n>c", ">> a\n>>> b\n>>c"),
        # A stuffed line (RFC 3676 §4.4) is text that starts with ">", no quotation.
        (" > a", ">  > a"),
        ("  indented  ", ">   indented"),
        ("", ">"),
        # A line end of any kind: what is sent has CRLF in its place.
        ("a\rb\r\rc", "> a\n> b\n>\n> c"),
    ],
)
def test_each_line_gets_its_mark(text: str, quoted: str) -> None:
    assert quote_text(JANE, None, text) == f"Jane <jane@x.example> wrote:\n{quoted}"


@pytest.mark.parametrize(
    ("date", "when"),
    [
        (1_763_758_841_000_000, "On Fri, 21 Nov 2025 21:00:41 +0000, "),
        ("Fri,\r\n 21 Nov 2025", "On Fri, 21 Nov 2025, "),
        ("", ""),
        (" \r\n ", ""),
        (None, ""),
    ],
)
def test_the_first_line_says_who_wrote_when(date: int | str | None, when: str) -> None:
    assert quote_text(JANE, date, "x").split("\n")[0] == f"{when}Jane <jane@x.example> wrote:"


def test_the_name_of_an_author_stays_on_its_line() -> None:
    author = Address("Jane\n\nforged", JANE.mailbox)
    assert quote_text(author, None, "x") == "Jane forged <jane@x.example> wrote:\n> x"


@pytest.mark.parametrize(
    ("date", "line"),
    [(0, "On Thu, 01 Jan 1970 00:00:00 +0000, Unknown Sender wrote:"), (None, "Unknown Sender wrote:")],
)
def test_an_unknown_author_is_said_to_be(date: int | None, line: str) -> None:
    assert attribution(None, date) == line
    assert quote_text(None, date, "x") == f"{line}\n> x"
