# SPDX-License-Identifier: Apache-2.0
"""Mail and commands that are broken, hostile or huge: a clear answer, nothing lost, no traceback."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, MutableMapping, Sequence
from pathlib import Path
from typing import Final

import pytest
from structlog.testing import capture_logs

from rejoinder.mailauth.dkim.sign import Signer
from rejoinder.message.headers import split
from rejoinder.store.records import Email, EmailStatus, EventKind, RunState
from tests.acceptance.house import House, houses
from tests.acceptance.talk import Talk

pytestmark = pytest.mark.anyio

READS_EVERYTHING: Final = """
async def email(message, env, ctx):
    for field in message.headers:
        assert field.decoded is not None
    assert len(message.raw) == message.raw_size
    await message.reply("We have read: " + message.text[:1000])
"""
MAX_SIZE: Final = 4 << 20


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def house(
    tmp_path_factory: pytest.TempPathFactory, customer_key: Signer, desk_key: Path
) -> AsyncIterator[House]:
    """One house for all of it: whatever came before, the next mail must be handled as ever."""
    async with houses(tmp_path_factory.mktemp("house"), customer_key, desk_key) as open_:
        yield await open_(
            READS_EVERYTHING,
            ingress={"max_size": MAX_SIZE},
            replies={"per_correspondent": 1000, "per_thread": 1000},
            domain=[{"name": name, "dkim_key": desk_key} for name in ("desk.example", "list.example")],
            route=[
                {"match": "support@desk.example", "worker": "desk"},
                {"match": "*@list.example", "store": True},
            ],
        )


@pytest.fixture(autouse=True)
def nothing_is_logged_as_an_error(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What strangers send is no error of ours, and no traceback."""
    with capture_logs() as logged:
        yield
    ours: Sequence[MutableMapping[str, object]] = logged
    assert [each for each in ours if each["log_level"] in {"error", "critical", "exception"}] == []
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR] == []


def mail(
    name: str,
    *headers: bytes,
    body: bytes = b"Hello.",
    author: bytes = b"From: alice@customer.example",
    message_id: bool = True,
) -> bytes:
    """A mail as it is on the wire, without its end."""
    lines = [author, b"To: support@desk.example", b"Subject: " + name.encode()]
    if message_id:
        lines += [
            b"Message-ID: <%s@customer.example>" % name.encode(),
            b"Date: Sat, 21 Nov 2026 10:00:00 +0000",
        ]
    return b"\r\n".join([*lines, *headers, b"", body])


# --- refused ------------------------------------------------------------------------------------------------

NO_MAIL: Final[dict[str, tuple[bytes, str]]] = {
    "nul in the body": (mail("a", body=b"a\0b"), "550 5.6.0 the content has a NUL character"),
    "nul in a header": (mail("b", b"X-A: \0"), "550 5.6.0 the content has a NUL character"),
    "bare LF": (mail("c", body=b"a\nb"), "550 5.6.0 the content has a CR or LF that is not part of CRLF"),
    "bare CR": (mail("d", body=b"a\rb"), "550 5.6.0 the content has a CR or LF that is not part of CRLF"),
    # A server that ended the content here would take the rest for another mail.
    "smuggled mail": (
        mail("e", body=b"a\n.\r\nMAIL FROM:<ceo@bank.example>"),
        "550 5.6.0 the content has a CR or LF that is not part of CRLF",
    ),
    "a line of 1 MiB": (
        mail("f", body=b"a" * ((1 << 20) + 1)),
        "550 5.6.0 the content has a line longer than this server takes",
    ),
    "too large": (
        mail("g", body=b"line\r\n" * 750_000),
        "552 5.3.4 the message is larger than this server takes",
    ),
    "far too large": (
        mail("h", body=b"line\r\n" * 3_000_000),
        "552 5.3.4 the message is larger than this server takes",
    ),
    "nothing at all": (b"", "550 5.6.0 The message has no author domain in From"),
    "no header": (b"\r\nHello.", "550 5.6.0 The message has no author domain in From"),
    "no From": (
        mail("i", author=b"X-From: a@b.example"),
        "550 5.6.0 The message has no author domain in From",
    ),
    "an empty From": (mail("j", author=b"From:"), "550 5.6.0 The message has no author domain in From"),
    "a From without a domain": (
        mail("k", author=b"From: Alice"),
        "550 5.6.0 The message has no author domain in From",
    ),
    # Nobody can say who wrote this, and to read it all would cost more than it is worth.
    "9,000 author addresses": (
        mail("authors", author=b"From: " + b",\r\n ".join([b"alice@customer.example"] * 9_000)),
        "550 5.6.0 The message has no author domain in From",
    ),
    "two domains in From": (
        mail("l", author=b"From: alice@customer.example, ceo@bank.example"),
        "550 5.6.0 The message has several author domains in From",
    ),
    "two From fields": (
        mail("m", b"From: ceo@bank.example"),
        "550 5.6.0 The message has several author domains in From",
    ),
    "a mail in a loop": (
        mail("n", *[b"Received: from a by b; Sat, 21 Nov 2026 10:00:00 +0000"] * 101),
        "554 5.4.6 Too many Received fields, the message is in a loop",
    ),
    "a header block of 300 KiB": (
        mail("o", *[b"X-Filler: " + b"a" * 900] * 330),
        "552 5.3.4 The header block is too large",
    ),
}


