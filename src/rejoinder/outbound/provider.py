# SPDX-License-Identifier: Apache-2.0
"""A provider: a service that takes whole messages over HTTP and delivers them by itself.

What it answers is turned into an SMTP reply, so that deliveries, events and schedules need to know nothing
of it. The surprise: it puts a Message-ID of its own on the wire, and an attempt whose outcome nobody knows
cannot be repeated under the same one; the event says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from rejoinder.errors import SendingNotConfigured
from rejoinder.replies.first_attempt import Handover, Taken
from rejoinder.smtp.envelope import Envelope
from rejoinder.smtp.reply import Reply


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What a provider said to a message."""

    reply: Reply | None
    """As an SMTP reply, for every forward-path; None when nobody knows whether it has the message."""
    dialogue: tuple[str, ...]
    taken: Taken | None = None
    is_up: bool | None = True
    """Whether it answers at all; None when it answers, but not for this message now."""


class Provider(Handover, Protocol):
    """Somebody who sends messages for us."""

    @property
    def name(self) -> str:
        """As it stands in events."""
        ...

    async def send(self, envelope: Envelope, raw: bytes) -> HandedOver:
        """Hand a message over, to ``most`` forward-paths at the most; never raises for the provider.

        The reverse-path is where reports shall come back to; it is not the null reverse-path.
        """
        ...

    async def close(self) -> None:
        """Let go; call when no ``send`` is going on."""
        ...


class Unusable:
    """The place of a provider that cannot be used: what is queued waits until it can."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.most = 50
        self._reason = reason

    async def ready(self) -> None:
        """Say why not.

        Raises:
            SendingNotConfigured: always.
        """
        raise SendingNotConfigured(details=self._reason)

    async def send(self, envelope: Envelope, raw: bytes) -> HandedOver:
        """Nobody takes it."""
        return not_now(self._reason)

    async def close(self) -> None:
        """Nothing is held."""


def not_now(reason: str) -> HandedOver:
    """The result when the provider was not asked, because the route is not set up."""
    # RFC 3463 §3.4: X.3.5, system incorrectly configured.
    return HandedOver(Reply.of(451, "4.3.5", reason), (f"({reason})",), is_up=False)
