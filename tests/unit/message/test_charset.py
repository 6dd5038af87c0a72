# SPDX-License-Identifier: Apache-2.0
"""Charsets as others name them."""

from __future__ import annotations

from encodings.aliases import aliases

import pytest

from rejoinder.message.charset import codec_of, decode


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        (b"gr\xc3\xbcn", "utf-8", "grün"),
        (b"gr\xfcn", "iso-8859-1", "grün"),
        # Latin-1 is read as windows-1252 (WHATWG Encoding §4.2) …
        (b"\x80 5", "ISO-8859-1", "€ 5"),
        # … and what windows-1252 leaves open as Latin-1.
        (b"\x81\x80", "windows-1252", "\x81\x80"),
        (b"gr\xc3\xbcn", None, "grün"),
        (b"gr\xfcn", None, "grün"),
        # us-ascii with 8-bit bytes says nothing.
        (b"gr\xc3\xbcn", "us-ascii", "grün"),
        (b"gr\xfcn", "US-ASCII", "grün"),
        (b"gr\xfcn", "x-unknown", "grün"),
        (b"gr\xfcn", "", "grün"),
        (b"gr\xfcn", '"iso-8859-1"', "grün"),
        (b"\xb0\xa1", "ks_c_5601-1987", "가"),
        (b"\x81\x40", "gb2312", "丂"),
        (b"\xff\xfeA\x00", "utf-16", "A"),
        (b"A\xff", "utf-8", "A\ufffd"),
        (b"+AGEAYg-", "utf-7", "ab"),
        # Half of a surrogate pair, which UTF-7 spells and nothing can store.
        (b"a+2AA-b", "utf-7", "a\ufffdb"),
        (b"+2D3eAA-", "utf-7", "\U0001f600"),
        (b"\xd2\xd3", "KOI8-U", "рс"),
    ],
)
def test_bytes_become_text(data: bytes, charset: str | None, text: str) -> None:
    assert decode(data, charset) == text


@pytest.mark.parametrize(
    "label", ["idna", "punycode", "unicode_escape", "raw_unicode_escape", "hex", "base64",
              "zlib", "rot13", "uu",
              "undefined", "mbcs", "../../etc", "\x00", "x" * 10_000, "unbekannt", "☃"],
)  # fmt: skip
def test_what_is_no_charset_has_no_codec(label: str) -> None:
    assert codec_of(label) is None
    assert decode(b"abc", label) == "abc"


@pytest.mark.parametrize("label", sorted({*aliases, *aliases.values(), "koi8-u", "iso-8859-8-i", "cp874"}))
def test_no_bytes_make_a_codec_raise(label: str) -> None:
    for data in (bytes(range(256)), b"\xff" * 7, b"\x1b$B\xff", b"+/v8-", b"~{\xff", b"\x00\x01\x02"):
        assert isinstance(decode(data, label), str)