@pytest.mark.parametrize("name", NO_MAIL)
async def test_what_is_no_mail_is_refused_and_the_session_goes_on(house: House, name: str) -> None:
    wire, answer = NO_MAIL[name]
    before = len(await house.mail())
    async with await Talk.open(house.server.smtp_addresses[0]) as talk:
        assert await talk.deliver(wire) == answer
        assert len(await house.mail()) == before
        assert await talk.deliver(mail(f"after-{NO_MAIL[name][1][:3]}-{before}")) == "250 2.0.0 Ok"
        assert (await talk.say(b"QUIT")).startswith("221 ")
    assert (await house.mail())[-1].status is EmailStatus.HANDLED
    await house.sink.next()


async def test_a_refusal_of_what_is_no_mail_leaves_an_event(house: House) -> None:
    async with await Talk.open(house.server.smtp_addresses[0]) as talk:
        await talk.deliver(NO_MAIL["no From"][0])
    event = (await house.recent())[0]
    assert event.kind is EventKind.REJECTED
    assert "no author domain" in event.evidence


async def test_a_size_that_is_declared_is_refused_before_it_is_sent(house: House) -> None:
    async with await Talk.open(house.server.smtp_addresses[0]) as talk:
        answer = await talk.say(b"MAIL FROM:<alice@customer.example> SIZE=%d" % (MAX_SIZE + 1))
        assert answer == "552 5.3.4 the message is larger than this server takes"
        assert (await talk.say(b"MAIL FROM:<alice@customer.example> SIZE=" + b"9" * 21)).startswith("5")


# --- taken --------------------------------------------------------------------------------------------------


def nested(depth: int) -> bytes:
    opened = b"".join(
        b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (level - 1, level)
        for level in range(1, depth)
    )
    return opened + b"--b%d\r\n\r\nThe innermost part.\r\n" % (depth - 1)


def enclosed(depth: int) -> bytes:
    return b"From: a@b.example\r\nContent-Type: message/rfc822\r\n\r\n" * depth + b"Hello."


