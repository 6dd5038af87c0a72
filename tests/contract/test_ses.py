# SPDX-License-Identifier: Apache-2.0
"""Amazon SES by its real client, moto, and a server that gives messages new Message-IDs as SES does."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2
import pytest
from moto import mock_aws

from rejoinder.clock.live import LiveClock
from rejoinder.ingress.session import Delivery
from rejoinder.internet.sink import Sink
from rejoinder.mailauth.dkim.sign import Signer
from rejoinder.message.headers import Headers, split
from rejoinder.outbound.connection import NextHop
from rejoinder.outbound.pool import Pool, PoolSettings
from rejoinder.store.records import Email, EventKind
from tests.acceptance.house import KEY, SUPPORT, House, Open, houses
from tests.contract.amazon import KEYS, REGION, Amazon, Moto, Request, Said, amazons

pytestmark = pytest.mark.anyio

FAILED: Final = "Failed to send reply. Please try again later."
NOT_CONFIGURED: Final = "Email service not configured. Please contact support."


@dataclass(frozen=True)
class Town:
    """A house that sends by SES, and where SES delivers."""

    house: House
    amazon: Amazon
    moto: Moto
    sink: Sink

    async def letter(self, answering: Headers | None = None) -> Email:
        """A mail of the customer's, received."""
        await self.house.send(self.house.alice.write(SUPPORT, "The printer", "Help.", answering=answering))
        return (await self.house.mail())[-1]

    async def reply(self, to: str, *, key: str = "", **fields: object) -> httpx2.Response:
        """Answer it through the API."""
        return await reply(self.house, to, key=key, **fields)

    async def arrived(self) -> tuple[Delivery, Headers]:
        """The next message that comes from SES."""
        async with asyncio.timeout(10):
            delivery = await self.sink.next()
        return delivery, split(delivery.raw)[0]


async def reply(house: House, to: str, *, key: str = "", **fields: object) -> httpx2.Response:
    host, port = house.server.http_address
    headers = {"Authorization": f"Bearer {KEY}"} | ({"Idempotency-Key": key} if key else {})
    body = {"from": "support@desk.example", "text": "Use water.", **fields}
    async with httpx2.AsyncClient(trust_env=False) as http:
        return await http.post(
            f"http://{host}:{port}/api/v2/emails/{to}/reply", json=body, headers=headers, timeout=20
        )


@pytest.fixture
async def open_house(tmp_path: Path, customer_key: Signer, desk_key: Path) -> AsyncIterator[Open]:
    """Opens houses whose support mailbox is kept."""
    async with houses(tmp_path, customer_key, desk_key) as open_:
        yield open_


@pytest.fixture
async def town(open_house: Open) -> AsyncIterator[Town]:
    """desk.example, verified at SES."""
    clock = LiveClock()
    sink, pool = Sink(clock, "mail.customer.example"), Pool(PoolSettings(), clock)
    async with AsyncExitStack() as stack:
        stack.enter_context(mock_aws())
        host, port = await sink.start()
        stack.push_async_callback(sink.close)
        stack.push_async_callback(pool.close)
        moto = Moto(pool, NextHop("mail.customer.example", host, port))
        moto.verify("desk.example")
        amazon = await stack.enter_async_context(amazons(moto.answer))
        yield Town(await house_by(open_house, amazon.endpoint_url), amazon, moto, sink)


async def house_by(open_house: Open, endpoint_url: str) -> House:
    return await open_house(
        outbound={"route": "ses", "ses": {"region": REGION, "endpoint_url": endpoint_url, **KEYS}},
        domain=[{"name": "desk.example"}, {"name": "new.example"}],
        worker=[],
        route=[{"match": str(SUPPORT), "store": True}],
    )


def refusal(response: httpx2.Response) -> tuple[int, object, str | None]:
    return response.status_code, response.json()["error"], response.headers.get("x-should-retry")


# --- taken ----------------------------------------------------------------------------------------------


async def test_the_answer_names_what_is_on_the_wire(town: Town) -> None:
    email = await town.letter()
    answer = (await town.reply(email.id)).json()
    delivery, headers = await town.arrived()
    assert answer["messageId"] == f"{answer['awsMessageId']}@email.amazonses.com"
    assert headers.get("Message-ID") == f"<{answer['messageId']}>"
    assert headers.get("In-Reply-To") == email.message_id
    assert str(delivery.envelope.forward_paths[0]) == "alice@customer.example"
    read = (await town.house.ask(f"/emails/{answer['id']}")).json()
    assert (read["message_id"], read["last_event"]) == (f"<{answer['messageId']}>", "delivered")


