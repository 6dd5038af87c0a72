# SPDX-License-Identifier: Apache-2.0
"""What somebody asks with a reply through the API, once its fields are checked and have one spelling."""

from __future__ import annotations

from dataclasses import dataclass

from rejoinder.message.address import Address
from rejoinder.message.compose import Attached


@dataclass(frozen=True, slots=True)
class ReplyRequest:
    """A reply to a mail; None means that a field was not given, and the default rules."""

    from_: Address
    to: tuple[Address, ...] | None = None
    cc: tuple[Address, ...] | None = None
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attached, ...] = ()
    include_original: bool = True
    """Whether the original is quoted below the answer."""
    reply_all: bool = False
    tags: tuple[tuple[str, str], ...] = ()
