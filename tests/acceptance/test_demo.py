# SPDX-License-Identifier: Apache-2.0
"""The demonstration: it shows what it should, and it fails when anything is not as it must be."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from rejoinder.app import Server, Surroundings
from rejoinder.cli.demo import example, make_key
from rejoinder.clock.live import LiveClock
from rejoinder.config import Config
from rejoinder.ids import Ids
from rejoinder.internet.demo import Stage, play, play_mail
from rejoinder.internet.desk import House
from rejoinder.internet.show import Show
from rejoinder.internet.town import SELECTOR, Town
from rejoinder.mailauth.dkim.key import make_key as make_dkim_key
from rejoinder.mailauth.dkim.key import public_record
from rejoinder.mailauth.dkim.sign import load_key
from rejoinder.message.address import Mailbox
from rejoinder.replies.answer import Answer, Answering, Idempotency
from rejoinder.replies.answered import Answered
from rejoinder.replies.request import ReplyRequest

pytestmark = pytest.mark.anyio

VOUCHED = b"From: Joe <joe@shop.example>\nMessage-ID: <%d@shop.example>\n\nHello.\n"
SILENT = "async def email(message, env, ctx):\n    pass\n"
UNTHREADED = """
import email.message
import uuid

async def email(message, env, ctx, uuid=uuid, Message=email.message.EmailMessage):
    answer = Message()
    answer["From"] = message.to
    answer["Subject"] = "Answer"
    answer.set_content(f"your ticket number is {uuid.uuid4().hex}")
    await message.reply(answer)
