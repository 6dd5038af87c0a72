# SPDX-License-Identifier: Apache-2.0
"""The header block: what is read of what others wrote."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rejoinder.errors import HeaderBlockTooLarge
from rejoinder.message import headers
from rejoinder.message.headers import HeaderField, Headers, split
from rejoinder.message.limits import Limits


@pytest.mark.parametrize(
    ("raw", "fields", "body"),
    [
        (b"A: 1\r\nB: 2\r\n\r\nbody", [("A", "1"), ("B", "2")], b"body"),
        (b"A: 1\nB: 2\n\nbody", [("A", "1"), ("B", "2")], b"body"),
        # Mixed line ends: the first empty line counts, whichever it is.
        (b"A: 1\n\r\nbody\r\n\r\n", [("A", "1")], b"body\r\n\r\n"),
        (b"\r\nbody", [], b"body"),
        (b"\nbody", [], b"body"),
        (b"", [], b""),
        (b"A: 1", [("A", "1")], b""),
        (b"A: 1\r\n", [("A", "1")], b""),
        # RFC 5322 §4.5: an obsolete space before the colon.
        (b"Subject \t: x\r\n\r\n", [("Subject", "x")], b""),
        (b"A:\r\n\r\n", [("A", "")], b""),
        (b"A: b:c\r\n\r\n", [("A", "b:c")], b""),
        # Folding; a continuation of white space only is part of the field (RFC 5322 §4.2).
        (b"A: 1\r\n 2\r\n\t3\r\n\r\n", [("A", "1 2\t3")], b""),
        (b"A: 1\r\n \r\n 2\r\nB: 3\r\n\r\n", [("A", "1  2"), ("B", "3")], b""),
        (b"A:\r\n 1\r\n\r\n", [("A", "1")], b""),
        # A line that is no field is passed over, with its continuation; only an empty line ends the block.
        (b"A: 1\r\nno field\r\n more: of it\r\nB: 2\r\n\r\nbody", [("A", "1"), ("B", "2")], b"body"),
        (b"two words: x\r\nA: 1\r\n\r\n", [("A", "1")], b""),
        (b": nameless\r\nA: 1\r\n\r\n", [("A", "1")], b""),
        (b"From jane Fri Nov 21 21:00:00 2025\nA: 1\n\nbody", [("A", "1")], b"body"),
        (b">From jane Fri Nov 21\r\nA: 1\r\n\r\nbody", [("A", "1")], b"body"),
        (b"\xef\xbb\xbfA: 1\r\n\r\nbody", [("A", "1")], b"body"),
        (b"\xef\xbb\xbfFrom x\nA: 1\n\nbody", [("A", "1")], b"body"),
        (b"A: 1\x002\r\n\r\n", [("A", "1\x002")], b""),
        (b"A: gr\xc3\xbcn\r\nB: gr\xfcn\r\n\r\n", [("A", "grün"), ("B", "grün")], b""),
    ],
)
def test_a_block_is_split_into_its_fields(raw: bytes, fields: list[tuple[str, str]], body: bytes) -> None:
    found, offset = split(raw)
    assert [(field.name, field.value) for field in found] == fields
    assert raw[offset:] == body


def test_a_field_keeps_its_bytes() -> None:
    found, _ = split(b"Subject :  a\r\n\tb\r\nX: y\n\nbody")
    assert [field.raw for field in found] == [b"Subject :  a\r\n\tb\r\n", b"X: y\n"]
    assert found.raw == b"Subject :  a\r\n\tb\r\nX: y\n"


def test_the_block_leaves_out_what_stands_before_it() -> None:
    assert split(b"\xef\xbb\xbfFrom x\nA: 1\n\n")[0].raw == b"A: 1\n"


def test_names_are_found_without_regard_to_case() -> None:
    found, _ = split(b"To: a\r\nX: b\r\ntO: c\r\n\r\n")
    assert found.get("to") == "a"
    assert found.get_all("TO") == ["a", "c"]
    assert [field.name for field in found.fields("to")] == ["To", "tO"]
    assert found.get("Cc") is None
    assert found.get("Cc", "none") == "none"
    assert found.get_all("Cc") == []


def test_a_list_that_was_handed_out_is_the_callers() -> None:
    found, _ = split(b"To: a\r\n\r\n")
    found.fields("To").clear()
    assert found.get("To") == "a"


def test_headers_are_a_sequence_of_fields() -> None:
    found = Headers([HeaderField("A", b"A: 1\r\n"), HeaderField("B", b"B: 2\r\n")])
    assert len(found) == 2
    assert found[1].value == "2"
    assert [field.name for field in found[:1]] == ["A"]
    assert found.raw == b"A: 1\r\nB: 2\r\n"
    assert repr(found) == "Headers(2 fields, 12 bytes)"


def test_encoded_words_are_decoded_when_somebody_asks() -> None:
    field = HeaderField("Subject", b"Subject: =?utf-8?q?gr=C3=BCn?=\r\n")
    assert field.value == "=?utf-8?q?gr=C3=BCn?="
    assert field.decoded == "grün"


def test_a_block_at_its_limit_is_read_and_one_byte_more_is_refused() -> None:
    raw = b"A: " + b"x" * 95 + b"\r\n\r\nbody"
    assert len(split(raw, Limits(header_block=100))[0]) == 1
    with pytest.raises(HeaderBlockTooLarge, match="at most 99 are read"):
        split(raw, Limits(header_block=99))


def test_a_line_of_a_megabyte_is_refused_with_its_size() -> None:
    with pytest.raises(HeaderBlockTooLarge, match="1000003 bytes"):
        split(b"A: " + b"x" * 1_000_000)


@pytest.mark.parametrize(
    "line",
    [b"x" * 64, b"x" * 32 + b" " * 32, b"\r", b"x: y\r\n" * 10, b"From " * 12, b"\r\n ", b": " * 30],
)
def test_no_line_is_read_twice(line: bytes, steps: Callable[[Callable[[int], object]], float]) -> None:
    assert steps(lambda size: headers.split(line * size, Limits(header_block=1 << 30))) < 6
