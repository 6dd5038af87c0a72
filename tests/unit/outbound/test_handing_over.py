# SPDX-License-Identifier: Apache-2.0
"""A delivery whose next hop is a provider, and whoever waits for its first attempt."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rejoinder.errors import StoreError
from rejoinder.message.address import Mailbox
from rejoinder.outbound.deliver import DeliverHandler
from rejoinder.outbound.provider import HandedOver, Unusable
from rejoinder.replies.first_attempt import Awaited, FirstAttempts, FirstResult, Refused, Taken
from rejoinder.replies.submit import Content, Origin, prepare, submit
from rejoinder.smtp.envelope import Envelope
from rejoinder.smtp.reply import Reply
from rejoinder.store import sent, threads
from rejoinder.store.records import DeliveryStatus, EventKind
from rejoinder.store.unit import Unit
from tests.unit.outbound.post import ALICE, BOB, MESSAGE, SUPPORT, Host, Post, open_post

pytestmark = pytest.mark.anyio

TAKEN = Taken("0100-1", "<0100-1@email.amazonses.com>")
OK = HandedOver(Reply.of(250, "2.0.0", "taken"), ("S: 200",), TAKEN)
NEVER = HandedOver(Reply.of(554, "5.3.0", "MessageRejected: no"), ("S: 400",))
LATER = HandedOver(Reply.of(451, "4.3.0", "TooManyRequests"), ("S: 429",), is_up=None)
LOST = HandedOver(None, ("(no answer)",), is_up=False)


@dataclass
class Provider:
    """Says what it is told to, one after the other."""

    says: list[HandedOver]
    name: str = "Provider"
    most: int = 2
    got: list[tuple[Envelope, bytes]] = field(default_factory=list)

    async def ready(self) -> None: ...

    async def send(self, envelope: Envelope, raw: bytes) -> HandedOver:
        self.got.append((envelope, raw))
        return self.says.pop(0) if len(self.says) > 1 else self.says[0]

    async def close(self) -> None: ...


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    async with open_post(tmp_path, Host()) as made:
        yield made


def by(post: Post, *says: HandedOver) -> Provider:
    """Let a provider send."""
    provider = Provider(list(says))
    post.handler._provider = provider
    return provider


def waiting(post: Post, sent_id: str) -> tuple[Awaited, list[FirstResult]]:
    """Somebody who waits for this message, and what they wanted written."""
    attempts = FirstAttempts(post.clock, Unusable("", ""))
    post.handler._first_attempts = attempts
    written: list[FirstResult] = []

    def settle(result: FirstResult) -> Unit[None]:
        written.append(result)
        yield from ()

    awaited = attempts._awaited[sent_id] = Awaited(sent_id, settle)
    return awaited, written


async def submitted_together(post: Post, *paths: Mailbox) -> str:
    now = post.clock.now()
    submission = prepare(
        Origin("default", "api"),
        Content(await post.raws.keep(MESSAGE, now), SUPPORT, "<1@desk.example>", "x"),
        reverse_path=Mailbox("bounces", "desk.example"),
        forward_paths=paths,
        ids=post.ids,
        now=now,
        together=2,
    )
    await post.store.transaction(lambda: submit(submission, "thread_1"))
    return submission.sent.id


async def test_what_is_taken_is_known_under_both_ids(post: Post) -> None:
    provider = by(post, OK)
    sent_id = await post.submit()
    awaited, written = waiting(post, sent_id)
    await post.attempt()
    assert (await post.delivery(sent_id)).status is DeliveryStatus.DELIVERED
    assert (awaited.told.result(), written) == (TAKEN, [TAKEN])
    [attempt] = await post.attempts(sent_id)
    assert (attempt["provider_id"], attempt["message_id"]) == (TAKEN.provider_id, TAKEN.message_id)
    for message_id in ("<1@desk.example>", TAKEN.message_id):
        named = [message_id]
        assert await post.store.read(lambda named=named: sent.is_ours("default", named[0]))  # type: ignore[misc]
        found = await post.store.read(
            lambda named=named: threads.find("default", references=named, in_reply_to=())  # type: ignore[misc]
        )
        assert found == "thread_1"
    assert not await post.store.read(lambda: sent.is_ours("other", TAKEN.message_id))
    assert provider.got[0][1] == MESSAGE


async def test_a_null_reverse_path_becomes_one_that_nothing_answers(post: Post) -> None:
    provider = by(post, OK)
    await post.submit()
    await post.attempt()
    assert provider.got[0][0].reverse_path == Mailbox("bounces", "desk.example")


async def test_what_is_refused_for_good_has_failed(post: Post) -> None:
    by(post, NEVER)
    sent_id = await post.submit(ALICE, BOB)
    awaited, written = waiting(post, sent_id)
    await post.attempt()
    assert {each.status for each in await post.deliveries(sent_id)} == {DeliveryStatus.BOUNCED}
    kinds = [event.kind for event in await post.events(sent_id)]
    assert kinds[1:] == [EventKind.ATTEMPTED, EventKind.FAILED, EventKind.FAILED]
    refused = Refused("554 5.3.0 MessageRejected: no")
    assert (awaited.told.result(), written) == (refused, [refused])


@pytest.mark.parametrize("first", [LATER, LOST], ids=["throttled", "no answer"])
async def test_what_is_not_taken_now_is_told_and_tried_again(post: Post, first: HandedOver) -> None:
    by(post, first, OK)
    sent_id = await post.submit()
    awaited, _ = waiting(post, sent_id)
    await post.attempt()
    assert awaited.told.result() is None
    delivery = await post.delivery(sent_id)
    assert (delivery.status, delivery.uncertain) == (DeliveryStatus.DEFERRED, first is LOST)
    await post.clock.advance(61)
    await post.attempt()
    assert (await post.delivery(sent_id)).status is DeliveryStatus.DELIVERED
    assert [each.get("repeats_uncertain") for each in await post.attempts(sent_id)] == [
        None,
        True if first is LOST else None,
    ]


async def test_who_waits_is_not_left_when_the_store_cannot_write(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    by(post, OK)
    sent_id = await post.submit()
    awaited, _ = waiting(post, sent_id)
    [job] = await post.claim()

    async def fails(make: object) -> None:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(post.store, "transaction", fails)
    await post.handler.handle(job)
    assert awaited.told.result() is None


async def test_recipients_of_all_domains_go_together_as_many_as_it_takes(post: Post) -> None:
    provider = by(post, OK)
    paths = [ALICE, Mailbox("ben", "d.example"), Mailbox("carl", "e.example")]
    sent_id = await submitted_together(post, *paths)
    assert await post.attempt() == 2
    assert [each.forward_paths for each, _ in provider.got] == [tuple(paths[:2]), tuple(paths[2:])]
    assert {each.status for each in await post.deliveries(sent_id)} == {DeliveryStatus.DELIVERED}


async def test_what_was_queued_for_a_provider_leaves_without_it(tmp_path: Path) -> None:
    host = Host()
    async with open_post(tmp_path, host) as post:
        await submitted_together(post, ALICE, Mailbox("ben", "d.example"))
        assert await post.attempt() == 1
        parts = await post.claim()
        assert sorted(json.loads(job.payload)["domain"] for job in parts) == ["c.example", "d.example"]
        assert all(job.lane.endswith(json.loads(job.payload)["domain"]) for job in parts)
        handler: DeliverHandler = post.handler
        for job in parts:
            await handler.handle(job)
        assert [each[1:] for each in host.envelopes] == [["RCPT TO:<alice@c.example>"]]
