# SPDX-License-Identifier: Apache-2.0
"""An application over a real store in a temporary folder, and one mail that was answered."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from rejoinder.api.app import create_app
from rejoinder.api.key import digest, new_key
from rejoinder.clock.manual import ManualClock
from rejoinder.ids import Ids
from rejoinder.mailauth.verdict import (
    DkimResult,
    DkimVerdict,
    DmarcResult,
    DmarcVerdict,
    Policy,
    SpfResult,
    SpfVerdict,
    Verdict,
)
from rejoinder.replies.answer import Answering
from rejoinder.replies.settings import QuotaSettings, RepliesSettings
from rejoinder.store import emails, events, keys, raws, runs, sent, threads
from rejoinder.store.raw import RawStore
from rejoinder.store.raw.files import RawFiles
from rejoinder.store.records import (
    ApiKey,
    Delivery,
    DeliveryStatus,
    Email,
    EmailStatus,
    Event,
    EventKind,
    Run,
    RunState,
    Sent,
)
from rejoinder.store.settings import StoreSettings
from rejoinder.store.sqlite import SqliteStore
from rejoinder.store.unit import Unit

MAIL = (
    b"From: =?utf-8?q?Zo=C3=AB?= <zoe@customer.example>\r\n"
    b"To: Support <support@desk.example>, other@desk.example\r\n"
    b"Subject: =?utf-8?q?Caf=C3=A9?=\r\n"
    b"Message-ID: <one@customer.example>\r\n"
    b"In-Reply-To: <zero@desk.example>\r\n"
    b"References: <first@desk.example> <zero@desk.example>\r\n"
    b"X-Twice: a\r\nX-Twice: b\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n"
    b"\r\n"
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nIt does not work.\r\n"
    b'--b\r\nContent-Type: image/png\r\nContent-Disposition: attachment; filename="a.png"\r\n\r\nPNG\r\n'
    b"--b--\r\n"
)
REPLY = {"from": "Support <support@desk.example>", "text": "Have you tried turning it off?"}
"""The least that a reply says."""
VERDICT = Verdict(
    SpfVerdict(SpfResult.SOFTFAIL, "customer.example"),
    (DkimVerdict(DkimResult.FAIL, "list.example"), DkimVerdict(DkimResult.PASS, "customer.example")),
    DmarcVerdict(DmarcResult.PASS, Policy.REJECT, "customer.example", "customer.example"),
)


@dataclass
class Api:
    """The application, its key, and what the tests change."""

    store: SqliteStore
    raw: RawStore
    clock: ManualClock
    app: FastAPI
    key: str
    ids: Ids
    held: set[tuple[str, str]] = field(default_factory=set)
    is_ready: bool = True

    @asynccontextmanager
    async def client(self, key: str | None = None) -> AsyncIterator[httpx2.AsyncClient]:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        transport = httpx2.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://here", headers=headers) as client:
            yield client

    async def get(self, path: str, key: str | None = None, **headers: str) -> httpx2.Response:
        async with self.client(key) as client:
            return await client.get(path, headers=headers)

    async def content(self, raw_id: str) -> bytes:
        """The bytes of a message."""
        kept = await self.store.read(lambda: raws.get(raw_id))
        assert kept is not None
        return await self.raw.load(kept)

    async def reply(
        self, asked: str, body: object = None, key: str | None = None, **headers: str
    ) -> httpx2.Response:
        """Answer a mail; the body is JSON as it stands if it is bytes or text."""
        content = body if isinstance(body, str | bytes) else json.dumps(REPLY if body is None else body)
        async with self.client(key) as client:
            return await client.post(f"/api/v2/emails/{asked}/reply", content=content, headers=headers)

    async def add_key(self, scopes: str = "", account: str = "default", revoked_at: int | None = None) -> str:
        secret = new_key(lambda size: self.ids.unique(self.clock.now()).encode()[:size].ljust(size, b"k"))
        now = self.clock.now()
        record = ApiKey(self.ids.new("key", now), account, digest(secret), scopes, now, None, revoked_at)
        await self.store.transaction(lambda: keys.insert(record))
        return secret

    async def add_email(self, content: bytes = MAIL, account: str = "default", **changed: object) -> Email:
        now = self.clock.now()
        kept = await self.raw.keep(content, now)
        values: dict[str, object] = {
            "id": self.ids.new("email", now),
            "account": account,
            "thread_id": self.ids.new("thread", now),
            "raw_id": kept.id,
            "raw_size": kept.size,
            "reverse_path": "zoe@customer.example",
            "forward_path": "support@desk.example",
            "client_ip": "127.0.0.1",
            "helo": "mx.customer.example",
            "trace": b"",
            "verdict": VERDICT.as_json(),
            "event_key": self.ids.unique(now),
            "event_key_stable": True,
            "status": EmailStatus.HANDLED,
            "mark": None,
            "route": "support@desk.example",
            "message_id": "<one@customer.example>",
            "subject": "Café",
            "author": "zoe@customer.example",
            "author_name": "Zoë",
            "received_at": now,
        }
        email = Email(**{**values, **changed})  # type: ignore[arg-type]

        def unit() -> Unit[None]:
            yield from raws.insert(kept)
            yield from emails.insert(email)
            name = email.account, email.message_id, email.id, email.thread_id, email.received_at
            yield from threads.place(
                email.account, references=(), in_reply_to=(), new_id=email.thread_id, now=email.received_at
            )
            yield from threads.name(*name)

        await self.store.transaction(unit)
        return email

    async def add_answer(self, email: Email) -> Sent:
        now = self.clock.now()
        kept = await self.raw.keep(b"Subject: Re: x\r\n\r\nHello\r\n", now)
        run = Run(
            self.ids.new("run", now),
            email.account,
            email.id,
            "tickets",
            RunState.FINISHED,
            1,
            now,
            now,
            None,
            "hi",
        )
        answer = Sent(
            self.ids.new("sent", now), email.account, email.thread_id, email.id, run.id, "worker", None,
            "support@desk.example", "<answer@desk.example>", "Re: Café", kept.id, kept.size, now,
        )  # fmt: skip
        delivery = Delivery(
            answer.id, "zoe@customer.example", DeliveryStatus.DELIVERED, 1, "250 2.0.0 Ok", False, now
        )
        steps = [
            Event(self.ids.new("event", now), email.account, kind, now, email_id, sent_id, None, '{"a":"b"}')
            for kind, email_id, sent_id in (
                (EventKind.RECEIVED, email.id, None),
                (EventKind.DELIVERED, None, answer.id),
            )
        ]

        def unit() -> Unit[None]:
            yield from raws.insert(kept)
            yield from runs.insert(run)
            yield from sent.insert(answer, [delivery])
            for step in steps:
                yield from events.insert(step)

        await self.store.transaction(unit)
        return answer


@pytest.fixture
def rate() -> int:
    """Requests that a key may make in a second."""
    return 0


@pytest.fixture
def budgets() -> RepliesSettings:
    """How many answers may go to one correspondent and in one thread."""
    return RepliesSettings()


@pytest.fixture
async def api(tmp_path: Path, rate: int, budgets: RepliesSettings) -> AsyncIterator[Api]:
    clock, entropy = ManualClock(), count(1)
    ids = Ids(lambda size: next(entropy).to_bytes(size, "big"))
    settings = StoreSettings(data_dir=tmp_path)
    store = await SqliteStore.open(settings, clock)
    raw = RawStore(settings, ids, clock, RawFiles(tmp_path / "raw"))
    built = Api(store, raw, clock, FastAPI(), "", ids)
    answering = Answering(
        store=store,
        raw_store=raw,
        account_of={"desk.example": "default"}.get,
        clock=clock,
        ids=ids,
        settings=budgets,
        quota=QuotaSettings(),
        max_size=50 << 20,
    )
    built.app = create_app(
        store,
        raw,
        answering,
        clock=clock,
        rate=rate,
        is_held=lambda account, email_id: (account, email_id) in built.held,
        is_ready=lambda: built.is_ready,
        new_request_id=lambda: "made-here",
    )
    built.key = await built.add_key()
    yield built
    await store.close()