MULTIPART: Final = b"Content-Type: multipart/mixed; boundary=b0"
BROKEN_MAIL: Final[dict[str, bytes]] = {
    "no Message-ID": mail("no-id", b"Date: Sat, 21 Nov 2026 10:00:00 +0000", message_id=False),
    "neither Message-ID nor Date": mail("neither", message_id=False),
    "a Message-ID without brackets": mail("naked", b"Message-ID: naked@customer.example", message_id=False),
    "a Message-ID of 100 KB": mail("long-id", b"Message-ID: <" + b"a" * 100_000 + b"@b>", message_id=False),
    "two Message-IDs": mail("twice", b"Message-ID: <other@customer.example>"),
    "no end of the header block": mail("endless")[:-10],
    "10,000 recipients in To": mail(
        "many", b"To: " + b",\r\n ".join([b"a%d@b.example" % n for n in range(9_999)])
    ),
    "900 author addresses": mail(
        "authors",
        author=b"From: " + b",\r\n ".join([b"alice@customer.example"] * 900),
    ),
    "5,000 multiparts in each other": mail("deep", MULTIPART, body=nested(5_000)),
    "5,000 messages in each other": mail("mails", b"Content-Type: message/rfc822", body=enclosed(5_000)),
    "10,000 parts": mail("parts", MULTIPART, body=b"--b0\r\n\r\na\r\n" * 10_000 + b"--b0--"),
    "a multipart without a boundary": mail(
        "unbound", b"Content-Type: multipart/mixed", body=b"--b0\r\n\r\na\r\n"
    ),
    "a boundary that never comes": mail("never", MULTIPART, body=b"Hello."),
    "a boundary that is not closed": mail("open", MULTIPART, body=b"--b0\r\n\r\nHello."),
    "base64 that is none": mail(
        "b64", b"Content-Transfer-Encoding: base64", body=b"!!!! not base64 \xff\xfe"
    ),
    "half a base64": mail("half", b"Content-Transfer-Encoding: base64", body=b64encode(b"Hello there")[:-3]),
    "quoted-printable that is none": mail(
        "qp", b"Content-Transfer-Encoding: quoted-printable", body=b"=ZZ =\r\n=4"
    ),
    "an unknown encoding": mail("enc", b"Content-Transfer-Encoding: x-uuencode"),
    "an unknown charset": mail("charset", b"Content-Type: text/plain; charset=klingon", body=b"\xff\xfe\x80"),
    "a charset that is no text": mail("rot", b"Content-Type: text/plain; charset=rot13"),
    "a charset that is no codec of text": mail("hex", b"Content-Type: text/plain; charset=hex", body=b"zz"),
    "utf-16 with half a character": mail(
        "half16", b"Content-Type: text/plain; charset=utf-16", body=b"\xff\xfea"
    ),
    "utf-7": mail("utf7", b"Content-Type: text/plain; charset=utf-7", body=b"+ADw-+///"),
    "eight-bit octets in headers": mail("eight", b"X-\xff: \xfe\xff", b"Subject: \xc3\x28\xa0\xa1"),
    "encoded words that are none": mail("words", b"X-A: =?utf-8?b?!!?= =?x?q?=ZZ?= =?utf-8?b?/////w==?="),
    "a surrogate in an encoded word": mail("surrogate", b"Comments: =?utf-8?b?7aCA?="),
    "lines that are no fields": mail("nofield", b"this is no field", b": neither is this", b" nor this"),
    "100,000 parameters": mail("params", b"Content-Type: text/plain" + b";a*0=b" * 30_000),
    "parameters that go on and on": mail(
        "rfc2231", b"Content-Type: text/plain; name*9999999999*=utf-8''%zz%"
    ),
    "comments in each other": mail("comments", b"To: " + b"(" * 50_000),
    "a quotation that is not closed": mail("quote", b'Cc: "' + b"\\" * 50_000),
    "a group that is not closed": mail("group", b"Cc: a:" + b"b:" * 50_000),
    "a route in an address": mail("route", b"Reply-To: <" + b"@a," * 30_000 + b":x@b.example>"),
    "a name of 100 KB": mail("name", author=b'From: "' + b"a" * 100_000 + b'" <alice@customer.example>'),
    "a subject of 100 KB": mail("Re: " * 25_000, message_id=False),
    "a date that is none": mail("date", b"Date: 99 Foo 9999999 99:99:99 +9999", message_id=False),
    "html in html": mail("html", b"Content-Type: text/html", body=b"<div>" * 100_000),
    "lines of 100 KB": mail("lines", body=b"\r\n".join([b"a" * 100_000] * 5)),
    "dots": mail("dots", body=b"..\r\n...\r\n.. \r\n"),
    "a DKIM signature that is none": mail("dkim", b"DKIM-Signature: " + b"v=1;" * 20_000),
    "1,000 DKIM signatures": mail(
        "dkims", *[b"DKIM-Signature: v=1; a=rsa-sha256; d=customer.example; s=s1"] * 1000
    ),
}


@pytest.mark.parametrize("name", BROKEN_MAIL)
async def test_broken_mail_is_taken_kept_read_answered_and_shown(house: House, name: str) -> None:
    wire = BROKEN_MAIL[name]
    async with await Talk.open(house.server.smtp_addresses[0]) as talk:
        assert await talk.deliver(wire) == "250 2.0.0 Ok"
    email = (await house.mail())[-1]
    (run,) = await house.runs(email)
    assert (email.status, run.state, run.error) == (EmailStatus.HANDLED, RunState.FINISHED, None)
    await shows(house, email)
    answer = (await house.sink.next()).raw
    headers, _ = split(answer)
    assert max(map(len, answer.split(b"\r\n"))) <= 998
    assert (headers.get("In-Reply-To") or None) == email.message_id


async def test_a_mail_that_may_not_be_answered_for_its_references_is_kept_and_shown(house: House) -> None:
    references = b"\r\n ".join([b"<%d@customer.example>" % number for number in range(10_000)])
    async with await Talk.open(house.server.smtp_addresses[0]) as talk:
        assert await talk.deliver(mail("refs", b"References: " + references)) == "250 2.0.0 Ok"
    email = (await house.mail())[-1]
    await shows(house, email)
    assert "reply-references-exceeded" in (await house.events(email))[-1].evidence


