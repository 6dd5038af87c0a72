# SPDX-License-Identifier: Apache-2.0
"""One SMTP connection to a next hop: the asyncio shell of ``smtp.sender``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rejoinder.smtp.sender import RecipientOutcome

HopState = Literal["answered", "unreachable", "greeting-refused", "lost", "uncertain"]


@dataclass(frozen=True, slots=True)
class NextHop:
    """Where to connect: the host's name (for logs), the IP address that is dialled, and the port."""

    name: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class HopResult:
    """What became of one mail transaction with one next hop."""

    outcomes: tuple[RecipientOutcome, ...]
    dialogue: tuple[str, ...]
    state: HopState
