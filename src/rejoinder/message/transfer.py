# SPDX-License-Identifier: Apache-2.0
"""Content-transfer-encodings (RFC 2045 §6): text to 7-bit lines, and what others encoded to bytes.

What is written is ASCII with CRLF line ends, no line over 998 octets, and survives relays that escape
a leading ``From ``. What is read never raises: what cannot be decoded stays as it came.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from typing import Final

from rejoinder.message.encoded_word import decode_base64
from rejoinder.message.limits import MAX_LINE

_PLAIN: Final = bytes([0x09, 0x0A, 0x0D, *range(0x20, 0x7F)])
_ASCII: Final = bytes(range(0x80))
_LINE: Final = 57  # octets that make 76 characters
_BLOCK: Final = _LINE * 8_192
_FROM: Final = re.compile(rb"(?m)^From ")


def crlf(data: bytes) -> bytes:
    """The data with CRLF as its only line end."""
    if b"\r" not in data:
        return data.replace(b"\n", b"\r\n")
    if data.count(b"\r\n") == data.count(b"\n") == data.count(b"\r"):
        return data
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def encode_body(data: bytes) -> tuple[str, bytes]:
    """The name of the encoding that suits these bytes of text, and the encoded lines."""
    data = crlf(data)
    if not data.endswith(b"\r\n"):
        data += b"\r\n"
    if _travels(data):
        return "7bit", data
    if len(data.translate(None, _ASCII)) * 3 > len(data):
        return "base64", b"".join(base64_lines(data))
    return "quoted-printable", _FROM.sub(b"=46rom ", binascii.b2a_qp(data))


def base64_lines(data: bytes) -> Iterator[bytes]:
    """The data as base64 in lines of 76 characters, in chunks of many lines (RFC 2045 §6.8)."""
    view = memoryview(data)
    for block in range(0, len(data), _BLOCK):
        lines = (view[at : at + _LINE] for at in range(block, min(block + _BLOCK, len(data)), _LINE))
        yield b"\r\n".join([*[binascii.b2a_base64(line, newline=False) for line in lines], b""])


def _travels(data: bytes) -> bool:
    """Whether it is printable ASCII in lines that are not too long and that no relay changes."""
    return (
        not data.translate(None, _PLAIN)
        and not data.startswith(b"From ")
        and b"\nFrom " not in data
        and _is_narrow(data)
    )


def _is_narrow(data: bytes) -> bool:
    """Whether no line is too long where CRLF ends each; it looks at no more than one line end per reach."""
    at = 0
    while len(data) - at > MAX_LINE + 2:
        at = data.rfind(b"\r\n", at, at + MAX_LINE + 2) + 2
        if at == 1:
            return False
    return True


def decode_body(data: bytes, encoding: str) -> bytes:
    """The bytes that an encoding of this name stands for; an unknown one is the identity."""
    match encoding.strip().lower():
        case "base64":
            return decode_base64(data)
        case "quoted-printable":
            return binascii.a2b_qp(data)
        case _:
            return data