"""


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rejoinder", "demo", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def start(settings: Mapping[str, object]) -> Server:
    return await Server.start(Config.model_validate(settings), Surroundings.live())


def stage(worker: Path, prepare: Callable[[Town], None] | None = None) -> tuple[Stage, io.StringIO]:
    out = io.StringIO()
    show = Show(Console(file=out, width=80))
    return Stage(show, LiveClock(), Ids(os.urandom), start, make_key, worker, prepare=prepare), out


def test_without_a_terminal_it_ends_by_itself_and_well() -> None:
    ended = command()
    assert (ended.returncode, ended.stderr) == (0, "")
    out = ended.stdout
    assert out.count("  The worker answers\n") == 3
    assert len(set(re.findall(r"ticket number is (\w+)", out))) == 1
    assert re.findall(r"not answered: (.*)\n", out) == [
        "reply-to-automatic-mail",
        "reply-dmarc-failed",
        "reply-recipient-unproven",
        "reply-no-dmarc-policy",
    ]
    by_hand = out.partition("An operator answers through the REST API")[2]
    assert by_hand.count("POST /api/v2/emails/email_") == 2
    sent = re.findall(r"200, (.*)id sent_\w+, messageId (\S+)\n", by_hand)
    assert [replayed for replayed, _ in sent] == ["", "Idempotency-Replayed: true, "]
    message_id = sent[0][1]
    assert by_hand.count(f"Message-ID: <{message_id}>\n") == by_hand.count("Alice gets one mail\n") == 1
    assert "invoice.csv (text/csv, 63 bytes)" in by_hand
    assert f"200, message_id <{message_id}>, last_event delivered\n" in by_hand
    trace = out.partition("What the server did with the first mail")[2]
    steps = re.findall(r"ms  (\w+) ", trace)
    assert steps == ["received", "routed", "replied", "run_finished", "attempted", "delivered"]
    assert out.endswith("Everything was as it must be\n")
    assert "\x1b" not in out


async def test_three_rounds_are_one_thread() -> None:
    its, out = stage(example())
    assert await play(its) == []
    ids = re.findall(r"\n +Message-ID: (\S+)", out.getvalue())[:6]
    references = re.findall(r"\n +References: (.*)", out.getvalue())[:5]
    assert [line.split() for line in references] == [ids[:count] for count in range(1, 6)]
    rounds = out.getvalue().partition("Not answered")[0].splitlines()
    indents = [len(line) - len(line.lstrip()) for line in rounds if "Alice writes" in line]
    assert indents == sorted(set(indents))


def another_key(town: Town) -> None:
    name = f"{SELECTOR}._domainkey.desk.example"
    town.zone.remove(name)
    town.zone.add(name, "TXT", public_record(load_key(make_dkim_key())))


def no_policy_of_ours(town: Town) -> None:
    town.zone.remove("_dmarc.desk.example")


def policy_where_none_should_be(town: Town) -> None:
    town.zone.add("_dmarc.none.example", "TXT", "v=DMARC1; p=reject")


def bank_lets_us(town: Town) -> None:
    town.zone.remove("_dmarc.bank.example")


def customer_without_a_key(town: Town) -> None:
    town.zone.remove(f"{SELECTOR}._domainkey.customer.example")


def return_path_without_spf(town: Town) -> None:
    town.zone.remove("desk.example")
    town.zone.add("desk.example", "A", "127.0.0.1")
    town.zone.add("desk.example", "MX", "10 mx.desk.example")


def victim_lets_us(town: Town) -> None:
    town.zone.remove("elsewhere.example")
    town.zone.add("elsewhere.example", "TXT", "v=spf1 +all")
    town.zone.add("elsewhere.example", "MX", "10 mail.customer.example")


@pytest.mark.parametrize(
    ("prepare", "fault"),
    [
        (another_key, "round 1: DKIM does not pass for desk.example at the customer"),
        (no_policy_of_ours, "round 3: DMARC does not pass at the customer: none"),
        (policy_where_none_should_be, "it was refused for no reason, not for reply-no-dmarc-policy alone"),
        (bank_lets_us, "it was refused for reply-no-dmarc-policy, not for reply-dmarc-failed alone"),
        # SPF still proves the letters; the replay then fails for two reasons instead of one.
        (customer_without_a_key, "it was refused for reply-dmarc-failed, reply-recipient-unproven, not for"),
        (return_path_without_spf, "the operator's answer: what arrived: SPF does not pass at the customer"),
        (victim_lets_us, "it was refused for no reason, not for reply-recipient-unproven alone"),
    ],
)
async def test_it_fails_when_the_zone_is_not_as_it_must_be(
    prepare: Callable[[Town], None], fault: str
) -> None:
    its, out = stage(example(), prepare)
    faults = await play(its)
    assert any(fault in each for each in faults), faults
    assert f"{len(faults)} of it not as it must be" in out.getvalue()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (SILENT, {"round 1: no answer came: nothing was refused"}),
        (
            UNTHREADED,
            {"round 1: the subject is 'Answer'", "round 3: the thread has the ticket numbers"},
        ),
    ],
)
async def test_it_fails_when_the_worker_does_not_what_it_must(
    tmp_path: Path, code: str, expected: set[str]
) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(code)
    its, _ = stage(worker)
    faults = await play(its)
    for each in expected:
        assert any(fault.startswith(each) for fault in faults), faults


Reply = Callable[[ReplyRequest, Idempotency | None], tuple[ReplyRequest, Idempotency | None]]


def forgetful(request: ReplyRequest, _: Idempotency | None) -> tuple[ReplyRequest, None]:
    return request, None


def without_the_original(
    request: ReplyRequest, key: Idempotency | None
) -> tuple[ReplyRequest, Idempotency | None]:
    return replace(request, include_original=False), key


def with_another_file(
    request: ReplyRequest, key: Idempotency | None
) -> tuple[ReplyRequest, Idempotency | None]:
    [file] = request.attachments
    changed = replace(file, content=file.content.replace(b"\r\n", b"\n"))
    return replace(request, attachments=(changed,)), key


def to_nobody_here(request: ReplyRequest, key: Idempotency | None) -> tuple[ReplyRequest, Idempotency | None]:
    return replace(request, from_=replace(request.from_, mailbox=Mailbox("billing", "other.example"))), key


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            forgetful,
            [
                "the repeat: its answer is another",
                "the repeat: Idempotency-Replayed is None, not true",
                "the repeat: the store has 2 answers, not one",
            ],
        ),
        (
            without_the_original,
            ["what arrived: its text does not quote", "what arrived: its HTML does not quote"],
        ),
        (with_another_file, ["what arrived: its files are"]),
        (to_nobody_here, ["the request: the API said 403: You don't have permission to send from domain"]),
    ],
)
async def test_it_fails_when_the_api_does_not_what_it_must(
    monkeypatch: pytest.MonkeyPatch, change: Reply, expected: list[str]
) -> None:
    reply = Answering.reply

    async def changed(
        self: Answering,
        answered: Answered,
        request: ReplyRequest,
        *,
        reply_any: bool,
        idempotency: Idempotency | None = None,
    ) -> Answer:
        request, idempotency = change(request, idempotency)
        return await reply(self, answered, request, reply_any=reply_any, idempotency=idempotency)

    monkeypatch.setattr(Answering, "reply", changed)
    its, _ = stage(example())
    faults = await play(its)
    for each in expected:
        assert any(fault.startswith(f"the operator's answer: {each}") for fault in faults), faults


async def test_it_fails_when_the_key_is_not_known() -> None:
    async def no_key(house: House) -> str:
        return "rj_" + "x" * 43

    its, out = stage(example())
    [fault] = await play(replace(its, make_key=no_key))
    assert fault.startswith("the operator's answer: the request: the API said 401")
    assert "1 of it not as it must be" in out.getvalue()


def test_each_file_of_a_folder_has_one_outcome(tmp_path: Path) -> None:
    files = {
        "1.eml": VOUCHED % 1,
        "2-again.eml": (VOUCHED % 1).replace(b"\n", b"\r\n"),
        "3.raw": b"From joe Mon Jan  1 00:00:00 2024\n" + VOUCHED % 3,
        "4.txt": b"From: joe@shop.invalid\nMessage-ID: <4@shop.invalid>\n\nHello.\n",
        "5": b"Subject: nobody wrote this\n\nHello.\n",
        "6": VOUCHED % 6 + b"a\rb\n",
        "7": b"Return-Path: <>\n" + VOUCHED % 7,
        "8": b"Auto-Submitted: auto-generated\n" + VOUCHED % 8,
        "9": b"",
        "deep/a\xff.eml": VOUCHED % 10 + b"." * 3 + b"\n.\n",
        "LICENSE": b"",
        "notes.json": b"{}",
    }
    for name, content in files.items():
        path = tmp_path / os.fsdecode(name.encode("latin-1"))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    ended = command("--once", "--mail", str(tmp_path))
    assert (ended.returncode, ended.stderr) == (0, "")
    no_author = "refused (550 5.6.0 The message has no author domain in From)"
    lines = [
        "1.eml: stored and answered",
        "2-again.eml: duplicate of 1.eml",
        "3.raw: stored and answered",
        "4.txt: stored and not answered (reply-no-dmarc-policy)",
        f"5: {no_author}",
        "6: refused (550 5.6.0 the content has a CR or LF that is not part of CRLF)",
        "7: stored and not answered (reply-null-reverse-path)",
        "8: stored and not answered (reply-to-automatic-mail)",
        f"9: {no_author}",
        "deep/a\N{REPLACEMENT CHARACTER}.eml: stored and answered",
    ]
    assert [line for line in ended.stdout.splitlines() if line.strip() in lines] == [
        f"  {line}" for line in lines
    ]
    counts = re.findall(r"(?m)^ +(\d+) (?:stored|refused|duplicate)", ended.stdout)
    assert [int(count) for count in counts] == [3, 3, 3, 1]
    assert "Line ends were made CRLF in 8 files, an mbox line removed from 1." in ended.stdout
    assert "2 more files were left out" in ended.stdout


async def test_a_worker_that_fails_is_a_fault_and_the_counts_add_up(tmp_path: Path) -> None:
    mail, worker = tmp_path / "1.eml", tmp_path / "worker.py"
    mail.write_bytes(VOUCHED % 1)
    worker.write_text("async def email(message, env, ctx):\n    raise ValueError('broken')\n")
    its, out = stage(worker)
    assert await play_mail(its, mail) == [f"{mail}: the worker failed: ValueError: broken"]
    assert "1.eml: stored and not answered (worker-failed)" in out.getvalue()


async def test_a_folder_without_mail_is_a_fault(tmp_path: Path) -> None:
    its, _ = stage(example())
    assert await play_mail(its, tmp_path) == [f"there is no mail at {tmp_path}"]


def test_real_mail_goes_through_and_the_counts_add_up(corpora: Path) -> None:
    ended = command("--once", "--mail", str(corpora / "mime"))
    assert (ended.returncode, ended.stderr) == (0, "")
    counts = [int(each) for each in re.findall(r"(?m)^ +(\d+) (?:stored|refused|dupl)", ended.stdout)]
    assert sum(counts) == 320
    assert counts[0] > 0
    assert len(re.findall(r": (?:stored and|refused \(|duplicate of)", ended.stdout)) == 320
