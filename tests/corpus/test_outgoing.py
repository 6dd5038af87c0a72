# SPDX-License-Identifier: Apache-2.0
"""What leaves: answers to all of the shared mail, and what each shared answer of a next hop does to them."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import pytest
import yaml

from rejoinder.dns.zone import Zone
from rejoinder.errors import ReplyRefused
from rejoinder.mailauth.verdict import (
    DmarcResult,
    DmarcVerdict,
    Policy,
    SpfResult,
    SpfVerdict,
    Verdict,
)
from rejoinder.message.address import Mailbox, parse_mailbox
from rejoinder.message.headers import Headers, split
from rejoinder.message.thread import msg_ids
from rejoinder.replies.compose import Message, Text, compose_reply
from rejoinder.replies.original import Original
from rejoinder.replies.report import compose_report
from rejoinder.replies.rules import Case, Proposal, Usage, judge
from rejoinder.replies.settings import RepliesSettings
from rejoinder.store.records import DeliveryStatus
from tests.unit.outbound.post import Host, open_post

ALICE, INBOX = Mailbox("alice", "sender.test"), Mailbox("inbox", "local.test")
NOW = 1_767_225_600_000_000
OUR_ID = "<0123456789abcdefghjkmnpqrs@local.test>"


class Threading(TypedDict):
    name: str
    original: dict[str, str]
    expect: dict[str, str | int | None]


class AutoReply(TypedDict):
    name: str
    envelope_from: str
    rcpt_to: str
    headers: list[list[str]]
    auto_reply: bool


def original(headers: Headers, reverse_path: Mailbox | None = ALICE) -> Original:
    domain = reverse_path.host if reverse_path else ""
    verdict = Verdict(
        SpfVerdict(SpfResult.PASS, domain), (), DmarcVerdict(DmarcResult.PASS, Policy.NONE, domain, domain)
    )
    return Original("email_1", reverse_path, INBOX, headers, verdict, ours=False)


def block(fields: list[tuple[str, str]]) -> Headers:
    return split("".join(f"{name}: {value}\r\n" for name, value in fields).encode())[0]


def test_the_shared_threads_are_answered_as_they_say(corpora: Path) -> None:
    cases: list[Threading] = yaml.safe_load((corpora / "threading" / "threading-own.yml").read_text())[
        "cases"
    ]
    assert len(cases) == 7
    for case in cases:
        answered = original(block(list(case["original"].items())))
        built = Message(b"From: inbox@local.test\r\n\r\nHello")
        for content in (Text("Hello"), built):
            reply = compose_reply(answered, content, recipient=ALICE, message_id=OUR_ID, now=NOW)
            headers, _ = split(reply.raw)
            subject = headers.get("Subject", "")
            said = {
                "In-Reply-To": headers.get("In-Reply-To"),
                "References": headers.get("References"),
                "Subject": subject,
                "Subject_base": subject.removeprefix("Re:").strip(),
                "Subject_re_count": subject.count("Re:"),
            }
            assert {name: said[name] for name in case["expect"]} == case["expect"], case["name"]


def test_the_shared_automatic_mail_is_not_answered(corpora: Path) -> None:
    text = (corpora / "auto-reply" / "auto-reply-own.yml").read_text()
    cases: list[AutoReply] = yaml.safe_load(text)["cases"]
    assert len(cases) == 12
    for case in cases:
        path = case["envelope_from"]
        reverse_path = parse_mailbox(path) if path else None
        found = original(block([(name, value) for name, value in case["headers"]]), reverse_path)
        refusal = judge(Case(found, Proposal(INBOX, reverse_path), Usage(0, 0, 0), RepliesSettings()))
        assert (refusal is None) == case["auto_reply"], (case["name"], refusal)


def test_every_real_mail_can_be_answered_and_reported_about(corpora: Path) -> None:
    count = 0
    for path in sorted((corpora / "mime").rglob("*")):
        if not path.is_file() or path.name == "LICENSE" or path.suffix == ".json":
            continue
        count += 1
        mail = original(split(path.read_bytes())[0])
        report = compose_report(mail, ALICE, "closed", hostname="mx.local.test", token="t", now=NOW)
        for content in (Text("Hello"), Message(b"From: inbox@local.test\r\n\r\nHello")):
            reply = compose_reply(mail, content, recipient=ALICE, message_id=OUR_ID, now=NOW)
            headers, _ = split(reply.raw)
            assert len(headers.fields("Subject")) == len(headers.fields("To")) == 1, path
            assert msg_ids(headers.get("References")) == reply.references, path
            for raw in (reply.raw, report.raw):
                assert raw.isascii(), path
                assert max(map(len, raw.split(b"\r\n"))) <= 998, path
        judge(Case(mail, Proposal(INBOX, ALICE), Usage(0, 0, 0), RepliesSettings()))
    assert count == 320


def test_every_real_mail_sent_as_a_reply_leaves_or_is_refused(corpora: Path) -> None:
    answered = original(block([("From", "alice@sender.test"), ("Message-ID", "<m1@sender.test>")]))
    refused = 0
    for path in sorted((corpora / "mime").rglob("*")):
        if path.is_file() and path.name != "LICENSE" and path.suffix != ".json":
            content = Message(path.read_bytes())
            try:
                compose_reply(answered, content, recipient=ALICE, message_id=OUR_ID, now=NOW)
            except ReplyRefused:
                refused += 1
    assert 0 < refused < 320


class NextHop(TypedDict):
    name: str
    at: str
    reply: str | None
    action: str


@pytest.mark.anyio
async def test_the_shared_answers_of_next_hops_do_what_they_say(corpora: Path, tmp_path: Path) -> None:
    cases: list[NextHop] = yaml.safe_load((corpora / "outgoing" / "outgoing-own.yml").read_text())["cases"]
    assert len(cases) >= 7
    for case in cases:
        status, last_reply, second = await _delivered(tmp_path / case["name"], case)
        match case["action"].split(" "):
            case ["delivered"]:
                assert status is DeliveryStatus.DELIVERED, case["name"]
            case ["retry"]:
                assert (status, second.sessions) == (DeliveryStatus.DEFERRED, 0), case["name"]
            case ["next", "MX,", "then", *_]:
                # The one behind it takes the mail; test_deliver tells what comes of it without one.
                assert (status, len(second.received)) == (DeliveryStatus.DELIVERED, 1), case["name"]
            case ["bounce", *code]:
                assert status is DeliveryStatus.BOUNCED, case["name"]
                assert "".join(code) in (last_reply or ""), case["name"]
            case other:
                raise AssertionError(other)


async def _delivered(folder: Path, case: NextHop) -> tuple[DeliveryStatus, str | None, Host]:
    """What becomes of a delivery to two MX, of which the first answers as the case says."""
    reply, second = case["reply"] or "", Host()
    zone: Zone | None = None
    first = Host()
    match case["at"]:
        case "DNS":
            zone = Zone({"c.example": {"MX": [reply.removeprefix("MX ")]}})
        case "connect":
            first = Host(greeting="")
        case "greeting":
            first = Host(greeting=reply)
        case "RCPT":
            first = Host(recipients={"alice": reply})
        case "end of DATA":
            first = Host(end=reply)
        case other:
            raise AssertionError(other)
    async with open_post(folder, second, first, zone=zone) as post:
        if zone is None:
            post.zone.remove("c.example")
            post.zone.add("c.example", "MX", "1 mx2.c.example", "2 mx1.c.example")
        sent_id = await post.submit()
        await post.attempt()
        delivery = await post.delivery(sent_id)
        return delivery.status, delivery.last_reply, second
