# SPDX-License-Identifier: Apache-2.0
"""A whole server on loopback, and everything around it, as the acceptance tests see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from rejoinder.app import Server
from rejoinder.dns.zone import Zone
from rejoinder.internet.person import Person, post
from rejoinder.internet.sink import Sink
from rejoinder.message.address import Mailbox
from rejoinder.outbound.connection import HopResult, NextHop
from rejoinder.outbound.pool import Pool
from rejoinder.store import emails, events, runs, sent
from rejoinder.store.records import Email, Event, Run, Sent

SUPPORT = Mailbox("support", "desk.example")
ECHO = """
async def email(message, env, ctx):
    await message.reply("we got: " + message.text)
"""


@dataclass(frozen=True)
class House:
    """The server, and everything around it."""

    server: Server
    sink: Sink
    zone: Zone
    alice: Person
    pool: Pool

    async def send(
        self,
        raw: bytes,
        *,
        reverse_path: Mailbox | str | None = "alice@customer.example",
        to: Mailbox = SUPPORT,
    ) -> HopResult:
        """Hand a message to the server as the customer's mail server would."""
        if isinstance(reverse_path, str):
            local_part, _, domain = reverse_path.partition("@")
            reverse_path = Mailbox(local_part, domain)
        host, port = self.server.smtp_addresses[0]
        hop = NextHop("desk.example", host, port)
        return await post(self.pool, hop, "mail.customer.example", raw, reverse_path=reverse_path, to=to)

    async def mail(self) -> list[Email]:
        """Everything received, the oldest first."""
        found, _ = await self.server.store.read(lambda: emails.listing("default", 1000))
        return found[::-1]

    async def events(self, email: Email) -> list[Event]:
        """The steps of a mail."""
        return await self.server.store.read(lambda: events.of_email("default", email.id))

    async def recent(self) -> list[Event]:
        """The last steps, the newest first."""
        return await self.server.store.read(lambda: events.recent("default", 100))

    async def runs(self, email: Email) -> list[Run]:
        """The runs on a mail."""
        return await self.server.store.read(lambda: runs.of_email(email.id))

    async def sent(self, email: Email) -> list[Sent]:
        """What answers a mail."""
        return await self.server.store.read(lambda: sent.of_email(email.id))


Open = Callable[..., Awaitable[House]]


def worker_file(folder: Path, code: str) -> Path:
    """A worker's file with this code."""
    path = folder / "worker.py"
    path.write_text(code)
    return path
