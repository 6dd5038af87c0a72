# SPDX-License-Identifier: Apache-2.0
"""Bytes in a charset that somebody named, to text, whatever was named.

Nothing here raises. Codecs of Python that are no charsets (``idna``, ``unicode_escape``, ``hex``, …)
are never reached by a label in a mail, and unknown labels leave nothing behind. The surprise: Latin-1 is
read as windows-1252, and the Chinese and Korean sets as their supersets, as browsers and mail programs
do (WHATWG Encoding §4.2).
"""

from __future__ import annotations

import re
from encodings.aliases import aliases
from typing import Final

_SUPERSETS: Final = {
    "latin_1": "cp1252",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "tis_620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "big5": "big5hkscs",
    "iso2022_jp": "iso2022_jp_ext",
}
_LABELS: Final = {
    "x_sjis": "cp932",
    "windows_31j": "cp932",
    "x_gbk": "gb18030",
    "windows_949": "cp949",
    "windows_874": "cp874",
    "dos_874": "cp874",
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8",
    "iso_8859_6_i": "iso8859_6",
    "iso_8859_6_e": "iso8859_6",
    "x_mac_roman": "mac_roman",
    "x_mac_cyrillic": "mac_cyrillic",
    "unicode_1_1_utf_7": "utf_7",
    "unicode_1_1_utf_8": "utf_8",
    "koi8_u": "koi8_u",
    "koi8_ru": "koi8_u",
    "koi8_t": "koi8_t",
    "cp720": "cp720",
    "cp737": "cp737",
    "cp874": "cp874",
}
_NO_CHARSETS: Final = frozenset({"rot_13", "mbcs", "oem", "tactis"})  # the last is named and not there
# A closed table instead of ``codecs.lookup``: the latter remembers every label it was ever asked for.
_CODECS: Final = {
    label: codec
    for label, codec in ({name: name for name in aliases.values()} | aliases | _LABELS).items()
    if not codec.endswith("_codec") and codec not in _NO_CHARSETS
}
_SEPARATORS: Final = re.compile(r"[^a-z0-9]+")


def decode(data: bytes, charset: str | None) -> str:
    """The text of ``data``; without a usable charset UTF-8, else windows-1252."""
    codec = codec_of(charset)
    if codec is None or codec == "ascii":
        # Half of all mail that says us-ascii or nothing and has 8-bit bytes is UTF-8.
        return _guess(data)
    codec = _SUPERSETS.get(codec, codec)
    if codec == "cp1252":
        return _cp1252(data)
    text = data.decode(codec, "replace")
    # UTF-7 can spell half of a surrogate pair, which no other codec, and no store, would take.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if codec == "utf_7" else text


def codec_of(charset: str | None) -> str | None:
    """Python's codec for a charset label, None for what is no charset."""
    return _CODECS.get(_SEPARATORS.sub("_", (charset or "")[:80].lower()).strip("_"))


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
