# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from rejoinder.store import emails, events, keys, raws, runs, secrets, seen, sent, threads
from rejoinder.store.records import DeliveryStatus, EmailStatus, Event, EventKind, Raw, RunState, Sent
from rejoinder.store.unit import Store, Unit
from tests.store.samples import DELIVERY, EFFECT, EMAIL, EVENT, KEY, NOW, RAW, RUN, SEEN, SENT

pytestmark = pytest.mark.anyio

DAY: Final = 86_400_000_000


def conversation() -> Unit[None]:
    yield from raws.insert(RAW)
    yield from emails.insert(EMAIL)
    yield from runs.insert(RUN)
    yield from sent.insert(SENT, [DELIVERY])
    yield from runs.insert_effect(EFFECT)


class TestRaws:
    @pytest.mark.parametrize(
        "raw", [RAW, replace(RAW, content=None, location="1/raw_1"), replace(RAW, content=b"")]
    )
    async def test_a_raw_message_comes_back_as_it_was(self, store: Store, raw: Raw) -> None:
        await store.transaction(lambda: raws.insert(raw))
        assert await store.read(lambda: raws.get("raw_1")) == raw

    async def test_an_unknown_one_is_none(self, store: Store) -> None:
        assert await store.read(lambda: raws.get("raw_9")) is None


