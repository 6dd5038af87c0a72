# SPDX-License-Identifier: Apache-2.0
"""The mail that is answered, as the reply rules and the composer see it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from rejoinder.mailauth.verdict import Verdict
from rejoinder.message.address import Address, Mailbox, parse_address_list
from rejoinder.message.automatic import Automatic, detect
from rejoinder.message.headers import Headers
from rejoinder.message.thread import msg_ids


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
