# SPDX-License-Identifier: Apache-2.0
"""Bytes in a charset that somebody named, to text, whatever was named.

Nothing here raises. Codecs of Python that are no charsets (``idna``, ``unicode_escape``, ``hex``, …)
are never reached by a label in a mail. The surprise: ASCII and Latin-1 are read as windows-1252, and the
Chinese and Korean sets as their supersets, as browsers and mail programs do (WHATWG Encoding §4.2).
"""

from __future__ import annotations

import codecs
from typing import Final

_SUPERSETS: Final = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "big5": "big5hkscs",
    "iso2022_jp": "iso2022_jp_ext",
}
_ALIASES: Final = {
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "x-gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "windows-949": "cp949",
    "windows-874": "cp874",
    "iso-8859-8-i": "iso8859-8",
    "iso-8859-8-e": "iso8859-8",
    "iso-8859-6-i": "iso8859-6",
    "iso-8859-6-e": "iso8859-6",
    "x-mac-roman": "mac_roman",
    "macintosh": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic",
    "unicode-1-1-utf-7": "utf-7",
    "unicode-1-1-utf-8": "utf-8",
}
# Not charsets, or not linear in the length of the text.
_REFUSED: Final = frozenset(
    {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs", "oem"}
)


def decode(data: bytes, charset: str | None) -> str:
    """The text of ``data``; without a usable charset UTF-8, else windows-1252."""
    codec = codec_of(charset)
    if codec in (None, "cp1252"):
        # Half of all mail that says us-ascii or nothing and has 8-bit bytes is UTF-8.
        return _guess(data) if charset is None or codec is None or _says_ascii(charset) else _cp1252(data)
    try:
        return data.decode(codec or "utf-8", "replace")
    except (UnicodeError, ValueError):
        return _guess(data)


def codec_of(charset: str | None) -> str | None:
    """Python's codec for a charset label, None for what is no charset."""
    label = (charset or "").strip().strip("\"'").lower()
    try:
        name = codecs.lookup(_ALIASES.get(label, label)).name
        "".encode(name)  # refuses the bytes-to-bytes codecs (hex, zlib, …)
    except (LookupError, UnicodeError, ValueError):
        return None
    return None if name in _REFUSED else _SUPERSETS.get(name, name)


def _says_ascii(charset: str) -> bool:
    return "ascii" in charset.lower() or charset.lower().startswith("ansi")


def _guess(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _cp1252(data)


def _cp1252(data: bytes) -> str:
    # The five bytes that windows-1252 leaves open are C1 controls, as in Latin-1.
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")