class TestEmails:
    async def test_a_mail_comes_back_as_it_was(self, store: Store) -> None:
        await store.transaction(conversation)
        assert await store.read(lambda: emails.get("default", "email_1")) == EMAIL

    async def test_every_field_that_may_be_missing_may_be(self, store: Store) -> None:
        bare = replace(
            EMAIL,
            reverse_path=None,
            mark=None,
            route=None,
            message_id=None,
            subject=None,
            author=None,
            event_key_stable=False,
        )
        await store.transaction(lambda: raws.insert(RAW))
        await store.transaction(lambda: emails.insert(bare))
        assert await store.read(lambda: emails.get("default", "email_1")) == bare

    async def test_another_accounts_mail_is_none(self, store: Store) -> None:
        await store.transaction(conversation)
        assert await store.read(lambda: emails.get("other", "email_1")) is None

    async def test_its_status_can_change(self, store: Store) -> None:
        await store.transaction(conversation)
        await store.transaction(lambda: emails.set_status("email_1", EmailStatus.HANDLED))
        found = await store.read(lambda: emails.get("default", "email_1"))
        assert found == replace(EMAIL, status=EmailStatus.HANDLED)

    async def test_a_listing_has_the_newest_first_in_pages_with_the_total(self, store: Store) -> None:
        def some() -> Unit[None]:
            yield from raws.insert(RAW)
            for n in range(5):
                yield from emails.insert(replace(EMAIL, id=f"email_{n}", received_at=NOW + n // 2))
            yield from emails.insert(replace(EMAIL, id="email_x", account="other"))

        await store.transaction(some)
        page, total = await store.read(lambda: emails.listing("default", 2, 1, None))
        assert ([email.id for email in page], total) == (["email_3", "email_2"], 5)
        page, total = await store.read(lambda: emails.listing("default", 9, 0, NOW + 1))
        assert ([email.id for email in page], total) == (["email_4", "email_3", "email_2"], 3)


class TestSeen:
    async def test_the_first_answer_is_recorded_and_the_next_delivery_gets_it(self, store: Store) -> None:
        again = replace(SEEN, email_id="email_2", reply_code=550, at=NOW + 1)
        assert await store.transaction(lambda: seen.remember(SEEN, NOW - DAY)) is None
        assert await store.transaction(lambda: seen.remember(again, NOW + 1 - DAY)) == SEEN
        assert await store.read(lambda: seen.find("default", "k1", NOW - DAY)) == SEEN

    async def test_an_answer_at_the_horizon_still_counts_and_one_before_it_does_not(
        self, store: Store
    ) -> None:
        later = replace(SEEN, email_id="email_2", at=NOW + DAY)
        await store.transaction(lambda: seen.remember(SEEN, NOW))
        assert await store.transaction(lambda: seen.remember(later, NOW)) == SEEN
        assert await store.transaction(lambda: seen.remember(later, NOW + 1)) is None
        assert await store.read(lambda: seen.find("default", "k1", NOW + 1)) == later

    async def test_answers_older_than_the_horizon_are_forgotten_a_few_at_a_time(self, store: Store) -> None:
        for n in range(5):
            aged = replace(SEEN, event_key=f"k{n}", at=NOW + n)
            await store.transaction(lambda aged=aged: seen.remember(aged, NOW))  # type: ignore[misc]
        forgotten = [await store.transaction(lambda: seen.forget(NOW + 3, 2)) for _ in range(3)]
        assert forgotten == [2, 1, 0]
        found = [await store.read(lambda n=n: seen.find("default", f"k{n}", NOW)) for n in range(5)]  # type: ignore[misc]
        assert [each is not None for each in found] == [False, False, False, True, True]

    async def test_accounts_do_not_share_answers(self, store: Store) -> None:
        await store.transaction(lambda: seen.remember(SEEN, NOW))
        assert await store.transaction(lambda: seen.remember(replace(SEEN, account="other"), NOW)) is None


class TestThreads:
    async def place(
        self, store: Store, references: list[str], in_reply_to: list[str], account: str = "default"
    ) -> str:
        new_id = "thread_new" if account == "default" else f"thread_{account}"
        return await store.transaction(
            lambda: threads.place(
                account, references=references, in_reply_to=in_reply_to, new_id=new_id, now=NOW
            )
        )

    async def named(self, store: Store) -> None:
        def two_threads() -> Unit[None]:
            yield from threads.name("default", "<a@x>", "email_1", "thread_1", NOW)
            yield from threads.name("default", "<b@x>", "sent_1", "thread_1", NOW + 2)
            yield from threads.name("default", "<c@x>", "email_2", "thread_2", NOW + 1)
            yield from threads.name("default", None, "email_3", "thread_2", NOW + 3)

        await store.transaction(two_threads)

    async def test_the_newest_mail_of_ours_in_references_decides(self, store: Store) -> None:
        await self.named(store)
        assert await self.place(store, ["<b@x>", "<c@x>"], []) == "thread_1"
        assert await self.place(store, ["<a@x>", "<c@x>", "<?@x>"], ["<b@x>"]) == "thread_2"

    async def test_in_reply_to_decides_when_references_name_nothing_of_ours(self, store: Store) -> None:
        await self.named(store)
        assert await self.place(store, ["<?@x>"], ["<c@x>"]) == "thread_2"

    async def test_a_mail_that_names_nothing_of_ours_begins_a_thread(self, store: Store) -> None:
        await self.named(store)
        assert await self.place(store, [], []) == "thread_new"
        assert await self.place(store, ["<a@x>"], ["<c@x>"], account="other") == "thread_other"

    async def test_many_references_are_looked_through(self, store: Store) -> None:
        await self.named(store)
        strangers = [f"<{n}@elsewhere>" for n in range(95)]
        assert await self.place(store, ["<a@x>", *strangers], []) == "thread_1"
        assert await self.place(store, [*strangers, "<c@x>", *strangers[:3]], []) == "thread_2"
        # Only the last hundred count.
        assert await self.place(store, ["<a@x>", *strangers, *strangers], []) == "thread_new"

    async def test_members_are_the_mail_of_the_thread_in_order_with_or_without_an_id(
        self, store: Store
    ) -> None:
        await self.named(store)
        members = await store.read(lambda: threads.members("default", "thread_2"))
        assert members == [("email_2", NOW + 1), ("email_3", NOW + 3)]

    async def test_naming_a_mail_twice_changes_nothing(self, store: Store) -> None:
        await self.named(store)
        await store.transaction(lambda: threads.name("default", "<z@x>", "email_1", "thread_9", NOW + 9))
        assert await self.place(store, ["<z@x>"], []) == "thread_new"
        assert await store.read(lambda: threads.members("default", "thread_9")) == []


class TestRuns:
    async def test_a_run_and_its_effects_come_back_as_they_were(self, store: Store) -> None:
        await store.transaction(conversation)
        assert await store.read(lambda: runs.get("run_1")) == RUN
        assert await store.read(lambda: runs.get("run_9")) is None
        assert await store.read(lambda: runs.of_email("email_1")) == [RUN]
        assert await store.read(lambda: runs.effects("run_1")) == [EFFECT]

    async def test_a_run_is_updated_but_for_what_it_belongs_to(self, store: Store) -> None:
        ended = replace(RUN, state=RunState.DEAD_LETTERED, attempt=3, ended_at=NOW + 5, error="boom", log="x")
        await store.transaction(conversation)
        await store.transaction(lambda: runs.update(replace(ended, email_id="email_9")))
        assert await store.read(lambda: runs.get("run_1")) == ended

    async def test_effects_are_in_the_order_of_their_ordinals(self, store: Store) -> None:
        await store.transaction(conversation)
        third, second = replace(EFFECT, ordinal=3, sent_id=None), replace(EFFECT, ordinal=2)
        for effect in (third, second):
            await store.transaction(lambda e=effect: runs.insert_effect(e))  # type: ignore[misc]
        assert await store.read(lambda: runs.effects("run_1")) == [EFFECT, second, third]


class TestSent:
    async def test_a_sent_message_comes_back_as_it_was(self, store: Store) -> None:
        await store.transaction(conversation)
        assert await store.read(lambda: sent.get("default", "sent_1")) == SENT
        assert await store.read(lambda: sent.get("other", "sent_1")) is None
        assert await store.read(lambda: sent.by_id("sent_1")) == SENT
        assert await store.read(lambda: sent.of_email("email_1")) == [SENT]
        assert await store.read(lambda: sent.deliveries("sent_1")) == [DELIVERY]

    async def test_our_message_ids_are_known_as_ours(self, store: Store) -> None:
        await store.transaction(conversation)
        assert await store.read(lambda: sent.is_ours("default", "<2@desk.example>"))
        assert not await store.read(lambda: sent.is_ours("default", "<1@customer.example>"))
        assert not await store.read(lambda: sent.is_ours("other", "<2@desk.example>"))

    async def test_a_delivery_says_what_became_of_it(self, store: Store) -> None:
        await store.transaction(conversation)
        now = replace(
            DELIVERY,
            status=DeliveryStatus.DEFERRED,
            attempts=1,
            last_reply="451 4.7.1 later",
            uncertain=True,
            updated_at=9,
        )
        await store.transaction(lambda: sent.update_delivery(now))
        assert await store.read(lambda: sent.deliveries("sent_1")) == [now]

    @pytest.mark.parametrize(
        ("policy", "correspondent", "thread_id", "expected"),
        [
            ("worker", None, None, 3),
            ("worker", "bob@x.example", None, 2),
            # A budget is not multiplied by the case of letters.
            ("worker", "Bob@X.example", None, 2),
            ("worker", None, "thread_1", 2),
            ("worker", "bob@x.example", "thread_1", 1),
            ("worker", "carl@x.example", None, 0),
            ("api", "bob@x.example", None, 1),
        ],
    )
    async def test_budgets_count_what_was_sent_since(
        self, store: Store, policy: str, correspondent: str | None, thread_id: str | None, expected: int
    ) -> None:
        def one(number: int, to: list[str], **changes: str) -> Unit[None]:
            message = replace(SENT, id=f"sent_{number}", created_at=NOW + number)
            message = replace(
                message, policy=changes.get("policy", "worker"), thread_id=changes.get("thread", "thread_1")
            )
            yield from sent.insert(
                message, [replace(DELIVERY, sent_id=message.id, forward_path=path) for path in to]
            )

        def some() -> Unit[None]:
            yield from raws.insert(RAW)
            yield from one(0, ["ann@x.example"])
            yield from one(1, ["BOB@x.example", "ann@x.example"])
            yield from one(2, ["bob@x.example"], thread="thread_2")
            yield from one(3, ["bob@x.example"], policy="api")

        await store.transaction(some)
        for since, gone in ((NOW, 0), (NOW + 4, expected)):
            count = await store.read(
                lambda since=since: sent.count_since(  # type: ignore[misc]
                    "default", policy, correspondent=correspondent, thread_id=thread_id, since=since
                )
            )
            assert count == expected - gone

    async def test_an_answer_that_was_sent_by_another_account_counts_for_that_account(
        self, store: Store
    ) -> None:
        other: Sent = replace(SENT, id="sent_2", account="other")
        await store.transaction(conversation)
        await store.transaction(lambda: sent.insert(other, [replace(DELIVERY, sent_id="sent_2")]))
        count = await store.read(
            lambda: sent.count_since(
                "other", "worker", correspondent=DELIVERY.forward_path, thread_id=None, since=NOW
            )
        )
        assert count == 1


class TestEvents:
    async def test_a_mails_events_are_its_own_its_runs_and_its_answers_in_order(self, store: Store) -> None:
        def event(number: int, kind: EventKind, **of: str | None) -> Event:
            ids = {"email_id": None, "sent_id": None, "run_id": None} | of
            # All share one instant: the order is that in which they were written, not that of their ids.
            return Event(f"event_{9 - number}", "default", kind, NOW, **ids, evidence="{}")

        mine = [
            event(1, EventKind.RECEIVED, email_id="email_1"),
            event(2, EventKind.RUN_FINISHED, email_id="email_1", run_id="run_1"),
            event(3, EventKind.QUEUED, sent_id="sent_1"),
            event(4, EventKind.DELIVERED, sent_id="sent_1"),
        ]
        others = [
            event(5, EventKind.RECEIVED, email_id="email_2"),
            event(6, EventKind.QUEUED, sent_id="sent_2"),
        ]

        def some() -> Unit[None]:
            yield from conversation()
            for one in (others[0], *mine, others[1]):
                yield from events.insert(one)

        await store.transaction(some)
        assert await store.read(lambda: events.of_email("default", "email_1")) == mine
        assert await store.read(lambda: events.of_email("other", "email_1")) == []
        assert await store.read(lambda: events.of_sent("default", "sent_1")) == mine[2:]
        assert await store.read(lambda: events.recent("default", 2)) == [others[1], mine[3]]

    async def test_an_event_of_no_mail_is_only_in_what_happened_recently(self, store: Store) -> None:
        deferred = replace(EVENT, kind=EventKind.DEFERRED_IN, email_id=None)
        await store.transaction(lambda: events.insert(deferred))
        assert await store.read(lambda: events.recent("default", 9)) == [deferred]


class TestKeys:
    async def test_a_key_is_found_by_its_hash_and_listed(self, store: Store) -> None:
        second = replace(KEY, id="key_2", sha256="ef" * 32, created_at=NOW + 1)
        for key in (second, KEY):
            await store.transaction(lambda k=key: keys.insert(k))  # type: ignore[misc]
        assert await store.read(lambda: keys.by_hash(KEY.sha256)) == KEY
        assert await store.read(lambda: keys.by_hash("00" * 32)) is None
        assert await store.read(lambda: keys.listing("default")) == [KEY, second]
        assert await store.read(lambda: keys.listing("other")) == []

    async def test_a_revoked_key_keeps_its_first_instant(self, store: Store) -> None:
        await store.transaction(lambda: keys.insert(KEY))
        await store.transaction(lambda: keys.touch("key_1", NOW + 1))
        await store.transaction(lambda: keys.revoke("key_1", NOW + 2))
        await store.transaction(lambda: keys.revoke("key_1", NOW + 3))
        found = await store.read(lambda: keys.by_hash(KEY.sha256))
        assert found == replace(KEY, last_used_at=NOW + 1, revoked_at=NOW + 2)


class TestSecret:
    async def test_the_first_secret_stays(self, store: Store) -> None:
        assert await store.read(secrets.server_secret) is None
        await store.transaction(lambda: secrets.keep_server_secret(b"\0one"))
        await store.transaction(lambda: secrets.keep_server_secret(b"two"))
        assert await store.read(secrets.server_secret) == b"\0one"
