# SPDX-License-Identifier: Apache-2.0
"""What somebody asks with a reply through the API, once its fields are checked and have one spelling."""

from __future__ import annotations

from collections.abc import Iterator
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

    @property
    def header_size(self) -> int:
        """Characters of what the caller wrote for header fields, names of files aside."""
        return sum(map(len, self._header_texts()))

    def _header_texts(self) -> Iterator[str]:
        yield self.subject or ""
        for address in (self.from_, *(self.to or ()), *(self.cc or ()), *self.bcc, *self.reply_to):
            yield from (address.display_name, address.mailbox.local_part, address.mailbox.domain)
        for field in self.headers:
            yield from field