async def shows(house: House, email: Email) -> None:
    """Every way of looking at the mail works."""
    listed = (await house.ask("/mail?limit=100")).json()["emails"]
    assert email.id in [each["id"] for each in listed]
    for path in (f"/mail/{email.id}", f"/mail/{email.id}/trace"):
        answer = await house.ask(path)
        assert answer.status_code == 200, answer.text
        assert answer.json()["id"] == email.id


# --- commands -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"NOOP " + b"a" * 1_000_000, "500 5.5.2 the command is too long"),
        (b"a" * 1_000_000, "500 5.5.2 the command is too long"),
        (b"MAIL FROM:<" + b"a" * 5_000 + b"@customer.example>", "500 5.5.2 the command is too long"),
        (b"NOOP \0", "500 5.5.2 a command has only printable US-ASCII and ends in CRLF"),
        (b"NOOP \xff", "500 5.5.2 a command has only printable US-ASCII and ends in CRLF"),
        (b"NOOP\nQUIT", "500 5.5.2 a command has only printable US-ASCII and ends in CRLF"),
        (b"", "500 5.5.2 the command is unknown"),
        (b"XYZZY", "500 5.5.2 the command is unknown"),
        (b"STARTTLS", "502 5.5.1 the command is not implemented"),
        (b"DATA", "503 5.5.1 the command is out of order"),
        (b"RCPT TO:<support@desk.example>", "503 5.5.1 the command is out of order"),
        (b"MAIL FROM:alice@customer.example", "501 5.5.4 the argument is not as RFC 5321 defines it"),
        (b"MAIL FROM:<alice@@customer.example>", "501 5.1.7 the path has no valid mailbox"),
        (b"MAIL FROM:<a@b.example> FOO=BAR", "555 5.5.4 the argument is not as RFC 5321 defines it"),
        (b"MAIL FROM:<a@b.example> SIZE=-1", "501 5.5.4 the argument is not as RFC 5321 defines it"),
        (b"GET / HTTP/1.1", "421 4.7.0 this is an SMTP server; closing"),
    ],
    ids=lambda each: repr(each[:20]) if isinstance(each, bytes) else "",
)
async def test_a_bad_command_gets_a_clear_answer(house: House, command: bytes, answer: str) -> None:
    async with await Talk.open(house.server.smtp_addresses[0]) as talk:
        assert await talk.say(command) == answer
        if not answer.startswith("421"):
            assert (await talk.say(b"NOOP")).startswith("250 ")


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        (b"nobody@desk.example", "550 5.1.1 No such mailbox here"),
        (b"alice@customer.example", "550 5.7.1 Relaying denied"),
        (b"support%customer.example@desk.example", "550 5.1.1 No such mailbox here"),
        (b"@customer.example:support@desk.example", "250 2.1.5 recipient taken"),
        (b'"support"@desk.example', "250 2.1.5 recipient taken"),
        (b"support@[127.0.0.1]", "550 5.7.1 Relaying denied"),
        (b"", "501 5.1.3 the path has no valid mailbox"),
        (b"postmaster", "250 2.1.5 recipient taken"),
    ],
)
async def test_a_recipient_is_judged_by_what_it_is(house: House, path: bytes, answer: str) -> None:
    async with await Talk.open(house.server.smtp_addresses[0]) as talk:
        await talk.say(b"MAIL FROM:<>")
        assert await talk.say(b"RCPT TO:<%s>" % path) == answer


async def test_a_recipient_over_the_limit_is_refused_for_now_and_the_others_get_their_mail(
    house: House,
) -> None:
    before = len(await house.mail())
    async with await Talk.open(house.server.smtp_addresses[0]) as talk:
        await talk.say(b"MAIL FROM:<alice@customer.example>")
        answers = [await talk.say(b"RCPT TO:<member%d@list.example>" % number) for number in range(101)]
        assert {answer[:9] for answer in answers[:100]} == {"250 2.1.5"}
        assert answers[100].startswith("452 4.5.3")
        # Said twice, delivered once; so it is none too many.
        assert await talk.say(b"RCPT TO:<member0@list.example>") == "250 2.1.5 recipient taken"
        assert (await talk.say(b"DATA")).startswith("354")
        await talk.put(mail("hundred") + b"\r\n.\r\n")
        assert await talk.reply() == "250 2.0.0 Ok"
    kept = (await house.mail())[before:]
    assert sorted(each.forward_path for each in kept) == sorted(
        f"member{number}@list.example" for number in range(100)
    )
