# SPDX-License-Identifier: Apache-2.0
"""Answering through the API: what is sent, what is refused, and how often."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast

import pytest

from rejoinder.clock.manual import ManualClock
from rejoinder.errors import (
    HeaderInjection,
    HeaderReserved,
    MessageError,
    MessageTooLarge,
    QuotaExceeded,
    RecipientMissing,
    RejoinderError,
    ReplyBudget,
    ReplyToAutomaticMail,
    SenderDomainForbidden,
    SendNotStored,
    StoreError,
)
from rejoinder.message.address import Address, Mailbox
from rejoinder.message.compose import Attached
from rejoinder.message.parse import ParsedMessage, parse
from rejoinder.replies.answer import Answer
from rejoinder.replies.request import ReplyRequest
from rejoinder.replies.settings import QuotaSettings, RepliesSettings
from rejoinder.store import events, jobs, threads
from rejoinder.store.records import DeliveryStatus, EventKind
from rejoinder.store.settings import StoreSettings
from rejoinder.store.sqlite import SqliteStore
from rejoinder.store.unit import Store, Unit
from tests.store.samples import NOW
from tests.unit.replies.desk import FROM, HELLO, MAIL, Desk, opened

pytestmark = pytest.mark.anyio
T = TypeVar("T")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened(tmp_path) as made:
        yield made


def to(*addresses: str) -> tuple[Address, ...]:
    return tuple(Address("", Mailbox(*address.split("@"))) for address in addresses)


# --- what is sent --------------------------------------------------------------------------------------


async def test_an_answer_is_queued_to_the_author_in_the_thread_of_the_mail(desk: Desk) -> None:
    email_id = await desk.receive()
    answer = await desk.reply(email_id)
    row, deliveries, raw = await desk.sent(answer)
    email = await desk.email(email_id)
    assert (row.email_id, row.thread_id, row.policy, row.run_id) == (email_id, email.thread_id, "api", None)
    assert [(each.forward_path, each.status) for each in deliveries] == [
        ("ann@customer.example", DeliveryStatus.QUEUED)
    ]
    assert row.reverse_path == "bounces@desk.example"
    headers = parse(raw).headers
    assert headers.get("Message-ID") == row.message_id == f"<{answer.sent.message_id}>"
    assert headers.get("In-Reply-To") == "<1@customer.example>"
    assert headers.get("References") == "<0@customer.example> <1@customer.example>"
    assert headers.get("Subject") == row.subject == "Re: The printer"
    assert headers.get("Auto-Submitted") is None
    assert (answer.replayed, answer.differing) == (False, ())
    assert answer.sent.replied_to_email_id == email_id
    assert answer.sent.replied_to_thread_id == email.thread_id
    assert not answer.sent.is_thread_reply


async def test_the_message_id_is_26_characters_at_the_domain_of_from(desk: Desk) -> None:
    answer = await desk.reply(await desk.receive())
    left, _, right = answer.sent.message_id.partition("@")
    assert (len(left), right) == (26, "desk.example")


async def test_the_answer_is_a_job_an_event_and_a_member_of_its_thread(desk: Desk) -> None:
    email_id = await desk.receive()
    answer = await desk.reply(email_id)
    [job] = await desk.store.transaction(lambda: jobs.claim(["deliver"], "me", 10, 30.0, {"deliver": 10}))
    assert (job.lane, job.subject_id) == ("deliver:customer.example", answer.sent.id)
    [event] = await desk.store.read(lambda: events.of_sent("default", answer.sent.id))
    assert (event.kind, event.email_id) == (EventKind.QUEUED, email_id)
    members = await desk.store.read(lambda: threads.members("default", answer.sent.replied_to_thread_id))
    assert {owner_id for owner_id, _ in members} == {email_id, answer.sent.id}


async def test_copies_get_the_mail_and_blind_ones_stand_in_no_field(desk: Desk) -> None:
    request = replace(HELLO, reply_all=True, bcc=to("eve@spy.example", "ann@customer.example"))
    _, deliveries, raw = await desk.sent(await desk.reply(await desk.receive(), request))
    assert [each.forward_path for each in deliveries] == [
        "ann@customer.example",
        "ben@customer.example",
        "carl@customer.example",
        "eve@spy.example",
    ]
    assert b"spy.example" not in raw
    assert b"Bcc" not in raw
    headers = parse(raw).headers
    assert headers.get("To") == "Ann Example <ann@customer.example>"
    assert headers.get("Cc") == "ben@customer.example, carl@customer.example"


async def test_two_destinations_are_two_jobs(desk: Desk) -> None:
    request = replace(HELLO, to=to("a@a.example", "b@a.example", "c@c.example"))
    await desk.reply(await desk.receive(), request)
    claimed = await desk.store.transaction(lambda: jobs.claim(["deliver"], "me", 10, 30.0, {"deliver": 10}))
    assert sorted(job.lane for job in claimed) == ["deliver:a.example", "deliver:c.example"]


async def test_an_answer_to_a_sent_mail_follows_it(desk: Desk) -> None:
    first = await desk.reply(await desk.receive())
    second = await desk.reply(first.sent.id)
    row, deliveries, raw = await desk.sent(second)
    assert [each.forward_path for each in deliveries] == ["ann@customer.example"]
    assert (row.email_id, row.thread_id) == (None, first.sent.replied_to_thread_id)
    assert parse(raw).headers.get("In-Reply-To") == f"<{first.sent.message_id}>"
    assert second.sent.replied_to_email_id == first.sent.id


async def test_a_thread_is_answered_at_its_latest_received_mail(desk: Desk) -> None:
    first = await desk.receive()
    await desk.clock.advance(1)
    second = await desk.receive(MAIL.replace("<1@", "<2@").replace("<0@", "<1@").replace("ann@", "zoe@"))
    await desk.clock.advance(1)
    await desk.reply(first)
    thread_id = (await desk.email(second)).thread_id
    assert thread_id == (await desk.email(first)).thread_id
    answer = await desk.reply(thread_id)
    assert (answer.sent.replied_to_email_id, answer.sent.is_thread_reply) == (second, True)
    _, deliveries, _ = await desk.sent(answer)
    assert [each.forward_path for each in deliveries] == ["zoe@customer.example"]


async def test_what_came_to_the_return_path_is_not_the_latest_of_a_thread(desk: Desk) -> None:
    first = await desk.receive()
    await desk.clock.advance(1)
    await desk.receive(MAIL.replace("<1@", "<2@").replace("<0@", "<1@"), mark="return-path")
    assert (await desk.find((await desk.email(first)).thread_id)).id == first


@pytest.mark.parametrize(
    "field",
    [
        "Auto-Submitted: auto-replied",
        "Content-Type: multipart/report; report-type=delivery-status",
        "X-Autoreply: 1",
    ],
)
async def test_what_a_program_answered_is_not_the_latest_of_a_thread(desk: Desk, field: str) -> None:
    first = await desk.receive()
    await desk.clock.advance(1)
    again = MAIL.replace("<1@", "<2@").replace("<0@", "<1@")
    automatic = await desk.receive(f"{field}\r\n{again}")
    await desk.clock.advance(1)
    await desk.receive(again.replace("<2@", "<3@"), reverse_path=None)
    assert (await desk.find((await desk.email(first)).thread_id)).id == first
    assert (await desk.find(automatic)).id == automatic


async def test_a_thread_without_received_mail_to_answer_is_answered_at_its_latest_sent(desk: Desk) -> None:
    first = await desk.reply(await desk.receive(mark="return-path"))
    await desk.clock.advance(1)
    latest = await desk.reply(first.sent.id)
    answer = await desk.reply(first.sent.replied_to_thread_id)
    assert (answer.sent.replied_to_email_id, answer.sent.is_thread_reply) == (latest.sent.id, True)


@pytest.mark.parametrize(
    "asked",
    [
        "email_abc123",
        "email_" + "0" * 26,
        "sent_" + "0" * 26,
        "thread_" + "0" * 26,
        "run_" + "0" * 26,
        "",
        "x",
    ],
)
async def test_an_id_that_names_no_mail_finds_none(desk: Desk, asked: str) -> None:
    assert await desk.answering.find("default", asked) is None


async def test_mail_of_another_account_is_not_found(desk: Desk) -> None:
    email_id = await desk.receive()
    answer = await desk.reply(email_id)
    for asked in (email_id, answer.sent.id, answer.sent.replied_to_thread_id):
        assert await desk.answering.find("default", asked) is not None
        assert await desk.answering.find("other", asked) is None


async def test_tags_are_kept_with_the_message(desk: Desk) -> None:
    request = replace(HELLO, tags=(("category", "support"), ("größe", "10")))
    row, _, raw = await desk.sent(await desk.reply(await desk.receive(), request))
    assert row.tags == '[["category", "support"], ["gr\\u00f6\\u00dfe", "10"]]'
    assert b"category" not in raw


async def test_a_large_answer_to_a_large_mail_is_built_the_same(desk: Desk) -> None:
    large = "line\r\n" * 30_000
    email_id = await desk.receive(MAIL + large)
    request = replace(HELLO, attachments=(Attached("a.bin", "application/octet-stream", b"\0" * 100_000),))
    _, _, raw = await desk.sent(await desk.reply(email_id, request))
    message = parse(raw)
    assert (message.text or "").startswith("Use water.\n\nOn Thu, 01 Jan 2026 09:00:00 +0100, Ann Example")
    assert (message.text or "").count("\n> line") == 30_000
    assert [each.content for each in message.attachments] == [b"\0" * 100_000]


async def test_large_answers_are_built_by_threads_of_their_own(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = set()

    def noted(content: bytes) -> ParsedMessage:
        names.add(threading.current_thread().name)
        return parse(content)

    monkeypatch.setattr("rejoinder.replies.answer.parsed", noted)
    email_id = await desk.receive(MAIL + "line\r\n" * 30_000)
    await asyncio.gather(*(desk.reply(email_id) for _ in range(6)))
    assert names <= {"compose_0", "compose_1"}
    assert names


# --- what is refused -----------------------------------------------------------------------------------


async def refusal(
    desk: Desk, kind: type[RejoinderError], request: ReplyRequest = HELLO, content: str = MAIL
) -> RejoinderError:
    email_id = await desk.receive(content)
    with pytest.raises(kind) as refused:
        await desk.reply(email_id, request, key="k")
    assert await desk.sent_count() == 0
    return refused.value


@pytest.mark.parametrize("domain", ["elsewhere.example", "other.example", "sub.desk.example", "[192.0.2.1]"])
async def test_a_domain_that_is_not_the_accounts_may_not_send(desk: Desk, domain: str) -> None:
    request = replace(HELLO, from_=Address("", Mailbox("me", domain)))
    refused = await refusal(desk, SenderDomainForbidden, request)
    assert refused.text == f"You don't have permission to send from domain: {domain}"
    assert (refused.http_status, refused.field) == (403, "from")


async def test_the_case_of_our_domain_does_not_matter(desk: Desk) -> None:
    request = replace(HELLO, from_=Address("", Mailbox("me", "DESK.example")))
    row, _, _ = await desk.sent(await desk.reply(await desk.receive(), request))
    assert row.reverse_path == "bounces@desk.example"


async def test_a_mail_that_names_nobody_is_refused_before_the_domain_is_looked_at(desk: Desk) -> None:
    request = replace(HELLO, from_=Address("", Mailbox("me", "elsewhere.example")))
    await refusal(desk, RecipientMissing, request, "Subject: x\r\n\r\n")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (replace(HELLO, subject="a\r\nBcc: eve@spy.example"), "subject"),
        (replace(HELLO, headers=(("X-A", "b\nBcc: eve@spy.example"),)), "headers"),
        (replace(HELLO, headers=(("X-A\r\nBcc", "b"),)), "headers"),
        (replace(HELLO, from_=Address("a\nb", FROM.mailbox)), "from"),
        (replace(HELLO, to=(Address("a\rb", Mailbox("a", "b.example")),)), "to"),
        (replace(HELLO, cc=(Address("a\x00b", Mailbox("a", "b.example")),)), "cc"),
        (replace(HELLO, bcc=(Address("a\nb", Mailbox("a", "b.example")),)), "bcc"),
        (replace(HELLO, reply_to=(Address("a\nb", Mailbox("a", "b.example")),)), "reply_to"),
        (replace(HELLO, attachments=(Attached("a\nb", "text/plain", b""),)), "attachments[0]"),
        (replace(HELLO, attachments=(Attached("a", "text/plain\r\nX: y", b""),)), "attachments[0]"),
        (replace(HELLO, attachments=(Attached("a", "text/plain", b"", "c\r\nX: y"),)), "attachments[0]"),
    ],
)
async def test_nothing_can_begin_a_second_field(desk: Desk, request_: ReplyRequest, field: str) -> None:
    refused = await refusal(desk, MessageError, request_)
    assert (refused.http_status, refused.field) == (400, field)
    assert isinstance(refused, HeaderInjection) or field == "attachments[0]"


@pytest.mark.parametrize(
    "name", ["From", "to", "BCC", "Message-ID", "References", "In-Reply-To", "Content-Type", "DKIM-Signature"]
)
async def test_a_field_that_is_ours_cannot_be_given(desk: Desk, name: str) -> None:
    refused = await refusal(desk, HeaderReserved, replace(HELLO, headers=((name, "x"),)))
    assert refused.field == "headers"


AUTOMATIC = {
    "null reverse-path": ({"reverse_path": None}, "", "reply-null-reverse-path"),
    "dsn": ({}, "Content-Type: multipart/report; report-type=delivery-status\r\n", "reply-to-report"),
    "mdn": ({}, "Content-Type: message/disposition-notification\r\n", "reply-to-report"),
    "auto-replied": ({}, "Auto-Submitted: auto-replied (vacation)\r\n", "reply-to-automatic-mail"),
    "ourselves": ({"forward_path": "Ann@customer.example"}, "", "reply-to-ourselves"),
}


@pytest.mark.parametrize(("changed", "fields", "code"), AUTOMATIC.values(), ids=AUTOMATIC)
async def test_what_could_loop_is_refused_unless_the_key_may_answer_anything(
    desk: Desk, changed: dict[str, str | None], fields: str, code: str
) -> None:
    email_id = await desk.receive(fields + MAIL, **changed)
    with pytest.raises(ReplyToAutomaticMail) as refused:
        await desk.reply(email_id, key="k")
    assert (refused.value.http_status, refused.value.code) == (409, "reply-to-automatic-mail")
    assert code in refused.value.codes
    answer = await desk.reply(email_id, key="k", reply_any=True)
    assert not answer.replayed


async def test_our_own_mail_come_back_is_not_answered(desk: Desk) -> None:
    answer = await desk.reply(await desk.receive())
    _, _, raw = await desk.sent(answer)
    with pytest.raises(ReplyToAutomaticMail, match="is one that we made"):
        await desk.reply(await desk.receive(raw))


@pytest.mark.parametrize(
    "fields",
    [
        "List-Id: <x.example>\r\n",
        "Precedence: bulk\r\n",
        "Precedence: auto_reply\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "X-Auto-Response-Suppress: All\r\n",
        "References: " + " ".join(f"<{n}@x.example>" for n in range(150)) + "\r\n",
    ],
)
async def test_lists_bulk_and_generated_mail_are_answered(desk: Desk, fields: str) -> None:
    assert not (await desk.reply(await desk.receive(fields + MAIL, verdict=NO_DMARC))).replayed


NO_DMARC = (
    '{"spf":{"result":"fail","domain":"x"},"dkim":[],"dmarc":{"result":"fail","policy":"reject"},'
    '"organizations":[]}'
)


async def test_a_message_larger_than_may_leave_is_refused(desk: Desk) -> None:
    email_id = await desk.receive()
    with pytest.raises(MessageTooLarge) as refused:
        await desk.reply(email_id, by=desk.made(max_size=300))
    assert (refused.value.http_status, refused.value.code) == (400, "message-too-large")
    assert "outbound.max_size = 300" in refused.value.text


async def test_the_budget_of_a_recipient_lasts_a_day(desk: Desk) -> None:
    by = desk.made(RepliesSettings(api_per_correspondent=2))
    email_id = await desk.receive()
    for _ in range(2):
        await desk.reply(email_id, by=by)
    await desk.reply(email_id, replace(HELLO, to=to("x@x.example")), by=by)
    with pytest.raises(ReplyBudget) as refused:
        await desk.reply(email_id, replace(HELLO, to=to("y@x.example", "ANN@customer.example")), by=by)
    assert "api_per_correspondent = 2" in refused.value.text
    assert (refused.value.http_status, refused.value.headers) == (429, {"x-should-retry": "false"})
    await desk.clock.advance(86_401)
    await desk.reply(email_id, by=by)


async def test_the_budget_of_a_thread_counts_all_recipients(desk: Desk) -> None:
    by = desk.made(RepliesSettings(api_per_thread=2))
    email_id = await desk.receive()
    for name in "ab":
        await desk.reply(email_id, replace(HELLO, to=to(f"{name}@x.example")), by=by)
    with pytest.raises(ReplyBudget, match="api_per_thread = 2"):
        await desk.reply(email_id, replace(HELLO, to=to("c@x.example")), by=by)
    await desk.reply(await desk.receive("From: d@d.example\r\n\r\n"), by=by)


async def test_budgets_of_nothing_set_no_limit(desk: Desk) -> None:
    by = desk.made(RepliesSettings(api_per_thread=0, api_per_correspondent=0))
    email_id = await desk.receive()
    for _ in range(5):
        await desk.reply(email_id, by=by)


@pytest.mark.parametrize(
    ("quota", "rest"), [(QuotaSettings(per_month=2), 31 * 86_400), (QuotaSettings(per_hour=2), 3_600)]
)
async def test_a_quota_ends_with_its_period_and_refused_messages_do_not_count(
    desk: Desk, quota: QuotaSettings, rest: int
) -> None:
    by = desk.made(quota=quota)
    email_id = await desk.receive()
    for _ in range(2):
        await desk.reply(email_id, by=by)
    for _ in range(3):
        with pytest.raises(QuotaExceeded) as refused:
            await desk.reply(email_id, key="k", by=by)
        assert refused.value.text == (
            "Email sending limit reached. Please upgrade your plan to send more emails."
        )
        assert refused.value.headers == {"x-should-retry": "false"}
    await desk.clock.advance(rest)
    assert not (await desk.reply(email_id, key="k", by=by)).replayed


async def test_a_quota_counts_recipients(desk: Desk) -> None:
    by = desk.made(quota=QuotaSettings(per_hour=5))
    email_id = await desk.receive()
    three = replace(HELLO, to=to("a@a.example"), cc=to("b@a.example"), bcc=to("c@c.example"))
    await desk.reply(email_id, three, by=by)
    with pytest.raises(QuotaExceeded) as refused:
        await desk.reply(email_id, three, by=by)
    assert (refused.value.details or "").endswith("it has sent to 3, and this message has 3.")
    await desk.reply(email_id, replace(three, bcc=()), by=by)


def files_of(folder: Path) -> list[Path]:
    return list((folder / "raw").glob("*/*"))


async def test_a_large_answer_that_is_refused_leaves_no_file(desk: Desk, tmp_path: Path) -> None:
    large = replace(HELLO, text="large " * 200_000)
    email_id = await desk.receive()
    quota = desk.made(quota=QuotaSettings(per_hour=1))
    await desk.reply(email_id, large, by=quota)
    kept = files_of(tmp_path)
    assert len(kept) == 1
    with pytest.raises(QuotaExceeded):
        await desk.reply(email_id, large, by=quota)
    with pytest.raises(ReplyBudget):
        await desk.reply(email_id, large, by=desk.made(RepliesSettings(api_per_thread=1)))
    dying = Dying(desk.store)
    dying.left = 3
    with pytest.raises(SendNotStored):
        await desk.reply(email_id, large, by=desk.made(store=dying))
    assert files_of(tmp_path) == kept


async def test_of_large_answers_under_one_key_one_leaves_a_file(desk: Desk, tmp_path: Path) -> None:
    large = replace(HELLO, text="large " * 200_000)
    email_id = await desk.receive()
    others = [desk.made() for _ in range(4)]
    answers = await asyncio.gather(*(desk.reply(email_id, large, key="k", by=by) for by in others))
    assert sum(answer.replayed for answer in answers) == 3
    assert len(files_of(tmp_path)) == 1


async def test_many_at_once_do_not_exceed_the_quota(desk: Desk) -> None:
    by = desk.made(quota=QuotaSettings(per_hour=5))
    email_id = await desk.receive()
    results = await asyncio.gather(*(desk.reply(email_id, by=by) for _ in range(12)), return_exceptions=True)
    assert sum(isinstance(each, Answer) for each in results) == 5
    assert await desk.sent_count() == 5


# --- how often -----------------------------------------------------------------------------------------


async def test_the_same_key_sends_once_and_gets_the_whole_answer_again(desk: Desk) -> None:
    email_id = await desk.receive()
    first = await desk.reply(email_id, key="k")
    again = await desk.reply(email_id, key="k")
    assert (again.sent, again.replayed, again.differing) == (first.sent, True, ())
    assert await desk.sent_count() == 1


async def test_another_body_under_the_same_key_gets_the_answer_of_the_first(desk: Desk) -> None:
    email_id = await desk.receive()
    first = await desk.reply(email_id, key="k")
    again = await desk.reply(email_id, replace(HELLO, text="Another", cc=to("a@b.example")), key="k")
    assert (again.sent, again.differing) == (first.sent, ("cc", "text"))
    assert await desk.sent_count() == 1


async def test_a_repeat_is_answered_whatever_would_refuse_it_now(desk: Desk) -> None:
    email_id = await desk.receive()
    quota = desk.made(quota=QuotaSettings(per_hour=1))
    first = await desk.reply(email_id, key="k", by=quota)
    foreign = replace(HELLO, from_=Address("", Mailbox("me", "elsewhere.example")))
    assert (await desk.reply(email_id, foreign, key="k", by=quota)).sent == first.sent


async def test_a_key_used_for_another_mail_is_another_request(desk: Desk) -> None:
    one, other = await desk.receive(), await desk.receive(MAIL.replace("<1@", "<2@"))
    assert (await desk.reply(one, key="k")).sent.id != (await desk.reply(other, key="k")).sent.id


async def test_a_key_expires_after_a_day(desk: Desk) -> None:
    email_id = await desk.receive()
    first = await desk.reply(email_id, key="k")
    await desk.clock.advance(86_400)
    assert (await desk.reply(email_id, key="k")).sent == first.sent
    await desk.clock.advance(1)
    assert (await desk.reply(email_id, key="k")).sent != first.sent


async def test_without_a_key_each_request_sends(desk: Desk) -> None:
    email_id = await desk.receive()
    await asyncio.gather(*(desk.reply(email_id) for _ in range(3)))
    assert await desk.sent_count() == 3


async def test_a_request_that_was_refused_leaves_its_key_free(desk: Desk) -> None:
    email_id = await desk.receive()
    with pytest.raises(MessageTooLarge):
        await desk.reply(email_id, key="k", by=desk.made(max_size=10))
    assert not (await desk.reply(email_id, key="k")).replayed


async def test_fifty_equal_requests_at_once_under_each_of_twenty_keys_send_twenty_mails(desk: Desk) -> None:
    email_id = await desk.receive()
    keys = [f"key{number}" for number in range(20)]
    answers = await asyncio.gather(*(desk.reply(email_id, key=key) for _ in range(50) for key in keys))
    assert await desk.sent_count() == 20
    assert len({answer.sent for answer in answers}) == 20
    assert sum(not answer.replayed for answer in answers) == 20


async def test_of_several_processes_one_sends_and_the_others_give_its_answer(
    desk: Desk, tmp_path: Path
) -> None:
    # Another opening of the store knows nothing of the turns of the first, as another process would.
    email_id = await desk.receive()
    store = await SqliteStore.open(StoreSettings(data_dir=tmp_path), desk.clock)
    try:
        others = [desk.made(store=each) for each in (desk.store, store, desk.store, store)]
        for number in range(5):
            answers = await asyncio.gather(*(desk.reply(email_id, key=f"k{number}", by=by) for by in others))
            assert len({answer.sent for answer in answers}) == 1
    finally:
        await store.close()
    assert await desk.sent_count() == 5


class Dying(Store):
    """A store whose process dies after so many statements of a transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.left = 0

    async def transaction(self, make: Callable[[], Unit[T]]) -> T:
        return await self._store.transaction(lambda: self._until_death(make()))

    async def read(self, make: Callable[[], Unit[T]]) -> T:
        return await self._store.read(make)

    def on_jobs(self, wake: Callable[[], None]) -> Callable[[], None]:
        return self._store.on_jobs(wake)

    def _until_death(self, unit: Unit[T]) -> Unit[T]:
        statement = next(unit)
        try:
            for _ in range(self.left):
                statement = unit.send((yield statement))
        except StopIteration as end:
            return cast("T", end.value)
        raise StoreError("killed")


