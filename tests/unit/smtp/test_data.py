# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from rejoinder.errors import MessageError
from rejoinder.smtp.data import (
    BARE,
    LONG_LINE,
    NUL,
    TOO_BIG,
    ContentReader,
    has_bare_cr_or_lf,
    has_line_over,
    to_wire,
)
from rejoinder.smtp.reply import Reply

REFUSED = Reply(452, "4.3.1", ("full",))


def read(wire: bytes, max_size: int = 1000, max_line: int = 100, step: int = 1 << 20) -> bytes | Reply:
    reader = ContentReader(max_size, max_line)
    for start in range(0, len(wire), step):
        rest = reader.receive_data(wire[start : start + step])
        if rest is not None:
            assert rest + wire[start + step :] == b"rest"
            return reader.result()
    raise AssertionError("the content did not end")


@pytest.mark.parametrize(
    ("wire", "raw"),
    [
        (b".\r\n", b""),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"\r\n.\r\n", b"\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"..a\r\n.b\r\n...\r\n.\r\n", b".a\r\nb\r\n..\r\n"),
        (b"a.\r\n.\r\n", b"a.\r\n"),
        (b"a\nb\r\n.\r\n", BARE),
        (b"a\rb\r\n.\r\n", BARE),
        (b"a\r\r\n.\r\n", BARE),
        (b"\n.\r\n\r\n.\r\n", BARE),
        (b".\n\r\n.\r\n", BARE),
        (b"a\0b\r\n.\r\n", NUL),
        (b"x" * 100 + b"\r\n.\r\n", b"x" * 100 + b"\r\n"),
        (b"x" * 101 + b"\r\n.\r\n", LONG_LINE),
        (b"y\r\n" * 40 + b"x" * 101 + b"\r\n.\r\n", LONG_LINE),
        # A size of exactly the limit; the stuffed dots come on top (RFC 1870 §5).
        ((b"x" * 98 + b"\r\n") * 10 + b".\r\n", (b"x" * 98 + b"\r\n") * 10),
        (b"..\r\n" * 333 + b".\r\n", b".\r\n" * 333),
        (b"..\r\n" * 334 + b".\r\n", TOO_BIG),
        ((b"x" * 98 + b"\r\n") * 1000 + b".\r\n", TOO_BIG),
    ],
)
def test_content_is_read_in_any_pieces(wire: bytes, raw: bytes | Reply) -> None:
    for step in (1, 2, 3, 5, 7, 1 << 20):
        assert read(wire + b"rest", step=step) == raw


def test_too_much_content_is_read_to_its_end_in_bounded_memory() -> None:
    reader = ContentReader(1000, 100)
    for _ in range(200):
        assert reader.receive_data(b"x" * 998 + b"\r\n") is None
        assert reader.held < 2500
    assert reader.octets == 200_000
    assert reader.receive_data(b".") is None
    assert reader.receive_data(b"\r\nNOOP\r\n") == b"NOOP\r\n"
    assert reader.result() == TOO_BIG


def test_discarded_content_is_refused_at_its_end_for_the_first_reason() -> None:
    reader = ContentReader(1000, 100)
    reader.discard(REFUSED)
    assert reader.receive_data(b"..x\r\n" * 10_000) is None
    reader.discard(TOO_BIG)
    assert reader.held < 10
    assert reader.receive_data(b".\r\n") == b""
    assert reader.result() == REFUSED


def test_an_empty_content_is_found_after_discarding_too() -> None:
    reader = ContentReader(1000, 100)
    reader.discard(REFUSED)
    assert reader.receive_data(b".\r\n") == b""


@pytest.mark.parametrize(
    ("raw", "is_bare"),
    [
        (b"", False),
        (b"a\r\n", False),
        (b"\r\n\r\n", False),
        (b"\n\r", True),
        (b"\r", True),
        (b"\n", True),
        (b"\r\r\n\n", True),
    ],
)
def test_a_bare_cr_or_lf_is_seen(raw: bytes, is_bare: bool) -> None:
    assert has_bare_cr_or_lf(raw) is is_bare


def test_long_lines_are_measured_without_their_crlf() -> None:
    assert not has_line_over(b"abc\r\n" * 9, 3)
    assert has_line_over(b"abc\r\n" * 9, 2)
    assert has_line_over(b"abc\r\nabcd", 3)
    assert not has_line_over(b"abc\r\nabc", 3)
    assert has_line_over(b"\r\n\r\n\r\nabcd\r\n", 3)


@pytest.mark.parametrize(
    ("raw", "wire"),
    [
        (b"", b".\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b".a\r\n..\r\n.", b"..a\r\n...\r\n..\r\n.\r\n"),
    ],
)
def test_content_is_written_with_its_dots_stuffed(raw: bytes, wire: bytes) -> None:
    assert to_wire(raw) == wire


@pytest.mark.parametrize("raw", [b"a\nb\r\n", b"a\rb\r\n", b"a\r", b"\n"])
def test_nothing_but_crlf_is_written(raw: bytes) -> None:
    with pytest.raises(MessageError, match="CRLF"):
        to_wire(raw)
