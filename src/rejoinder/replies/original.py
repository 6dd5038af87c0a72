# SPDX-License-Identifier: Apache-2.0
"""The mail that is answered, as the reply rules and the composer see it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

from rejoinder.mailauth.verdict import Verdict
from rejoinder.message.address import Address, Mailbox, parse_address_list, parse_mailbox
from rejoinder.message.automatic import Automatic, detect
from rejoinder.message.headers import Headers
from rejoinder.message.limits import DEFAULT_LIMITS, Limits
from rejoinder.message.parse import ParsedMessage, parse
from rejoinder.message.thread import msg_ids
from rejoinder.store.records import Email


@dataclass(frozen=True)
class Original:
    """A received mail; ``ours`` says whether its Message-ID is one that we made."""

    email_id: str
    reverse_path: Mailbox | None
    forward_path: Mailbox
    headers: Headers
    verdict: Verdict
    ours: bool

    @cached_property
    def automatic(self) -> tuple[Automatic, ...]:
        """Everything that tells that no person sent it."""
        return detect(self.headers, self.reverse_path)

    @cached_property
    def authors(self) -> tuple[Address, ...]:
        """The mailboxes of From."""
        return tuple(parse_address_list(", ".join(self.headers.get_all("From"))))

    @cached_property
    def reference_count(self) -> int:
        """How many messages its References name."""
        return len(msg_ids(" ".join(self.headers.get_all("References"))))

    @classmethod
    def of(cls, email: Email, headers: Headers, *, ours: bool) -> Self:
        """From what is stored of a mail."""
        return cls(
            email.id,
            None if email.reverse_path is None else _stored(email.reverse_path),
            _stored(email.forward_path),
            headers,
            Verdict.from_json(email.verdict),
            ours,
        )


def parsed(content: bytes) -> ParsedMessage:
    """A stored message, whatever the size of its header block: it was accepted under another limit."""
    return parse(content, Limits(header_block=max(len(content), DEFAULT_LIMITS.header_block)))


def _stored(path: str) -> Mailbox:
    """A path as the store has it; the bare ``postmaster`` has no domain (RFC 5321 §4.5.1)."""
    return parse_mailbox(path) if "@" in path else Mailbox(path, "")
