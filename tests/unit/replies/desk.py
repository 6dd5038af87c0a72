# SPDX-License-Identifier: Apache-2.0
"""A store with a mail in it, and whoever answers for the API."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from rejoinder.clock.manual import ManualClock
from rejoinder.ids import Ids
from rejoinder.message.address import Address, Mailbox
from rejoinder.message.headers import split
from rejoinder.message.thread import msg_ids
from rejoinder.replies.answer import Answer, Answering, Idempotency
from rejoinder.replies.answered import Answered
from rejoinder.replies.request import ReplyRequest
from rejoinder.replies.settings import QuotaSettings, RepliesSettings
from rejoinder.store import emails, raws, sent, threads
from rejoinder.store.raw import RawStore
from rejoinder.store.raw.files import RawFiles
from rejoinder.store.records import Delivery, Email, Sent
from rejoinder.store.settings import StoreSettings
from rejoinder.store.sqlite import SqliteStore
from rejoinder.store.unit import Store, Unit
from tests.store.samples import EMAIL, NOW
from tests.unit.replies.originals import PROVEN

DOMAINS: Final = {"desk.example": "default", "xn--bcher-kva.example": "default", "other.example": "other"}
MAIL: Final = (
    "From: Ann Example <ann@customer.example>\r\n"
    "To: support@desk.example, ben@customer.example\r\n"
    "Cc: carl@customer.example\r\n"
    "Date: Thu, 01 Jan 2026 09:00:00 +0100\r\n"
    "Subject: The printer\r\n"
    "Message-ID: <1@customer.example>\r\n"
    "References: <0@customer.example>\r\n"
    "\r\n"
    "It burns.\r\n"
)
FROM: Final = Address("Desk", Mailbox("support", "desk.example"))
HELLO: Final = ReplyRequest(FROM, text="Use water.")


def counted() -> Iterator[bytes]:
    """Ten bytes, never the same."""
    return (number.to_bytes(10, "big") for number in itertools.count())


class Desk:
    """Mail comes in by ``receive``, answers go out by ``reply``."""

    def __init__(self, store: SqliteStore, folder: Path, clock: ManualClock) -> None:
        self.store, self.clock = store, clock
        numbers = counted()
        self._ids = Ids(lambda _: next(numbers))
        self.raw_store = RawStore(StoreSettings(data_dir=folder), self._ids, clock, RawFiles(folder / "raw"))
        self.answering = self.made()

    def made(
        self,
        settings: RepliesSettings | None = None,
        quota: QuotaSettings | None = None,
        max_size: int = 50 << 20,
        store: Store | None = None,
    ) -> Answering:
        """Whoever answers, by other settings or at another opening of the store."""
        return Answering(
            store=store or self.store,
            raw_store=self.raw_store,
            account_of=DOMAINS.get,
            clock=self.clock,
            ids=self._ids,
            settings=settings or RepliesSettings(),
            quota=quota or QuotaSettings(),
            max_size=max_size,
        )

    async def receive(self, content: str | bytes = MAIL, **changed: str | None) -> str:
        """Store a mail; its id."""
        raw_bytes = content if isinstance(content, bytes) else content.encode()
        now = self.clock.now()
        raw = await self.raw_store.keep(raw_bytes, now)
        headers, _ = split(raw_bytes)
        named = msg_ids(headers.get("Message-ID"))[:1]
        email = replace(
            EMAIL,
            id=self._ids.new("email", now),
            raw_id=raw.id,
            raw_size=raw.size,
            verdict=PROVEN.as_json(),
            message_id=named[0] if named else None,
            received_at=now,
        )
        email = replace(email, **changed)  # type: ignore[arg-type]

        def keep() -> Unit[None]:
            references = msg_ids(" ".join(headers.get_all("References")))
            thread_id = yield from threads.place(
                email.account,
                references=references,
                in_reply_to=(),
                new_id=self._ids.new("thread", now),
                now=now,
            )
            yield from raws.insert(raw)
            yield from emails.insert(replace(email, thread_id=thread_id))
            yield from threads.name(email.account, email.message_id, email.id, thread_id, now)

        await self.store.transaction(keep)
        return email.id

    async def find(self, asked: str, account: str = "default") -> Answered:
        """What this id asks for, which is there."""
        answered = await self.answering.find(account, asked)
        assert answered is not None
        return answered

    async def reply(
        self,
        asked: str,
        request: ReplyRequest = HELLO,
        *,
        key: str | None = None,
        reply_any: bool = False,
        by: Answering | None = None,
    ) -> Answer:
        """Answer as the API does."""
        idempotency = Idempotency("POST", f"/api/v2/emails/{asked}/reply", key) if key else None
        return await (by or self.answering).reply(
            await self.find(asked), request, reply_any=reply_any, idempotency=idempotency
        )

    async def sent(self, answer: Answer) -> tuple[Sent, list[Delivery], bytes]:
        """What an answer left in the store."""

        def load() -> Unit[tuple[Sent, list[Delivery], bytes]]:
            row = yield from sent.get("default", answer.sent.id)
            assert row is not None
            deliveries = yield from sent.deliveries(row.id)
            raw = yield from raws.get(row.raw_id)
            assert raw is not None
            return row, deliveries, raw.content or b""

        return await self.store.read(load)

    async def sent_count(self) -> int:
        """How many messages were sent through the API."""
        return await self.store.read(
            lambda: sent.count_since("default", "api", correspondent=None, thread_id=None, since=0)
        )

    async def email(self, email_id: str) -> Email:
        """The row of a received mail."""
        email = await self.store.read(lambda: emails.get("default", email_id))
        assert email is not None
        return email


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Desk]:
    """A desk with an empty store."""
    clock = ManualClock()
    assert clock.now() == NOW
    store = await SqliteStore.open(StoreSettings(data_dir=folder), clock)
    try:
        yield Desk(store, folder, clock)
    finally:
        await store.close()
