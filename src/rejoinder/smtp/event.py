# SPDX-License-Identifier: Apache-2.0
"""What the receiver tells its caller, and the limits it is given. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rejoinder.message.address import Mailbox
from rejoinder.smtp.envelope import Envelope
from rejoinder.smtp.reply import Reply


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a session may ask for; sizes in octets, commands counted since the last mail received."""

    max_size: int = 25 << 20
    max_line: int = 1 << 20
    max_recipients: int = 100
    max_command: int = 4096
    max_commands: int = 20_000
    max_bad_commands: int = 20


@dataclass(frozen=True, slots=True)
class RecipientOffered:
    """RCPT: answer None to take the recipient, or the SMTP reply that refuses it."""

    forward_path: Mailbox
    reverse_path: Mailbox | None


@dataclass(frozen=True, slots=True)
class ContentOffered:
    """DATA: answer None to let the content come, or the SMTP reply that refuses it."""

    envelope: Envelope


@dataclass(frozen=True, slots=True)
class MailReceived:
    """The content has ended: answer None only after taking responsibility (RFC 5321 §4.1.1.4).

    ``raw`` is the content after dot-unstuffing, byte for byte; ``transcript`` the session so far.
    """

    envelope: Envelope
    raw: bytes
    transcript: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContentRefused:
    """Content that this reply refuses: note it, then ``answer``; whatever is answered, this reply is given.

    ``size`` counts the octets that came: none where the declared size (RFC 1870) was refused already, and
    after MAIL, where ``envelope`` has no forward-path either. ``transcript`` is the session up to the reply.
    """

    envelope: Envelope
    reply: Reply
    size: int
    transcript: tuple[str, ...]


Reason = Literal["quit", "lost", "closed"]


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The last event: the client said QUIT, it has gone, or we closed. Send what is left, hang up."""

    reason: Reason


Event = RecipientOffered | ContentOffered | MailReceived | ContentRefused | SessionEnded
