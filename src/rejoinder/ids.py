# SPDX-License-Identifier: Apache-2.0
"""Ids: a prefix, an underscore and a UUIDv7 as 26 characters of lower-case Crockford base32.

They sort by the time they were made, are safe in URLs and file names, and say what they name. The
surprise: the first character is never above ``7``, because 26 characters hold 130 bits and a UUID
has 128 (RFC 9562 §5.7).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Final, Literal, NewType

Kind = Literal[
    "email", "sent", "thread", "run", "job", "event", "acct", "dom", "addr", "end", "whd", "key", "att"
]
Id = NewType("Id", str)
Randomness = Callable[[int], bytes]
"""Gives that many random bytes; ``os.urandom`` in production, seeded in tests."""

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = tuple(one + other for one in ALPHABET for other in ALPHABET)
_SHIFTS: Final = tuple(range(120, -1, -10))


def crockford(value: int) -> str:
    """26 characters for an integer below 2**128, most significant first."""
    # Two characters at a time; a mail needs half a dozen ids, and base64 takes three times as long.
    return "".join([_PAIRS[value >> shift & 1023] for shift in _SHIFTS])


def buffered(source: Randomness, size: int = 4096) -> Randomness:
    """The same randomness, taken from its source in larger pieces: a mail needs a dozen ids."""
    left = b""

    def take(octets: int) -> bytes:
        nonlocal left
        if len(left) < octets:
            left = source(max(size, octets))
        taken, left = left[:octets], left[octets:]
        return taken

    return take


def is_id(text: str, kind: Kind) -> bool:
    """Whether the text has the shape of an id of this kind."""
    prefix, _, body = text.partition("_")
    return prefix == kind and len(body) == 26 and body[0] < "8" and all(c in ALPHABET for c in body)


class Ids:
    """Makes ids from a clock reading and randomness."""

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness

    def new(self, kind: Kind, at: int) -> Id:
        """A new id of this kind; ``at`` is its time in microseconds since the epoch."""
        return Id(f"{kind}_{self.unique(at)}")

    def unique(self, at: int) -> str:
        """The 26 characters alone, as they stand in a Message-ID of ours."""
        entropy = int.from_bytes(self._randomness(10), "big")
        high = entropy >> 68 & 0xFFF
        low = entropy & ((1 << 62) - 1)
        milliseconds = at // 1000 & ((1 << 48) - 1)
        return crockford(milliseconds << 80 | 7 << 76 | high << 64 | 0b10 << 62 | low)


def derived(secret: bytes, *parts: str) -> str:
    """26 characters that are the same for the same secret and parts, and cannot be guessed.

    The Message-ID of a run's nth message is made this way, so that a re-run puts the same id on the
    wire and a repeat is recognised by the receiver.
    """
    mac = hmac.new(secret, "\0".join(parts).encode(), hashlib.sha256).digest()
    return crockford(int.from_bytes(mac[:16], "big"))
