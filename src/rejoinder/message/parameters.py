# SPDX-License-Identifier: Apache-2.0
"""The value and parameters of Content-Type and Content-Disposition, tolerant and linear.

RFC 2045 §5.1, with the continuations and charsets of RFC 2231 and, because much mail has them, encoded
words in quoted strings.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from rejoinder.message.charset import decode
from rejoinder.message.encoded_word import decode_words

_PARAMETER: Final = re.compile(
    r'(?s);[ \t\r\n]*+([^\s=;"]++)[ \t\r\n]*+=[ \t\r\n]*+("(?:[^"\\]|\\.)*+"?|[^;]*+)'
)
_SECTION: Final = re.compile(r"([^*]+)(?:\*(\d{1,4}))?(\*)?")
_COMMENT: Final = re.compile(r"\([^()]*+\)")
_PAIR: Final = re.compile(r"(?s)\\(.)")


def parse_parameters(value: str | None) -> tuple[str, dict[str, str]]:
    """The lower-case value before the first semicolon, and the parameters by lower-case name, decoded."""
    text = value or ""
    sections: dict[str, dict[int, tuple[bool, str]]] = {}
    for match in _PARAMETER.finditer(text):
        name = _SECTION.fullmatch(match[1].lower())
        if name:
            section = (name[3] is not None, _unquoted(match[2]))
            sections.setdefault(name[1], {}).setdefault(int(name[2] or 0), section)
    return first_word(text), {name: _joined(parts) for name, parts in sections.items()}


def first_word(value: str) -> str:
    """The value before the first semicolon, lower-case, without comments."""
    return _COMMENT.sub("", value.partition(";")[0]).strip().lower()


def _unquoted(text: str) -> str:
    if text.startswith('"'):
        return _PAIR.sub(r"\1", text[1:].removesuffix('"'))
    return _COMMENT.sub("", text).strip()


def _joined(parts: dict[int, tuple[bool, str]]) -> str:
    """One value of its sections in order (RFC 2231 §3, §4.1); only the first names a charset."""
    ordered = [parts[number] for number in sorted(parts)]
    if not any(extended for extended, _ in ordered):
        return decode_words("".join(text for _, text in ordered))
    charset, head = "utf-8", ordered[0][1]
    if ordered[0][0] and head.count("'") >= 2:
        charset, _, head = head.split("'", 2)
    texts = [(ordered[0][0], head), *ordered[1:]]
    return decode(
        b"".join(unquote_to_bytes(text) if extended else text.encode() for extended, text in texts), charset
    )
