# SPDX-License-Identifier: Apache-2.0
"""A post office: the delivery handler over a real store, and mail servers whose replies are written down."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from rejoinder.clock.manual import ManualClock
from rejoinder.dns.zone import Zone
from rejoinder.ids import Ids
from rejoinder.mailauth.dkim.sign import Signer
from rejoinder.message.address import Mailbox
from rejoinder.outbound.deliver import DeliverHandler
from rejoinder.outbound.mx import listens_at
from rejoinder.outbound.pool import Pool, PoolSettings
from rejoinder.outbound.settings import OutboundSettings
from rejoinder.outbound.sign import Signing
from rejoinder.replies.submit import DELIVER, Content, Origin, prepare, submit
from rejoinder.store import events, jobs, sent
from rejoinder.store.raw import RawStore
from rejoinder.store.raw.files import RawFiles
from rejoinder.store.records import Delivery, Event, EventKind, Job
from rejoinder.store.settings import StoreSettings
from rejoinder.store.sqlite import SqliteStore
from tests.unit.mailauth.signing import RSA

SUPPORT = Mailbox("support", "desk.example")
ALICE, BOB, CAROL = (Mailbox(name, "c.example") for name in ("alice", "bob", "carol"))
SIGNER = Signer("desk.example", "s", RSA)
MESSAGE = (
    b"From: support@desk.example\r\nMessage-ID: <1@desk.example>\r\nSubject: x\r\n\r\n.A line with a dot\r\n"
)


@dataclass
class Host:
    """A mail server: what it says to whom, and what it got."""

    greeting: str = "220 hop.example"
    recipients: Mapping[str, str] = field(default_factory=dict)
    """By local-part; anybody else gets 250."""
    end: str = "250 2.0.0 taken"
    """After the content; empty: it hangs up."""
    data: str = "354 go on"
    """After DATA; empty: it hangs up."""
    received: list[bytes] = field(default_factory=list)
    envelopes: list[list[str]] = field(default_factory=list)
    sessions: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sessions += 1
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{self.greeting}\r\n".encode())
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            word = line[:4].upper()
            reply = "250 2.0.0 ok"
            if word == "MAIL":
                self.envelopes.append([line])
            elif word == "RCPT":
                self.envelopes[-1].append(line)
                reply = self.recipients.get(line.partition("<")[2].partition("@")[0], reply)
            elif word == "DATA":
                if not self.data:
                    return
                writer.write(f"{self.data}\r\n".encode())
                self.received.append(await reader.readuntil(b"\r\n.\r\n"))
                reply = self.end
            elif word == "QUIT":
                reply = "221 2.0.0 bye"
            if not reply:
                return
            writer.write(f"{reply}\r\n".encode())


class Post:
    """Submits messages and attempts what is due."""

    def __init__(self, store: SqliteStore, raws: RawStore, clock: ManualClock, ids: Ids, zone: Zone) -> None:
        self.store, self.raws, self.clock, self.ids, self.zone = store, raws, clock, ids, zone
        self.handler: DeliverHandler
        self.settings: OutboundSettings
        self.own: list[tuple[str, int]] = []
        """Where we listen ourselves."""

    async def submit(self, *paths: Mailbox, raw: bytes = MESSAGE, author: Mailbox = SUPPORT) -> str:
        """Take responsibility for a message; its id."""
        now = self.clock.now()
        kept = await self.raws.keep(raw, now)
        submission = prepare(
            Origin("default", "worker"),
            Content(kept, author, "<1@desk.example>", "x"),
            reverse_path=None,
            forward_paths=paths or (ALICE,),
            ids=self.ids,
            now=now,
        )
        await self.store.transaction(lambda: submit(submission, "thread_1"))
        return submission.sent.id

    async def claim(self) -> list[Job]:
        """Lease what is due."""
        rooms = {DELIVER: 10}
        return await self.store.transaction(lambda: jobs.claim([DELIVER], "me", 10, 30.0, rooms))

    async def attempt(self) -> int:
        """Attempt what is due; how much it was."""
        claimed = await self.claim()
        for job in claimed:
            async with asyncio.timeout(10):
                await self.handler.handle(job)
        return len(claimed)

    async def deliveries(self, sent_id: str) -> list[Delivery]:
        """What became of each forward-path."""
        return await self.store.read(lambda: sent.deliveries(sent_id))

    async def delivery(self, sent_id: str) -> Delivery:
        """What became of the only one."""
        (only,) = await self.deliveries(sent_id)
        return only

    async def events(self, sent_id: str) -> list[Event]:
        """The steps of a message."""
        return await self.store.read(lambda: events.of_sent("default", sent_id))

    async def attempts(self, sent_id: str) -> list[dict[str, object]]:
        """The evidence of each attempt."""
        found = await self.events(sent_id)
        return [json.loads(event.evidence) for event in found if event.kind is EventKind.ATTEMPTED]


class Prompt(random.Random):
    """Chance that spreads nothing, so that what is due is due at once."""

    def random(self) -> float:
        return 0.0


@asynccontextmanager
async def open_post(
    folder: Path, *hosts: Host, zone: Zone | None = None, **settings: object
) -> AsyncIterator[Post]:
    """A post office, and the hosts at 127.0.0.1, 127.0.0.2 and so on, at one port.

    Without another zone c.example has them as its MX, in this order.
    """
    clock, entropy = ManualClock(), count(1)
    ids = Ids(lambda size: next(entropy).to_bytes(size, "big"))
    store_settings = StoreSettings(data_dir=folder)
    store = await SqliteStore.open(store_settings, clock)
    raws = RawStore(store_settings, ids, clock, RawFiles(folder / "raw"))
    servers, port = await _listen(hosts)
    if zone is None:
        zone = Zone({f"mx{n}.c.example": {"A": [f"127.0.0.{n}"]} for n in range(1, len(hosts) + 1)})
        zone.add("c.example", "MX", *(f"{n} mx{n}.c.example" for n in range(1, len(hosts) + 1)))
    post = Post(store, raws, clock, ids, zone)
    pool = Pool(PoolSettings(), clock)
    signing = Signing({SIGNER.domain: SIGNER})
    outbound: dict[str, object] = {
        "mx_port": port or 25,
        "allow_private_mx": True,
        "schedule": ["1m", "5m"],
        **settings,
    }
    if outbound.get("route") == "relay":
        outbound["relay"] = f"{outbound['relay']}:{port}"
    post.settings = OutboundSettings.model_validate(outbound)
    post.handler = DeliverHandler(
        store=store,
        raw_store=raws,
        resolver=zone,
        pool=pool,
        signing=signing,
        clock=clock,
        ids=ids,
        settings=post.settings,
        ehlo="mx.desk.example",
        is_ours=lambda hop: listens_at(post.own, hop),
        chance=Prompt(1),
    )
    try:
        yield post
    finally:
        await pool.close()
        signing.close()
        for server in servers:
            server.close()
        for _ in range(20):
            await asyncio.sleep(0)
        await store.close()


async def _listen(hosts: tuple[Host, ...]) -> tuple[list[asyncio.Server], int]:
    """The servers, all at one port that was free; a host with an empty greeting does not listen."""
    servers: list[asyncio.Server] = []
    port = 0
    for number, host in enumerate(hosts, 1):
        if host.greeting:
            servers.append(await asyncio.start_server(host.serve, f"127.0.0.{number}", port))
            port = servers[0].sockets[0].getsockname()[1]
    return servers, port
