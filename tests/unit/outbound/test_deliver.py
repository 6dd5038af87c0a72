# SPDX-License-Identifier: Apache-2.0
"""What a delivery does with each answer of the next hop, attempt after attempt."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from rejoinder.dns import Rcode
from rejoinder.dns.zone import Zone
from rejoinder.errors import LeaseLost, StoreError
from rejoinder.mailauth.dkim.key import public_record
from rejoinder.mailauth.verdict import DkimResult
from rejoinder.message.address import Mailbox
from rejoinder.store import jobs, sent
from rejoinder.store.records import DeliveryStatus, EventKind
from tests.unit.mailauth.signing import verdicts
from tests.unit.outbound.post import ALICE, BOB, CAROL, MESSAGE, SIGNER, Host, open_post

pytestmark = pytest.mark.anyio

DELIVERED, BOUNCED, DEFERRED, EXPIRED = (
    DeliveryStatus.DELIVERED,
    DeliveryStatus.BOUNCED,
    DeliveryStatus.DEFERRED,
    DeliveryStatus.EXPIRED,
)
NOT_LISTENING = ""


@dataclass(frozen=True)
class Row:
    """The only next hop, what becomes of the delivery, and the reply that is kept."""

    host: Host
    status: DeliveryStatus
    reply: str | None


ROWS = {
    "taken": Row(Host(), DELIVERED, "250 2.0.0 taken"),
    "550 at RCPT": Row(Host(recipients={"alice": "550 5.1.1 nobody"}), BOUNCED, "550 5.1.1 nobody"),
    "450 at RCPT": Row(Host(recipients={"alice": "450 4.2.0 grey"}), DEFERRED, "450 4.2.0 grey"),
    "554 at the end": Row(Host(end="554 5.7.1 spam"), BOUNCED, "554 5.7.1 spam"),
    "451 at the end": Row(Host(end="451 4.3.0 later"), DEFERRED, "451 4.3.0 later"),
    # RFC 5321 §3.1: a refused session says nothing about the mail.
    "554 at the greeting": Row(
        Host("554 go away"), DEFERRED, "450 4.3.2 the host refused the session: 554 go away"
    ),
    "421 at the greeting": Row(Host("421 busy"), DEFERRED, "421 busy"),
    "hangs up at RCPT": Row(Host(recipients={"alice": ""}), DEFERRED, None),
    "hangs up at the end": Row(Host(end=""), DEFERRED, None),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
async def test_what_each_answer_does(tmp_path: Path, row: Row) -> None:
    async with open_post(tmp_path, row.host) as post:
        sent_id = await post.submit()
        assert await post.attempt() == 1
        delivery = await post.delivery(sent_id)
        assert (delivery.status, delivery.last_reply) == (row.status, row.reply)
        assert delivery.attempts == 1
        await post.clock.advance(61)
        assert await post.attempt() == (row.status is DEFERRED)


async def test_the_content_arrives_as_it_was_kept_and_every_word_is_an_event(tmp_path: Path) -> None:
    host = Host()
    async with open_post(tmp_path, host) as post:
        sent_id = await post.submit()
        await post.attempt()
        (content,) = host.received
        assert content.startswith(b"DKIM-Signature: ")
        assert content.endswith(b"\r\n" + MESSAGE.replace(b"\r\n.A", b"\r\n..A") + b".\r\n")
        assert host.envelopes == [["MAIL FROM:<>", "RCPT TO:<alice@c.example>"]]
        kinds = [event.kind for event in await post.events(sent_id)]
        assert kinds == [EventKind.REPLIED, EventKind.ATTEMPTED, EventKind.DELIVERED]
        (attempt,) = await post.attempts(sent_id)
        dialogue = attempt["dialogue"]
        assert isinstance(dialogue, list)
        assert dialogue[0].startswith("(mx1.c.example [127.0.0.1]:")
        assert dialogue[1:3] == ["S: 220 hop.example", "C: EHLO mx.desk.example"]
        assert dialogue[-1] == "S: 250 2.0.0 taken"
        assert (attempt["attempt"], attempt["next_hop"]) == (1, "mx1.c.example")
        assert "uncertain" not in attempt


async def test_each_recipient_has_its_own_answer_and_only_the_deferred_are_tried_again(
    tmp_path: Path,
) -> None:
    host = Host(recipients={"bob": "550 5.1.1 nobody", "carol": "450 4.2.0 grey"})
    async with open_post(tmp_path, host) as post:
        sent_id = await post.submit(ALICE, BOB, CAROL)
        await post.attempt()
        found = {each.forward_path: each.status for each in await post.deliveries(sent_id)}
        assert list(found.values()) == [DELIVERED, BOUNCED, DEFERRED]
        host.recipients = {}
        await post.clock.advance(61)
        assert await post.attempt() == 1
        assert host.envelopes[-1] == ["MAIL FROM:<>", "RCPT TO:<carol@c.example>"]
        assert [each.status for each in await post.deliveries(sent_id)] == [DELIVERED, BOUNCED, DELIVERED]
        assert [each.attempts for each in await post.deliveries(sent_id)] == [1, 1, 2]


async def test_each_domain_is_a_job_of_its_own(tmp_path: Path) -> None:
    host = Host()
    zone = Zone({"c.example": {"A": ["127.0.0.1"]}, "d.example": {"A": ["127.0.0.1"]}})
    zone.breaks("d.example", Rcode.SERVFAIL)
    async with open_post(tmp_path, host, zone=zone) as post:
        sent_id = await post.submit(ALICE, Mailbox("dora", "D.example"))
        assert await post.attempt() == 2
        found = {each.forward_path: each.status for each in await post.deliveries(sent_id)}
        assert found == {"alice@c.example": DELIVERED, "dora@D.example": DEFERRED}


@pytest.mark.parametrize("greeting", [NOT_LISTENING, "554 go away", "421 busy"])
async def test_the_next_mx_is_tried_when_a_host_is_the_trouble(tmp_path: Path, greeting: str) -> None:
    first, second = Host(greeting), Host()
    async with open_post(tmp_path, second, first) as post:
        post.zone.remove("c.example")
        post.zone.add("c.example", "MX", "1 mx2.c.example", "2 mx1.c.example")
        sent_id = await post.submit()
        await post.attempt()
        assert (await post.delivery(sent_id)).status is DELIVERED
        assert len(second.received) == 1
        (attempt,) = await post.attempts(sent_id)
        assert attempt["next_hop"] == "mx1.c.example"
        assert "mx2.c.example [127.0.0.2]" in str(attempt["dialogue"])


async def test_whom_a_host_refused_before_it_was_lost_is_not_named_to_the_next(tmp_path: Path) -> None:
    first = Host(recipients={"bob": "550 5.1.1 nobody", "carol": "450 4.2.0 grey"}, data="")
    second = Host()
    async with open_post(tmp_path, first, second) as post:
        sent_id = await post.submit(ALICE, BOB, CAROL)
        await post.attempt()
        assert second.envelopes == [
            ["MAIL FROM:<>", "RCPT TO:<alice@c.example>", "RCPT TO:<carol@c.example>"]
        ]
        assert [each.status for each in await post.deliveries(sent_id)] == [DELIVERED, BOUNCED, DELIVERED]
        _, bob, _ = await post.deliveries(sent_id)
        assert bob.last_reply == "550 5.1.1 nobody"


@pytest.mark.parametrize("greeting", [NOT_LISTENING, "554 go away", "421 busy"])
async def test_many_messages_for_a_host_that_is_down_cost_few_connections(
    tmp_path: Path, greeting: str
) -> None:
    async with open_post(tmp_path, Host(greeting), schedule=["5m"] * 3) as post:
        for _ in range(30):
            await post.submit()
        found = []
        for _ in range(6):
            found.append(await post.attempt())
            found.append(await post.attempt())
            await post.clock.advance(150)
        # Ten at a time, which is all the room of the lane, and then nobody until the first is due again.
        assert found == [10, 0, 0, 0] * 3


async def test_a_lane_that_waited_opens_when_its_host_answers(tmp_path: Path) -> None:
    host = Host("421 busy")
    async with open_post(tmp_path, host, schedule=["1m", "1h", "1h"]) as post:
        await post.submit()
        await post.submit()
        first, second = await post.claim()
        await post.handler.handle(first)
        late = await post.submit()
        assert await post.attempt() == 0
        host.greeting = "220 hop.example"
        await post.handler.handle(second)
        assert await post.attempt() == 1
        assert (await post.delivery(late)).status is DELIVERED


async def test_a_lane_waits_five_minutes_at_the_longest(tmp_path: Path) -> None:
    async with open_post(tmp_path, Host("421 busy"), schedule=["1h"]) as post:
        await post.submit()
        assert await post.attempt() == 1
        await post.submit()
        await post.clock.advance(299)
        assert await post.attempt() == 0
        await post.clock.advance(1)
        assert await post.attempt() == 1


async def test_an_answer_about_the_mail_closes_no_lane(tmp_path: Path) -> None:
    async with open_post(tmp_path, Host(end="451 4.3.0 later")) as post:
        await post.submit()
        assert await post.attempt() == 1
        await post.submit()
        assert await post.attempt() == 1


async def test_who_waited_in_a_lane_for_as_long_as_the_schedule_lasts_is_expired(tmp_path: Path) -> None:
    async with open_post(tmp_path, Host("421 busy"), schedule=["1m", "5m"]) as post:
        sent_id = await post.submit()
        await post.clock.advance(395)
        assert await post.attempt() == 1
        assert (await post.delivery(sent_id)).status is DEFERRED
        later = await post.submit()
        await post.clock.advance(397)
        assert await post.attempt() == 2
        assert (await post.delivery(later)).status is EXPIRED


async def test_an_answer_about_the_mail_is_not_asked_for_twice(tmp_path: Path) -> None:
    first, second = Host(end="451 4.3.0 later"), Host()
    async with open_post(tmp_path, first, second) as post:
        sent_id = await post.submit()
        await post.attempt()
        assert (await post.delivery(sent_id)).status is DEFERRED
        assert second.sessions == 0


@pytest.mark.parametrize(
    ("zone", "status", "reply"),
    [
        (Zone(), BOUNCED, "550 5.1.2 the domain c.example does not exist"),
        (
            Zone({"c.example": {"MX": ["0 ."]}}),
            BOUNCED,
            "550 5.1.10 c.example says that it takes no mail (null MX, RFC 7505)",
        ),
    ],
)
async def test_what_the_dns_says_is_an_answer_too(
    tmp_path: Path, zone: Zone, status: DeliveryStatus, reply: str
) -> None:
    async with open_post(tmp_path, zone=zone) as post:
        sent_id = await post.submit()
        await post.attempt()
        delivery = await post.delivery(sent_id)
        assert (delivery.status, delivery.last_reply) == (status, reply)


async def test_a_private_mx_is_a_failure_for_good_unless_allowed(tmp_path: Path) -> None:
    host = Host()
    async with open_post(tmp_path, host, allow_private_mx=False) as post:
        sent_id = await post.submit()
        await post.attempt()
        delivery = await post.delivery(sent_id)
        assert delivery.status is BOUNCED
        assert (delivery.last_reply or "").startswith("550 5.4.4 mx-not-public: ")
        assert host.sessions == 0


async def test_mail_is_not_delivered_to_ourselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IPv4Address, "is_global", True)
    async with open_post(tmp_path, Host(), allow_private_mx=False) as post:
        port = post.settings.mx_port
        post.own = [("127.0.0.1", port + 1), ("127.0.0.2", port)]
        taken = await post.submit()
        await post.attempt()
        assert (await post.delivery(taken)).status is DELIVERED
        post.own = [("127.0.0.1", port)]
        refused = await post.submit()
        await post.attempt()
        delivery = await post.delivery(refused)
        assert delivery.status is BOUNCED
        assert (delivery.last_reply or "").startswith("550 5.4.4 mx-not-public: ")


async def test_the_schedule_is_kept_until_it_ends(tmp_path: Path) -> None:
    host = Host(end="451 4.3.0 later")
    async with open_post(tmp_path, host) as post:
        sent_id = await post.submit()
        assert await post.attempt() == 1
        await post.clock.advance(59)
        assert await post.attempt() == 0
        await post.clock.advance(1)
        assert await post.attempt() == 1
        await post.clock.advance(299)
        assert await post.attempt() == 0
        await post.clock.advance(1)
        assert await post.attempt() == 1
        delivery = await post.delivery(sent_id)
        assert (delivery.status, delivery.attempts) == (EXPIRED, 3)
        assert delivery.last_reply == "451 4.3.0 later"
        kinds = [event.kind for event in await post.events(sent_id)]
        assert kinds.count(EventKind.DELAYED) == 2
        assert kinds[-1] is EventKind.EXPIRED
        assert await post.store.read(lambda: jobs.next_due(["deliver"])) is None


async def test_a_reply_without_an_end_is_kept_in_part(tmp_path: Path) -> None:
    async with open_post(
        tmp_path, Host(end="\r\n451-".join(["451-x", *["y" * 400] * 8]) + "\r\n451 z")
    ) as post:
        sent_id = await post.submit()
        await post.attempt()
        assert len((await post.delivery(sent_id)).last_reply or "") == 1024


async def test_an_interrupted_attempt_uses_up_nothing_of_the_schedule(tmp_path: Path) -> None:
    async with open_post(tmp_path, Host(end="451 4.3.0 later")) as post:
        sent_id = await post.submit()
        for _ in range(5):
            await post.claim()
            await post.store.transaction(jobs.void_leases)
        for wait, status in ((60, DEFERRED), (300, DEFERRED), (0, EXPIRED)):
            assert await post.attempt() == 1
            assert (await post.delivery(sent_id)).status is status
            await post.clock.advance(wait)


async def test_a_delivery_that_fails_for_a_fault_of_ours_can_become_a_dead_letter(tmp_path: Path) -> None:
    async with open_post(tmp_path, Host()) as post:
        sent_id = await post.submit()
        (job,) = await post.claim()
        await post.handler.bury(job, "ValueError: x")
        *_, last = await post.events(sent_id)
        assert (last.kind, last.sent_id) == (EventKind.DEAD_LETTERED, sent_id)
        assert json.loads(last.evidence) == {"kind": "deliver", "error": "ValueError: x"}
        await post.store.transaction(jobs.void_leases)
        assert await post.attempt() == 0


# --- what nobody knows (RFC 1047) ---------------------------------------------------------------------------


async def test_an_attempt_without_an_answer_is_uncertain_and_repeated_with_the_same_bytes(
    tmp_path: Path,
) -> None:
    host = Host(end="", recipients={"bob": "550 5.1.1 nobody"})
    async with open_post(tmp_path, host) as post:
        sent_id = await post.submit(ALICE, BOB)
        await post.attempt()
        alice, bob = await post.deliveries(sent_id)
        assert (alice.status, alice.uncertain) == (DEFERRED, True)
        # Bob was refused before the content went; that is known.
        assert (bob.status, bob.uncertain) == (BOUNCED, False)
        host.end = "250 2.0.0 taken"
        await post.clock.advance(61)
        await post.attempt()
        alice, _ = await post.deliveries(sent_id)
        assert (alice.status, alice.uncertain) == (DELIVERED, True)
        first, second = (content.partition(b"\r\nFrom: ")[2] for content in host.received)
        assert first == second
        assert b"Message-ID: <1@desk.example>" in first
        was, is_ = await post.attempts(sent_id)
        assert (was["uncertain"], "repeats_uncertain" in was) == (True, False)
        assert ("uncertain" in is_, is_["repeats_uncertain"]) == (False, True)


async def test_an_attempt_that_died_with_its_process_is_marked_when_it_is_repeated(tmp_path: Path) -> None:
    host = Host()
    async with open_post(tmp_path, host) as post:
        sent_id = await post.submit()
        assert len(await post.claim()) == 1  # and nothing more was heard of it
        await post.store.transaction(jobs.void_leases)
        await post.attempt()
        delivery = await post.delivery(sent_id)
        assert (delivery.status, delivery.uncertain) == (DELIVERED, True)
        (attempt,) = await post.attempts(sent_id)
        assert attempt["repeats_uncertain"] is True


async def test_an_attempt_that_could_not_be_recorded_is_marked_when_it_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host()
    async with open_post(tmp_path, host) as post:
        sent_id = await post.submit()
        (job,) = await post.claim()

        async def fail(make: object) -> None:
            raise StoreError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(post.store, "transaction", fail)
            await post.handler.handle(job)
        assert not (await post.delivery(sent_id)).uncertain
        await post.clock.advance(31)
        assert await post.attempt() == 1
        assert len(host.received) == 2
        delivery = await post.delivery(sent_id)
        assert (delivery.status, delivery.uncertain) == (DELIVERED, True)
        assert [each.get("repeats_uncertain") for each in await post.attempts(sent_id)] == [True]


async def test_what_is_settled_is_not_sent_again(tmp_path: Path) -> None:
    host = Host()
    async with open_post(tmp_path, host) as post:
        sent_id = await post.submit()
        settled = replace(await post.delivery(sent_id), status=DELIVERED)
        await post.store.transaction(lambda: sent.update_delivery(settled))
        assert await post.attempt() == 1
        assert host.sessions == 0
        assert await post.store.read(lambda: jobs.next_due(["deliver"])) is None


async def test_nothing_of_an_attempt_is_kept_when_the_job_is_anothers(tmp_path: Path) -> None:
    async with open_post(tmp_path, Host()) as post:
        sent_id = await post.submit()
        (job,) = await post.claim()
        await post.store.transaction(jobs.void_leases)
        await post.claim()
        with pytest.raises(LeaseLost):
            await post.handler.handle(job)
        assert (await post.delivery(sent_id)).status is DeliveryStatus.QUEUED
        assert await post.attempts(sent_id) == []


# --- signature and relay ------------------------------------------------------------------------------------


async def test_what_leaves_is_signed_by_the_authors_domain_on_each_attempt(tmp_path: Path) -> None:
    host = Host(end="451 4.3.0 later")
    keys = Zone({"s._domainkey.desk.example": {"TXT": [public_record(SIGNER.key)]}})
    async with open_post(tmp_path, host) as post:
        await post.submit()
        await post.attempt()
        await post.clock.advance(61)
        await post.attempt()
        for content in host.received:
            raw = content.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")
            (verdict,) = await verdicts(raw, keys, post.clock.now())
            assert (verdict.result, verdict.domain) == (DkimResult.PASS, "desk.example")


async def test_what_cannot_be_signed_waits_for_its_key(tmp_path: Path) -> None:
    host = Host()
    async with open_post(tmp_path, host) as post:
        sent_id = await post.submit(author=Mailbox("sales", "other.example"))
        await post.attempt()
        delivery = await post.delivery(sent_id)
        assert (delivery.status, delivery.last_reply) == (
            DEFERRED,
            "451 4.7.20 no DKIM key for other.example",
        )
        *_, last = await post.events(sent_id)
        assert last.kind is EventKind.DELAYED
        assert "no DKIM key for other.example" in last.evidence
        assert host.sessions == 0
        await post.clock.advance(60)
        assert await post.attempt() == 1


async def test_a_relay_takes_everything_and_may_be_private(tmp_path: Path) -> None:
    host = Host()
    async with open_post(
        tmp_path, host, zone=Zone(), route="relay", relay="smtp://127.0.0.1", allow_private_mx=False
    ) as post:
        sent_id = await post.submit()
        await post.attempt()
        assert (await post.delivery(sent_id)).status is DELIVERED
        assert len(host.received) == 1


async def test_a_relay_is_found_by_name(tmp_path: Path) -> None:
    host = Host()
    zone = Zone({"relay.example": {"A": ["127.0.0.1"]}})
    async with open_post(tmp_path, host, zone=zone, route="relay", relay="smtp://relay.example") as post:
        sent_id = await post.submit()
        await post.attempt()
        assert (await post.delivery(sent_id)).status is DELIVERED


async def test_a_relay_without_an_address_is_waited_for(tmp_path: Path) -> None:
    async with open_post(tmp_path, zone=Zone(), route="relay", relay="smtp://relay.example") as post:
        sent_id = await post.submit()
        await post.attempt()
        delivery = await post.delivery(sent_id)
        assert delivery.status is DEFERRED
        assert "relay.example has no address" in (delivery.last_reply or "")
