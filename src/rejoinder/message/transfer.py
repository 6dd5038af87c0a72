# SPDX-License-Identifier: Apache-2.0
"""Content-transfer-encodings (RFC 2045 §6): text to 7-bit lines, and what others encoded to bytes.

What is written is ASCII with CRLF line ends, no line over 998 octets, and survives relays that escape
a leading ``From ``. What is read never raises: what cannot be decoded stays as it came.
"""

from __future__ import annotations

import binascii
import re
from base64 import encodebytes
from typing import Final

from rejoinder.message.encoded_word import decode_base64

_LINE_END: Final = re.compile(rb"\r\n?|\n")
# What does not travel as it is: anything but printable ASCII, a long line, a line some relays change.
_NOT_7BIT: Final = re.compile(rb"[^\t\r\n -~]|[^\n]{999}|(?:\A|\n)From ")
_FROM: Final = re.compile(rb"(?m)^From ")
_EIGHT_BIT: Final = re.compile(rb"[\x80-\xff]")


def crlf(data: bytes) -> bytes:
    """The data with CRLF as its only line end."""
    return _LINE_END.sub(b"\r\n", data)


def encode_body(data: bytes) -> tuple[str, bytes]:
    """The name of the encoding that suits these bytes of text, and the encoded lines."""
    data = crlf(data)
    if not data.endswith(b"\r\n"):
        data += b"\r\n"
    if not _NOT_7BIT.search(data):
        return "7bit", data
    if len(_EIGHT_BIT.findall(data)) * 4 > len(data):
        return "base64", encodebytes(data).replace(b"\n", b"\r\n")
    return "quoted-printable", _FROM.sub(b"=46rom ", binascii.b2a_qp(data))


def decode_body(data: bytes, encoding: str) -> bytes:
    """The bytes that an encoding of this name stands for; an unknown one is the identity."""
    match encoding.strip().lower():
        case "base64":
            return decode_base64(data)
        case "quoted-printable":
            return binascii.a2b_qp(data)
        case _:
            return data
