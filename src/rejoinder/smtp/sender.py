# SPDX-License-Identifier: Apache-2.0
"""The client side of SMTP, sans-IO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rejoinder.message.address import Mailbox
from rejoinder.smtp.reply import Reply

Stage = Literal["connect", "greeting", "hello", "reset", "mail", "rcpt", "data", "content", "quit", "unsent"]


@dataclass(frozen=True, slots=True)
class RecipientOutcome:
    """What one recipient's answer was (None: none came) and at which stage."""

    forward_path: Mailbox
    reply: Reply | None
    stage: Stage