async def test_the_conversation_stays_one_thread(town: Town) -> None:
    email = await town.letter()
    first = (await town.reply(email.id)).json()
    _, headers = await town.arrived()
    again = await town.letter(answering=headers)
    assert again.id != email.id
    assert again.thread_id == email.thread_id
    second = (await town.reply(again.id)).json()
    _, headers = await town.arrived()
    assert second["repliedToThreadId"] == email.thread_id
    named = f"<{first['messageId']}>"
    assert named in (headers.get("References") or "").split()


async def test_who_goes_on_from_what_was_sent_names_the_id_that_its_reader_has(town: Town) -> None:
    email = await town.letter()
    first = (await town.reply(email.id)).json()
    await town.arrived()
    assert (await town.reply(first["id"], text="P.S.")).status_code == 200
    _, headers = await town.arrived()
    named = f"<{first['messageId']}>"
    assert headers.get("In-Reply-To") == named
    assert (headers.get("References") or "").split() == [email.message_id, named]


async def test_everybody_gets_one_message_and_blind_copies_stay_blind(town: Town) -> None:
    email = await town.letter()
    response = await town.reply(email.id, cc="bob@elsewhere.example", bcc=["eve@third.example"])
    assert response.status_code == 200
    arrived = [await town.arrived() for _ in range(3)]
    assert sorted(str(each.envelope.forward_paths[0]) for each, _ in arrived) == [
        "alice@customer.example",
        "bob@elsewhere.example",
        "eve@third.example",
    ]
    assert {headers.get("Message-ID") for _, headers in arrived} == {f"<{response.json()['messageId']}>"}
    assert all(b"eve@" not in each.raw for each, _ in arrived)
    [request] = town.amazon.requests
    assert request.json["FeedbackForwardingEmailAddress"] == "bounces@desk.example"
    # SES signs; our signature would cover the Message-ID that it replaces.
    assert b"DKIM-Signature" not in request.raw


async def test_a_key_gets_the_same_answer_again(town: Town) -> None:
    email = await town.letter()
    first, second = await asyncio.gather(*(town.reply(email.id, key="k") for _ in range(2)))
    third = await town.reply(email.id, key="k")
    assert first.json() == second.json() == third.json()
    assert "awsMessageId" in first.json()
    assert third.headers["Idempotency-Replayed"] == "true"
    assert len(town.amazon.requests) == 1


# --- refused --------------------------------------------------------------------------------------------


async def test_what_is_refused_for_good_is_told_and_the_key_is_free(town: Town) -> None:
    email = await town.letter()
    author = {"from": "desk@new.example"}
    response = await town.reply(email.id, key="k", **author)
    assert refusal(response) == (500, FAILED, "false")
    assert "MessageRejected" in response.json()["details"]
    [sent] = await town.house.sent(email)
    assert (await town.house.ask(f"/emails/{sent.id}")).json()["last_event"] == "failed"
    assert EventKind.FAILED in {event.kind for event in await town.house.events(email)}
    town.moto.verify("new.example")
    assert "awsMessageId" in (await town.reply(email.id, key="k", **author)).json()


async def test_what_is_throttled_is_queued_and_leaves_later(open_house: Open) -> None:
    async def busy(request: Request) -> Said:
        return Said.refused(429, "TooManyRequestsException", "Maximum sending rate exceeded.")

    async with amazons(busy) as amazon:
        house = await house_by(open_house, amazon.endpoint_url)
        await house.send(house.alice.write(SUPPORT, "The printer", "Help."))
        [email] = await house.mail()
        response = await reply(house, email.id, key="k")
        assert response.status_code == 200
        assert "awsMessageId" not in response.json()
        assert response.json()["messageId"].endswith("@desk.example")
        read = (await house.ask(f"/emails/{response.json()['id']}")).json()
        assert read["last_event"] == "pending"
        assert (await reply(house, email.id, key="k")).json() == response.json()


@pytest.mark.parametrize("missing", ["credentials", "the extra"])
async def test_a_route_that_cannot_be_used_sends_nothing(
    open_house: Open, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    settings: Mapping[str, object] = {"region": REGION}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    if missing == "the extra":
        monkeypatch.delitem(sys.modules, "rejoinder.outbound.ses", raising=False)
        monkeypatch.setitem(sys.modules, "botocore.config", None)
    house = await open_house(
        outbound={"route": "ses", "ses": settings}, worker=[], route=[{"match": str(SUPPORT), "store": True}]
    )
    await house.send(house.alice.write(SUPPORT, "The printer", "Help."))
    [email] = await house.mail()
    response = await reply(house, email.id, key="k")
    assert refusal(response) == (500, NOT_CONFIGURED, "false")
    assert ("botocore" if missing == "the extra" else "credentials") in response.json()["details"]
    assert await house.sent(email) == []
