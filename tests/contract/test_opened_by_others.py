# SPDX-License-Identifier: Apache-2.0
"""Replies as three readers open them: mailparser, the standard library and ours see the same message.

What they see is also what the author of the reply asked for: text, names, files, and the thread.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass, replace
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.headerregistry import BaseHeader
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Final, TypeAlias

import pytest
from pydantic import TypeAdapter

from rejoinder.message.address import parse_address_list
from rejoinder.message.headers import Headers
from rejoinder.message.parse import parse
from tests.acceptance.house import SUPPORT
from tests.contract.desk import Desk
from tests.contract.node import Node

pytestmark = pytest.mark.anyio

Mailboxes: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class File:
    """A part that is no body text; its content as base64."""

    filename: str | None
    content_type: str
    content_id: str | None
    disposition: str | None
    content: str


@dataclass(frozen=True)
class Opened:
    """What a reader makes of a message: names and mailboxes in pairs, identifiers with their brackets."""

    subject: str
    message_id: str
    in_reply_to: str | None
    references: tuple[str, ...]
    author: Mailboxes
    to: Mailboxes
    cc: Mailboxes
    text: str | None
    html: str | None
    files: tuple[File, ...]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def desk(common_desk: Desk) -> Desk:
    return common_desk


async def opened(node: Node, raw: bytes) -> Opened:
    """The message, which all three readers see alike."""
    read = TypeAdapter(Opened).validate_python(await node.open(raw))
    ours = by_us(raw)
    assert replace(read, text=plain(read.text), html=plain(read.html)) == ours
    assert by_the_standard_library(raw) == ours
    return ours


def by_us(raw: bytes) -> Opened:
    message = parse(raw)
    headers = message.headers
    return Opened(
        subject="".join(each.decoded for each in headers.fields("Subject")),
        message_id=headers.get("Message-ID", ""),
        in_reply_to=headers.get("In-Reply-To"),
        references=tuple(headers.get("References", "").split()),
        author=mailboxes(headers, "From"),
        to=mailboxes(headers, "To"),
        cc=mailboxes(headers, "Cc"),
        text=plain(message.text),
        html=plain(message.html),
        files=tuple(
            File(
                each.filename,
                each.content_type,
                None if each.content_id is None else f"<{each.content_id}>",
                each.disposition,
                b64encode(each.content).decode("ascii"),
            )
            for each in message.attachments
        ),
    )


def mailboxes(headers: Headers, field: str) -> Mailboxes:
    found = parse_address_list(headers.get(field, ""))
    return tuple((each.display_name, str(each.mailbox)) for each in found)


def by_the_standard_library(raw: bytes) -> Opened:
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert [defect for part in message.walk() for defect in part.defects] == []
    leaves = [part for part in message.walk() if not part.is_multipart()]
    bodies = {part.get_content_type(): part for part in leaves if part.get_content_disposition() is None}
    return Opened(
        subject=str(message["Subject"]),
        message_id=str(message["Message-ID"]),
        in_reply_to=message["In-Reply-To"],
        references=tuple(str(message["References"] or "").split()),
        author=addresses(message, "From"),
        to=addresses(message, "To"),
        cc=addresses(message, "Cc"),
        text=plain(bodies["text/plain"].get_content() if "text/plain" in bodies else None),
        html=plain(bodies["text/html"].get_content() if "text/html" in bodies else None),
        files=tuple(
            File(
                part.get_filename(),
                part.get_content_type(),
                part["Content-ID"],
                part.get_content_disposition(),
                content(part),
            )
            for part in leaves
            if part.get_content_disposition() is not None
        ),
    )


def content(part: EmailMessage) -> str:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return b64encode(payload).decode("ascii")


def addresses(message: EmailMessage, field: str) -> Mailboxes:
    header = message[field]
    if header is None:
        return ()
    assert isinstance(header, BaseHeader)
    assert header.defects == ()
    # Its newer reader puts a blank between encoded words that stand side by side in a name, against
    # RFC 2047 §6.2; the older one does not.
    [raw] = (value for name, value in message.raw_items() if name == field)
    return tuple(
        (str(make_header(decode_header(name))), mailbox) for name, mailbox in getaddresses([str(raw)])
    )


def plain(text: str | None) -> str | None:
    """Line ends as LF; readers differ in whether the last one belongs to the text."""
    return None if text is None else text.replace("\r\n", "\n").rstrip("\n")


ODD_TEXT: Final = "\n".join(
    [
        "Grüße aus Köln, 你好, 👍🏽 und עברית.",
        "",
        "From here on it is odd:",
        ".",
        "..",
        "-- ",
        "--=_boundary",
        "a line = that =3D looks encoded = ",
        "\tends in blanks   ",
        "x" * 3000,
        "ü" * 1500,
    ]
)
NAMES: Final = [
    "invoice.pdf",
    "with blank and 'quotes\".txt",
    "semi;colon=equals%20percent*.txt",
    "Größe.txt",
    "漢字テスト👍.txt",
    f"{'very long name ' * 12}.txt",
    f"{'sehr langer Näme ' * 12}.txt",
]


@pytest.mark.parametrize(
    "text", ["Short.", ODD_TEXT, "\n\nBegins empty.", "CRLF\r\nand LF\nand CR\rhere", "żółw " * 500]
)
async def test_a_text_is_read_as_it_was_written(desk: Desk, text: str) -> None:
    email = await desk.letter()
    await desk.call(
        "reply", email.id, {"from": "support@desk.example", "text": text, "includeOriginal": False}
    )
    seen = await opened(desk.node, (await desk.arrived()).raw)
    assert seen.text == text.replace("\r\n", "\n").replace("\r", "\n")
    assert seen.html is None
    assert seen.files == ()


async def test_text_html_an_image_and_files_are_read_as_they_were_given(desk: Desk) -> None:
    html = '<p>Grüße 👍</p>\n<img src="cid:logo@desk"><p>' + "lang " * 400 + "</p>"
    octets = bytes(range(256)) * 40
    files = [
        {"filename": name, "contentType": "application/x-parts", "content": b64encode(octets).decode()}
        for name in NAMES
    ]
    logo = {
        "filename": "лого.png",
        "contentType": "image/png",
        "content_id": "logo@desk",
        "content": "iVBORw==",
    }
    email = await desk.letter()
    fields = {"from": "support@desk.example", "text": ODD_TEXT, "html": html, "includeOriginal": False}
    await desk.call("reply", email.id, fields | {"attachments": [logo, *files]})
    seen = await opened(desk.node, (await desk.arrived()).raw)
    assert (seen.text, seen.html) == (ODD_TEXT, html)
    assert seen.files[0] == File("лого.png", "image/png", "<logo@desk>", "inline", "iVBORw==")
    assert [each.filename for each in seen.files[1:]] == NAMES
    assert {each.disposition for each in seen.files[1:]} == {"attachment"}
    assert all(b64decode(each.content) == octets for each in seen.files[1:])


async def test_html_alone_has_a_text_beside_it(desk: Desk) -> None:
    email = await desk.letter()
    fields = {"from": "support@desk.example", "html": "<h1>Grüße</h1><p>Wir <b>kommen</b> &amp; helfen.</p>"}
    await desk.call("reply", email.id, fields | {"includeOriginal": False})
    seen = await opened(desk.node, (await desk.arrived()).raw)
    assert seen.html == fields["html"]
    assert seen.text is not None
    assert [line for line in seen.text.split("\n") if line] == ["Grüße", "Wir kommen & helfen."]


@pytest.mark.parametrize(
    "name",
    [
        "Alice",
        "Alice B. Miller",
        "Müller, Jörg",
        'Jörg "der" O\'Neil',
        'Anna "the boss" (sales) <x>; @ desk',
        "山田 太郎",
        "=?utf-8?q?not_encoded?=",
        "Ω" * 120,
        "long plain words " * 15 + "end",
    ],
)
async def test_names_and_subjects_are_read_as_they_were_given(desk: Desk, name: str) -> None:
    email = await desk.letter()
    await desk.call(
        "reply",
        email.id,
        {
            "from": "support@desk.example",
            "from_name": name,
            "to": ["alice@customer.example", "Zoë van Ö <zoe@customer.example>"],
            "cc": "Bob <bob@customer.example>",
            "subject": f"Über: {name}",
            "text": "Hello.",
        },
    )
    seen = await opened(desk.node, (await desk.arrived()).raw)
    assert seen.author == ((name, "support@desk.example"),)
    assert seen.to == (("", "alice@customer.example"), ("Zoë van Ö", "zoe@customer.example"))
    assert seen.cc == (("Bob", "bob@customer.example"),)
    assert seen.subject == f"Über: {name}"


LETTERS: Final[dict[str, tuple[bytes, str, str]]] = {
    "iso-2022-jp": (b"=?iso-2022-jp?B?GyRCJDMkcyRLJEEkTxsoQg==?=", "iso-2022-jp", "こんにちは。元気ですか"),
    "koi8-r": (b"=?koi8-r?Q?=F0=D2=C9=D7=C5=D4?=", "koi8-r", "Привет, как дела?"),
    "windows-1252": (b"=?windows-1252?Q?=80_5?=", "windows-1252", "Das kostet 5 € – „viel“."),
    "gb18030": (b"=?utf-8?B?5L2g5aW9?=", "gb18030", "你好，世界"),
}


@pytest.mark.parametrize("charset", LETTERS)
async def test_a_letter_in_any_charset_is_quoted_readably(desk: Desk, charset: str) -> None:
    subject, _, text = LETTERS[charset]
    lines = [
        b"From: =?utf-8?Q?Al=C3=AFce?= <alice@customer.example>",
        b"To: support@desk.example",
        b"Subject: " + subject,
        b"Message-ID: <%s@customer.example>" % charset.encode(),
        b"Date: Sat, 21 Nov 2026 10:00:00 +0000",
        b"MIME-Version: 1.0",
        b"Content-Type: text/plain; charset=" + charset.encode(),
        b"Content-Transfer-Encoding: base64",
        b"",
        b64encode(text.encode(charset)),
        b"",
    ]
    email = await desk.received(b"\r\n".join(lines))
    await desk.call("reply", email.id, {"from": "support@desk.example", "text": "Ja.", "html": "<p>Ja.</p>"})
    seen = await opened(desk.node, (await desk.arrived()).raw)
    expected = str(message_from_bytes(b"Subject: " + subject, policy=policy.default)["Subject"])
    assert seen.subject == f"Re: {expected}"
    assert seen.to == (("Alïce", "alice@customer.example"),)
    assert seen.text is not None
    assert "Alïce <alice@customer.example> wrote:" in seen.text
    assert seen.text.endswith(f"> {text}")
    assert seen.html is not None
    assert text in seen.html


async def test_a_letter_in_html_is_quoted_in_both_without_what_runs(desk: Desk) -> None:
    lines = [
        b"From: Alice <alice@customer.example>",
        b"To: support@desk.example",
        b"Subject: In html",
        b"Message-ID: <html@customer.example>",
        b"Date: Sat, 21 Nov 2026 10:00:00 +0000",
        b"MIME-Version: 1.0",
        b"Content-Type: text/html; charset=utf-8",
        b"Content-Transfer-Encoding: 8bit",
        b"",
        "<p onclick='steal()'>Grüße</p><script>steal()</script></blockquote></div><p>Schluss".encode(),
        b"",
    ]
    email = await desk.received(b"\r\n".join(lines))
    await desk.call("reply", email.id, {"from": "support@desk.example", "html": "<p>Danke.</p>"})
    seen = await opened(desk.node, (await desk.arrived()).raw)
    assert seen.text is not None
    assert seen.text.startswith("Danke.\n")
    assert [line for line in seen.text.split("\n") if line.startswith("> ")] == ["> Grüße", "> Schluss"]
    assert seen.html is not None
    assert "steal" not in seen.html
    quoted = seen.html[seen.html.index("<blockquote") : seen.html.index("</blockquote>")]
    assert "<p>Grüße</p>" in quoted
    assert "<p>Schluss" in quoted


async def test_a_conversation_is_one_thread_to_every_reader(desk: Desk) -> None:
    raw, ids, threads = desk.house.alice.write(SUPPORT, "Grüße 👍", "First."), [], set()
    for number in range(4):
        ids.append(parse(raw).headers.get("Message-ID", ""))
        email = await desk.received(raw)
        threads.add(email.thread_id)
        answer = await desk.call(
            "reply", email.id, {"from": "support@desk.example", "text": f"Answer {number}."}
        )
        arrived = await desk.arrived()
        seen = await opened(desk.node, arrived.raw)
        assert seen.subject == "Re: Grüße 👍"
        assert seen.in_reply_to == ids[-1]
        assert seen.references == tuple(ids)
        assert seen.message_id == f"<{answer['messageId']}>"
        ids.append(seen.message_id)
        raw = desk.house.alice.write(SUPPORT, "", f"Question {number}.", answering=arrived.headers)
    assert len(threads) == 1
