# SPDX-License-Identifier: Apache-2.0
"""The envelope of a mail transaction (RFC 5321 §2.3.1): who is told of failure, who gets the content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rejoinder.message.address import Mailbox

Body = Literal["7BIT", "8BITMIME"]


@dataclass(frozen=True, slots=True)
class Envelope:
    """One mail transaction's paths and parameters.

    ``reverse_path`` is None for the null reverse-path ``<>`` (RFC 5321 §4.5.5); ``forward_paths`` are in
    the order of RCPT, accepted ones only; ``size`` is what the client declared in octets (RFC 1870), None
    if nothing; ``body`` is what it declared (RFC 6152), not what the content turned out to hold.
    """

    reverse_path: Mailbox | None
    forward_paths: tuple[Mailbox, ...]
    size: int | None = None
    body: Body = "7BIT"
