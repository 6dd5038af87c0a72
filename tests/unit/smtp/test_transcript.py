# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from rejoinder.smtp.reply import Reply
from rejoinder.smtp.transcript import Transcript, excerpt


def test_the_opening_is_kept_and_the_transaction_before_is_not() -> None:
    transcript = Transcript()
    transcript.server(Reply(220, None, ("mx",)).to_lines())
    transcript.client(b"EHLO c.example")
    transcript.begin()
    transcript.client(b"MAIL FROM:<a@c.example>")
    transcript.content(12)
    transcript.begin()
    transcript.client(b"MAIL FROM:<b@c.example>")
    transcript.note("gone")
    assert transcript.lines == ("S: 220 mx", "C: EHLO c.example", "C: MAIL FROM:<b@c.example>", "(gone)")


def test_what_is_not_printable_is_escaped() -> None:
    transcript = Transcript()
    transcript.client(b"NO\0OP\r\x1b[2J \xff")
    assert transcript.lines == (r"C: NO\x00OP\r\x1b[2J \xff",)


def test_it_is_bounded_and_still_counts_content() -> None:
    transcript = Transcript()
    for _ in range(10_000):
        transcript.client(b"x" * 10_000)
    transcript.content(3)
    assert len(transcript.lines) == 513
    assert transcript.lines[-1] == "C: (3 octets)"
    assert sum(map(len, transcript.lines)) < 300_000


def test_a_short_transcript_is_its_own_excerpt() -> None:
    assert excerpt(["S: 220", "C: QUIT"]) == ["S: 220", "C: QUIT"]


def test_an_excerpt_keeps_the_beginning_and_the_end_and_says_what_it_left_out() -> None:
    lines = [f"C: RCPT TO:<{number:03}@desk.example>" for number in range(500)]
    shown = excerpt(lines)
    assert sum(map(len, shown)) < 4200
    left = shown[-5]
    assert left == f"({500 - len(shown) + 1} lines are not shown)"
    assert [each for each in shown if each != left] == lines[: len(shown) - 5] + lines[-4:]
