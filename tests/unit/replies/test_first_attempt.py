# SPDX-License-Identifier: Apache-2.0
"""A request that waits for the first attempt at what it submitted, on a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from rejoinder.errors import QuotaExceeded, SendFailed, SendingNotConfigured
from rejoinder.message.address import Address, Mailbox
from rejoinder.outbound.provider import Unusable
from rejoinder.replies.answer import Answer, Answering
from rejoinder.replies.first_attempt import PATIENCE, Awaited, FirstAttempts, FirstResult, Refused, Taken
from rejoinder.replies.request import ReplyRequest
from rejoinder.replies.settings import QuotaSettings, RepliesSettings
from tests.unit.replies.desk import DOMAINS, FROM, HELLO, Desk, opened

pytestmark = pytest.mark.anyio

TAKEN = Taken("0100-1", "<0100-1@email.amazonses.com>")


class Ready:
    """A provider that can be used."""

    most = 2

    async def ready(self) -> None: ...


class Waiting:
    """A desk whose answers a provider sends."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.attempts = FirstAttempts(desk.clock, Ready())
        self.answering = self.by(self.attempts)

    def by(self, attempts: FirstAttempts, quota: QuotaSettings | None = None) -> Answering:
        return Answering(
            store=self.desk.store,
            raw_store=self.desk.raw_store,
            account_of=DOMAINS.get,
            clock=self.desk.clock,
            ids=self.desk._ids,
            settings=RepliesSettings(),
            quota=quota or QuotaSettings(),
            max_size=50 << 20,
            first_attempts=attempts,
        )

    async def begun(
        self, asked: str, request: ReplyRequest = HELLO, key: str = "k"
    ) -> tuple[asyncio.Task[Answer], str]:
        """An answer that is being waited for, and the id of its message."""
        task = asyncio.create_task(self.desk.reply(asked, request, key=key, by=self.answering))
        async with asyncio.timeout(10):
            while not self.desk.clock.sleepers:
                await self.desk.sent_count()
                assert not task.done(), task
        [sent_id] = self.attempts._awaited
        return task, sent_id

    async def attempted(self, sent_id: str, result: FirstResult) -> None:
        """What the queue does with the result of an attempt."""
        awaited = self.claimed(sent_id)
        await self.desk.store.transaction(lambda: awaited.settle(result))
        awaited.tell(result)

    def claimed(self, sent_id: str) -> Awaited:
        awaited = self.attempts.claim(sent_id)
        assert awaited is not None
        return awaited


@pytest.fixture
async def waiting(tmp_path: Path) -> AsyncIterator[Waiting]:
    async with opened(tmp_path) as desk:
        yield Waiting(desk)


async def test_what_the_provider_took_is_answered_and_kept(waiting: Waiting) -> None:
    asked = await waiting.desk.receive()
    task, sent_id = await waiting.begun(asked)
    await waiting.attempted(sent_id, TAKEN)
    answer = await task
    assert answer.sent.aws_message_id == "0100-1"
    assert answer.sent.message_id == "0100-1@email.amazonses.com"
    again = await waiting.desk.reply(asked, key="k", by=waiting.answering)
    assert (again.sent, again.replayed) == (answer.sent, True)
    assert await waiting.desk.sent_count() == 1


async def test_a_refusal_for_good_leaves_nothing_under_the_key(waiting: Waiting) -> None:
    asked = await waiting.desk.receive()
    task, sent_id = await waiting.begun(asked)
    await waiting.attempted(sent_id, Refused("554 5.3.0 MessageRejected: no"))
    with pytest.raises(SendFailed) as raised:
        await task
    assert raised.value.details == "554 5.3.0 MessageRejected: no"
    task, sent_id = await waiting.begun(asked)
    await waiting.attempted(sent_id, TAKEN)
    assert not (await task).replayed


async def test_what_was_refused_for_good_takes_nothing_of_the_quota(waiting: Waiting) -> None:
    waiting.answering = waiting.by(waiting.attempts, QuotaSettings(per_month=1, per_hour=1))
    asked = await waiting.desk.receive()
    for result in (Refused("554 5.3.0 no"), TAKEN):
        task, sent_id = await waiting.begun(asked)
        await waiting.attempted(sent_id, result)
        with suppress(SendFailed):
            await task
    with pytest.raises(QuotaExceeded):
        await waiting.desk.reply(asked, by=waiting.answering)


async def test_what_is_tried_again_later_is_answered_at_once(waiting: Waiting) -> None:
    asked = await waiting.desk.receive()
    task, sent_id = await waiting.begun(asked)
    await waiting.attempted(sent_id, None)
    answer = await task
    assert answer.sent.aws_message_id is None
    assert answer.sent.message_id.endswith("@desk.example")


async def test_nobody_waits_longer_than_five_seconds(waiting: Waiting) -> None:
    asked = await waiting.desk.receive()
    task, sent_id = await waiting.begun(asked)
    await waiting.desk.clock.advance(PATIENCE - 0.1)
    assert not task.done()
    await waiting.desk.clock.advance(0.2)
    answer = await task
    assert answer.sent.aws_message_id is None
    # The attempt that ends now changes nothing in what was answered.
    assert waiting.attempts.claim(sent_id) is None
    assert (await waiting.desk.reply(asked, key="k", by=waiting.answering)).sent == answer.sent


async def test_who_is_claimed_in_the_last_moment_gets_what_is_kept(waiting: Waiting) -> None:
    asked = await waiting.desk.receive()
    task, sent_id = await waiting.begun(asked)
    await waiting.desk.clock.advance(PATIENCE - 0.1)
    awaited = waiting.claimed(sent_id)
    await waiting.desk.clock.advance(1)
    assert not task.done()
    await waiting.desk.store.transaction(lambda: awaited.settle(TAKEN))
    awaited.tell(TAKEN)
    assert (await task).sent.aws_message_id == "0100-1"


async def test_a_message_in_several_parts_is_not_waited_for(waiting: Waiting) -> None:
    to = tuple(Address("", Mailbox(name, "customer.example")) for name in ("a", "b", "c"))
    answer = await waiting.desk.reply(
        await waiting.desk.receive(), ReplyRequest(FROM, to=to, text="Hello."), by=waiting.answering
    )
    assert answer.sent.aws_message_id is None


async def test_who_stops_waiting_is_forgotten(waiting: Waiting) -> None:
    task, _ = await waiting.begun(await waiting.desk.receive())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert waiting.attempts._awaited == {}


async def test_a_provider_that_cannot_be_used_is_given_nothing(waiting: Waiting) -> None:
    by = waiting.by(FirstAttempts(waiting.desk.clock, Unusable("Amazon SES", "there is no key")))
    asked = await waiting.desk.receive()
    with pytest.raises(SendingNotConfigured):
        await waiting.desk.reply(asked, key="k", by=by)
    assert await waiting.desk.sent_count() == 0
