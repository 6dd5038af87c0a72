# SPDX-License-Identifier: Apache-2.0
"""Encoded words (RFC 2047): what stands for non-ASCII text in a header field.

Reading never raises and is linear; a word that cannot be read stays as it was written. The surprise:
the bytes of neighbouring words in one charset are joined before they are decoded, because much mail
cuts a character in two, which RFC 2047 §5 forbids.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64encode
from collections.abc import Iterator
from typing import Final

from rejoinder.message.charset import decode

_WORD: Final = re.compile(r"=\?([^?*\s=]++)(?:\*[A-Za-z0-9-]*+)?\?([bBqQ])\?([^?\r\n]*+)\?=")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]+")
_NOT_BASE64: Final = re.sub(rb"[A-Za-z0-9+/]", b"", bytes(range(256)))
_HEX: Final = re.compile(rb"=([0-9A-Fa-f]{2})")
_PLAIN: Final = re.compile(r"[A-Za-z0-9!*+/-]")
_MAX_WORD: Final = 75  # RFC 2047 §2
_OVERHEAD: Final = len("=?utf-8?b??=")


def decode_words(value: str) -> str:
    """The value with every encoded word decoded; control characters that words smuggle in become spaces."""
    if "=?" not in value:
        return value
    return "".join(_decoded(value))


def _decoded(value: str) -> Iterator[str]:
    """Literal text and runs of adjacent words, in order."""
    charset: str | None = None
    run = bytearray()
    at = 0
    for word in _WORD.finditer(value):
        between = value[at : word.start()]
        adjacent = charset is not None and not between.strip(" \t\r\n")
        if charset is not None and not (adjacent and charset == word[1].lower()):
            yield _clean(run, charset)
            run.clear()
        if not adjacent:  # RFC 2047 §6.2: space between two words is not text
            yield between
        charset = word[1].lower()
        run += _payload(word[2], word[3])
        at = word.end()
    if charset is not None:
        yield _clean(run, charset)
    yield value[at:]


def _clean(data: bytearray, charset: str) -> str:
    return _CONTROL.sub(" ", decode(bytes(data), charset))


def _payload(encoding: str, text: str) -> bytes:
    raw = text.encode("utf-8", "replace")
    if encoding in "qQ":
        return _HEX.sub(lambda match: bytes((int(match[1], 16),)), raw.replace(b"_", b" "))
    return decode_base64(raw)


def decode_base64(data: bytes) -> bytes:
    """Base64 without its noise: other characters, missing padding and a broken end are passed over."""
    usable = data.partition(b"=")[0].translate(None, _NOT_BASE64)  # RFC 2045 §6.8: "=" is evidence of the end
    if len(usable) % 4 == 1:
        usable = usable[:-1]
    return binascii.a2b_base64(usable + b"=" * (-len(usable) % 4))


def encode_words(text: str, used: int = 0) -> list[str]:
    """Text as encoded words of at most 75 characters, no character cut in two (RFC 2047 §2, §5).

    The first word is shorter by the ``used`` characters that stand before it on its line.
    """
    pieces = [_q(character) for character in text]
    plain = sum(map(len, pieces)) <= 2 * len(text.encode("utf-8", "replace"))  # legible where it costs little
    words: list[str] = []
    start, size, room = 0, 0, _MAX_WORD - _OVERHEAD - min(used, 40)
    for position, character in enumerate(text):
        cost = len(pieces[position]) if plain else len(character.encode("utf-8", "replace"))
        if size and size + cost > (room if plain else room // 4 * 3):
            words.append(_word(text[start:position], pieces[start:position], plain))
            start, size, room = position, 0, _MAX_WORD - _OVERHEAD
        size += cost
    words.append(_word(text[start:], pieces[start:], plain))
    return words


def _q(character: str) -> str:
    """A character as it may stand in a phrase (RFC 2047 §5, rule 3)."""
    if character == " ":
        return "_"
    if _PLAIN.match(character):
        return character
    return "".join(f"={octet:02X}" for octet in character.encode("utf-8", "replace"))


def _word(text: str, pieces: list[str], plain: bool) -> str:
    if plain:
        return f"=?utf-8?q?{''.join(pieces)}?="
    return f"=?utf-8?b?{b64encode(text.encode('utf-8', 'replace')).decode('ascii')}?="
