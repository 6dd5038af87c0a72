# SPDX-License-Identifier: Apache-2.0
"""A whole server on loopback, and everything around it, as the acceptance tests see it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from rejoinder.api.key import digest
from rejoinder.app import Server, Surroundings
from rejoinder.clock import Clock
from rejoinder.clock.live import LiveClock
from rejoinder.clock.manual import ManualClock
from rejoinder.config import Config
from rejoinder.dns.zone import Zone
from rejoinder.ids import Ids
from rejoinder.internet.person import Person, post
from rejoinder.internet.sink import Sink
from rejoinder.mailauth.dkim.key import public_record
from rejoinder.mailauth.dkim.sign import Signer
from rejoinder.message.address import Address, Mailbox
from rejoinder.outbound.connection import HopResult, NextHop
from rejoinder.outbound.pool import Pool, PoolSettings
from rejoinder.store import emails, events, keys, runs, sent
from rejoinder.store.records import ApiKey, Email, Event, Run, Sent

KEY = f"rj_{'k' * 43}"
"""An API key of every house."""
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

    async def ask(self, path: str) -> httpx2.Response:
        """GET from the HTTP API, with a key that may do everything."""
        host, port = self.server.http_address
        async with httpx2.AsyncClient(base_url=f"http://{host}:{port}/api/v2", trust_env=False) as client:
            return await client.get(path, headers={"Authorization": f"Bearer {KEY}"})


Open = Callable[..., Awaitable[House]]


def worker_file(folder: Path, code: str) -> Path:
    """A worker's file with this code."""
    path = folder / "worker.py"
    path.write_text(code)
    return path


@asynccontextmanager
async def houses(folder: Path, customer_key: Signer, desk_key: Path) -> AsyncIterator[Open]:
    """Opens houses, and closes them at the end; each has its mail in the same place below the folder."""
    async with AsyncExitStack() as stack:

        async def open_(
            code: str = ECHO,
            *,
            clock: Clock | None = None,
            ingress: Mapping[str, object] | None = None,
            **sections: object,
        ) -> House:
            clock = clock or LiveClock()
            sink = Sink(clock, "mail.customer.example")
            _, port = await sink.start()
            stack.push_async_callback(sink.close)
            zone = Zone(
                {
                    "customer.example": {
                        "A": ["127.0.0.1"],
                        "MX": ["10 mail.customer.example"],
                        "TXT": ["v=spf1 ip4:127.0.0.1 -all"],
                    },
                    "mail.customer.example": {"A": ["127.0.0.1"]},
                    "s1._domainkey.customer.example": {"TXT": [public_record(customer_key.key)]},
                    "_dmarc.customer.example": {"TXT": ["v=DMARC1; p=reject"]},
                }
            )
            config = Config.model_validate(
                {
                    "store": {"data_dir": folder / "data"},
                    "ingress": {
                        "hostname": "mx.desk.example",
                        "listen": [{"kind": "mx", "address": "127.0.0.1:0"}],
                    }
                    | dict(ingress or {}),
                    "http": {"listen": "127.0.0.1:0"},
                    "outbound": {"mx_port": port, "allow_private_mx": True},
                    "domain": [{"name": "desk.example", "dkim_key": desk_key}],
                    "worker": [{"name": "desk", "file": worker_file(folder, code)}],
                    "route": [{"match": "support@desk.example", "worker": "desk"}],
                }
                | sections
            )
            server = await Server.start(config, Surroundings(clock, os.urandom, zone))
            stack.push_async_callback(_stop, server, clock)
            key = ApiKey("key_of_the_house", "default", digest(KEY), "", clock.now(), None, None)
            await server.store.transaction(lambda: keys.insert(key))
            pool = Pool(PoolSettings(max_per_host=50), clock)
            stack.push_async_callback(pool.close)
            alice = Person(
                Address("Alice", Mailbox("alice", "customer.example")), customer_key, clock, Ids(os.urandom)
            )
            return House(server, sink, zone, alice, pool)

        yield open_


async def _stop(server: Server, clock: Clock) -> None:
    """Stop the server; on a clock that stands still, let time pass until it has stopped."""
    stopping = asyncio.create_task(server.stop(1.0))
    while isinstance(clock, ManualClock) and not stopping.done():
        await clock.advance(1)
    await stopping