async def test_whatever_statement_it_dies_after_a_repeated_request_sends_once(desk: Desk) -> None:
    store = Dying(desk.store)
    by = desk.made(store=store)
    email_id = await desk.receive()
    deaths = 0
    for store.left in itertools.count():
        try:
            await desk.reply(email_id, key="k", by=by)
        except SendNotStored:
            deaths += 1
            assert await desk.sent_count() == 0
        else:
            break
    assert deaths > 10
    assert (await desk.reply(email_id, key="k")).replayed
    assert await desk.sent_count() == 1


async def test_when_the_store_cannot_keep_it_nothing_is_sent_and_the_client_may_ask_again(
    desk: Desk, tmp_path: Path
) -> None:
    email_id = await desk.receive()
    answered = await desk.find(email_id)
    broken = await SqliteStore.open(StoreSettings(data_dir=tmp_path), ManualClock())
    by = desk.made(store=broken)
    broken._writes.close()
    with pytest.raises(SendNotStored) as refused:
        await by.reply(answered, HELLO, reply_any=False)
    await broken.close()
    assert refused.value.text == "Failed to send reply. Please try again later."
    assert (refused.value.http_status, refused.value.headers) == (500, {"x-should-retry": "true"})
    assert await desk.sent_count() == 0
    assert desk.clock.now() == NOW


async def test_when_a_large_message_cannot_be_written_nothing_is_sent(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"where the folder should be")
    request = replace(HELLO, attachments=(Attached("a.bin", "application/octet-stream", b"\0" * (1 << 20)),))
    with pytest.raises(SendNotStored):
        await desk.reply(await desk.receive(), request, key="k")
    assert await desk.sent_count() == 0
    (tmp_path / "raw").unlink()
    row, _, _ = await desk.sent(await desk.reply(await desk.receive(), request, key="k"))
    assert row.raw_size > 1 << 20
