# SPDX-License-Identifier: Apache-2.0
"""How much of a hostile message is read before its structure is taken as opaque."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for reading one message; each is a count, ``header_block`` is in bytes."""

    header_block: int = 256 * 1024
    addresses: int = 1_000
    parts: int = 1_000
    depth: int = 50


DEFAULT_LIMITS: Final = Limits()

MAX_LINE: Final = 998
"""Octets of a line that we write, without its CRLF (RFC 5322 §2.1.1)."""
