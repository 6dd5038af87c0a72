# SPDX-License-Identifier: Apache-2.0
"""What the SMTP server knows of a session, and what it asks of whoever takes the mail.

Values and one Protocol; no I/O. The composition root gives a ``MailHandler`` to ``ingress.server``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from rejoinder.message.address import Mailbox
from rejoinder.smtp.envelope import Envelope
from rejoinder.smtp.event import ContentRefused
from rejoinder.smtp.reply import Reply


@dataclass(frozen=True, slots=True)
class Client:
    """The peer of a session: its address, and what it called itself (None before HELO or EHLO)."""

    ip: str
    port: int
    helo: str | None
    esmtp: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """One mail transaction, complete: ``raw`` is the content after dot-unstuffing, not a byte changed.

    ``received_at`` is the end of the content, in microseconds since the epoch, UTC. ``transcript`` holds
    the session's opening and this transaction as ``C: …`` and ``S: …`` lines.
    """

    envelope: Envelope
    raw: bytes
    client: Client
    received_at: int
    transcript: tuple[str, ...]


class MailHandler(Protocol):
    """Decides about recipients and takes responsibility for mail."""

    def recipient(self, forward_path: Mailbox, reverse_path: Mailbox | None, client: Client) -> Reply | None:
        """None to accept this forward-path with 250 2.1.5, or the SMTP reply that refuses it.

        Called once for each RCPT, in order, and must not wait. ``postmaster`` alone has an empty domain.
        """
        ...

    async def accept(self, delivery: Delivery) -> Reply:
        """Take the mail and give the SMTP answer; 250 only after it is durable.

        It is awaited to its end even when the client has gone meanwhile. An exception is logged and
        answered 451 4.3.0.
        """
        ...

    async def refused(self, refusal: ContentRefused, client: Client) -> None:
        """Note what the session refuses without asking; the client gets its answer when this returns.

        So a client that is refused again and again is noted no faster than the store writes. An exception
        is logged, and changes nothing about the answer.
        """
        ...
