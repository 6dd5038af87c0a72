# SPDX-License-Identifier: Apache-2.0
"""A house whose support mailbox is answered over the HTTP API, and what arrives of the answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import dkim as dkimpy
import httpx2

from rejoinder.ingress.session import Delivery
from rejoinder.mailauth.dkim.key import public_record
from rejoinder.mailauth.dkim.sign import Signer
from rejoinder.message.headers import Headers, split
from rejoinder.outbound.keys import load_signers
from rejoinder.routing.settings import DomainEntry
from rejoinder.store.records import Email
from tests.acceptance.house import KEY, SUPPORT, House, houses
from tests.contract.node import Node

PATIENCE: Final = 20
"""Seconds after which something that is waited for will never come."""


@dataclass(frozen=True)
class Answer:
    """What the official client gives its user: ``data``, or ``error``."""

    data: object
    error: object

    def __getitem__(self, path: str) -> object:
        """A field of the data, as in ``content.textBody``."""
        assert self.error is None, self.error
        found = self.data
        for name in path.split("."):
            assert isinstance(found, Mapping), self.data
            found = found[name]
        return found

    def text(self, path: str) -> str:
        """A field that is text."""
        found = self[path]
        assert isinstance(found, str), found
        return found


@dataclass(frozen=True)
class Arrived:
    """A message that came to the customer."""

    delivery: Delivery

    @property
    def raw(self) -> bytes:
        """Its bytes."""
        return self.delivery.raw

    @property
    def recipients(self) -> list[str]:
        """The forward-paths of its envelope."""
        return [str(each) for each in self.delivery.envelope.forward_paths]

    @cached_property
    def headers(self) -> Headers:
        """Its header fields."""
        return split(self.raw)[0]

    def is_signed(self, public_record: str) -> bool:
        """Whether dkimpy, which knows only the record, takes the signature."""
        return bool(dkimpy.verify(self.raw, dnsfunc=lambda name, timeout=5: public_record.encode()))


@dataclass(frozen=True)
class Desk:
    """The server, the official client, and a customer who writes and gets answers."""

    house: House
    node: Node
    public_record: str

    @property
    def base_url(self) -> str:
        """Where the API is, as the client wants it."""
        host, port = self.house.server.http_address
        return f"http://{host}:{port}/api/v2"

    async def letter(
        self,
        subject: str = "The printer is on fire",
        text: str = "Please help.",
        headers: Sequence[tuple[str, str]] = (),
    ) -> Email:
        """A mail of the customer's, received."""
        return await self.received(self.house.alice.write(SUPPORT, subject, text, headers=headers))

    async def received(self, raw: bytes) -> Email:
        """This mail, received."""
        result = await self.house.send(raw)
        assert [each.reply.code for each in result.outcomes if each.reply] == [250], result
        return (await self.house.mail())[-1]

    async def call(self, method: str, *args: object, key: str = KEY, base_url: str | None = None) -> Answer:
        """Call the official client."""
        async with asyncio.timeout(PATIENCE):
            result = await self.node.call(key, base_url or self.base_url, method, args)
        assert isinstance(result, Mapping), result
        assert result.keys() <= {"data", "error"}, result
        return Answer(result.get("data"), result.get("error"))

    async def post(
        self, path: str, content: bytes, headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        """POST bytes, past the client and what it checks by itself."""
        defaults = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        async with httpx2.AsyncClient(trust_env=False) as http:
            return await http.post(
                self.base_url + path, content=content, headers=defaults | dict(headers or {})
            )

    async def arrived(self) -> Arrived:
        """The next message that comes to the customer; its signature is good."""
        async with asyncio.timeout(PATIENCE):
            arrived = Arrived(await self.house.sink.next())
        assert arrived.is_signed(self.public_record)
        return arrived

    async def sent_count(self, email: Email) -> int:
        """How many messages of ours answer a mail, delivered or not."""
        return len(await self.house.sent(email))


OpenDesk = Callable[..., Awaitable[Desk]]


@asynccontextmanager
async def desks(folder: Path, customer_key: Signer, desk_key: Path, node: Node) -> AsyncIterator[OpenDesk]:
    """Opens desks whose servers have these sections in their configuration, and closes them at the end."""
    sections = {"worker": [], "route": [{"match": str(SUPPORT), "store": True}]}
    [signer] = load_signers([DomainEntry(name="desk.example", dkim_key=desk_key)], folder).values()
    async with houses(folder, customer_key, desk_key) as open_house:

        async def open_(**others: object) -> Desk:
            return Desk(await open_house(**(sections | others)), node, public_record(signer.key))

        yield open_
