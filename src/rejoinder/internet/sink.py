# SPDX-License-Identifier: Apache-2.0
"""A mail server that keeps what it gets: the next hop of demonstrations and tests.

It is the real SMTP server with a handler that remembers. What it answers can be set for each mail, so that
a test can be the host that is busy, or refuses, or hangs up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rejoinder.clock import Clock
from rejoinder.ingress.server import SmtpServer
from rejoinder.ingress.session import Client, Delivery
from rejoinder.ingress.settings import IngressSettings
from rejoinder.message.address import Mailbox
from rejoinder.smtp.event import ContentRefused
from rejoinder.smtp.reply import Reply

OK = Reply.of(250, "2.0.0", "Kept")


class Sink:
    """Takes everything; ``received`` holds it in order."""

    def __init__(
        self, clock: Clock, hostname: str, answer: Callable[[Delivery], Reply] = lambda _: OK
    ) -> None:
        self.received: list[Delivery] = []
        self.answer = answer
        self._arrivals: asyncio.Queue[Delivery] = asyncio.Queue()
        self._clock = clock
        self._server = SmtpServer(IngressSettings(hostname=hostname), self, clock, hostname)

    async def start(self) -> tuple[str, int]:
        """Listen on a free port of 127.0.0.1; returns host and port."""
        return await self._server.start("127.0.0.1:0")

    async def close(self) -> None:
        """Stop at once."""
        await self._server.drain(self._clock.now())

    async def next(self) -> Delivery:
        """The next mail that was not handed out yet, when it has come."""
        return await self._arrivals.get()

    def recipient(self, forward_path: Mailbox, reverse_path: Mailbox | None, client: Client) -> Reply | None:
        """Everybody lives here."""
        return None

    async def accept(self, delivery: Delivery) -> Reply:
        """Answer as set; what is accepted is kept."""
        reply = self.answer(delivery)
        if reply.is_positive:
            self.received.append(delivery)
            self._arrivals.put_nowait(delivery)
        return reply

    async def refused(self, refusal: ContentRefused, client: Client) -> None:
        """It is not kept."""
