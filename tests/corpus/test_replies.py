# SPDX-License-Identifier: Apache-2.0
"""Hostile and odd text through the reply endpoint, from the official client to the wire.

Whatever stands in a field, it is a refusal that names the field, or a message that says just this and
nothing that was not asked for.
"""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypedDict

import pytest
import yaml

from rejoinder.internet import mail_file
from rejoinder.mailauth.dkim.sign import Signer
from rejoinder.message.headers import split
from rejoinder.message.parse import ParsedMessage, parse
from rejoinder.message.thread import msg_ids, reply_fields
from tests.contract.desk import Answer, Arrived, Desk, desks
from tests.contract.node import Node, running

pytestmark = pytest.mark.anyio

FIELDS: Final = {"From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "MIME-Version"}
MIME: Final = {"Content-Type", "Content-Transfer-Encoding", "DKIM-Signature"}
AT_ONCE: Final = 32


class Injection(TypedDict):
    name: str
    field: str
    value: str


class Threading(TypedDict):
    name: str
    original: dict[str, str]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with running() as node:
        yield node


@pytest.fixture(scope="module")
async def desk(
    tmp_path_factory: pytest.TempPathFactory, customer_key: Signer, desk_key: Path, node: Node
) -> AsyncIterator[Desk]:
    async with desks(tmp_path_factory.mktemp("desk"), customer_key, desk_key, node) as open_:
        yield await open_(replies={"api_per_correspondent": 0, "api_per_thread": 0})


async def test_every_naughty_string_is_sent_as_it_is_or_refused(desk: Desk, corpora: Path) -> None:
    strings: list[str] = json.loads((corpora / "strings" / "blns.json").read_text())
    assert len(strings) == 515
    email = await desk.letter()
    for some in slices(strings):
        answers = await asyncio.gather(*(send(desk, email.id, body(each)) for each in some))
        assert [answer.error for answer in answers] == [None] * len(some)
        arrived = await arrivals(desk, answers)
        for each, answer in zip(some, answers, strict=True):
            message = checked(arrived[answer.text("messageId")])
            assert (message.text or "").removesuffix("\n") == f"{lf(each)}.".removeprefix("\ufeff")
            assert (message.html or "").removesuffix("\n") == f"{lf(each)}<br>".removeprefix("\ufeff")


async def test_every_naughty_string_in_a_header_field_stays_there_or_is_refused(
    desk: Desk, corpora: Path
) -> None:
    strings: list[str] = json.loads((corpora / "strings" / "blns.json").read_text())
    email = await desk.letter()
    refused = 0
    for some in slices(strings):
        asked = [head(name, each) for each in some for name in HEADS]
        answers = await asyncio.gather(*(send(desk, email.id, fields) for fields in asked))
        arrived = await arrivals(desk, answers)
        for fields, answer in zip(asked, answers, strict=True):
            if answer.error is None:
                assert_says(checked(arrived[answer.text("messageId")], also={"X-Odd"}), fields)
            else:
                refused += 1
                assert may_be_refused(fields), (fields, answer.error)
    assert 0 < refused < 40, refused


async def test_nothing_can_be_injected(desk: Desk, corpora: Path) -> None:
    text = (corpora / "injection" / "api-header-injection.yml").read_text()
    cases: list[Injection] = yaml.safe_load(text)["cases"]
    assert len(cases) == 24
    email = await desk.letter()
    for case in cases:
        fields = head(case["field"], case["value"].replace("\\ud800", "\ud800"))
        answer = await send(desk, email.id, fields)
        if answer.error is None:
            checked(await desk.arrived(), also={"X-Odd"})
            assert case["name"].endswith("/long"), case["name"]
        else:
            response = await desk.post(f"/emails/{email.id}/reply", json.dumps(fields | BASE).encode())
            assert response.status_code == 400
            [named] = re.findall(r"^\w+", response.json()["field"])
            # from_name becomes a part of From.
            assert named in {case["field"].partition(".")[0], "from"}, case["name"]


async def test_a_letter_in_every_charset_is_quoted_readably(desk: Desk, corpora: Path) -> None:
    folder = corpora / "charsets"
    expected: dict[str, dict[str, str]] = json.loads((folder / "expected.json").read_text())
    assert len(expected) == 52
    for name, parts in expected.items():
        email = await desk.received(mail_file.read((folder / name).read_bytes()).raw)
        fields = {"text": "Yes.", "html": "<p>Yes.</p>"}
        assert (await send(desk, email.id, fields)).error is None, name
        message = checked(await desk.arrived())
        for said in (parts.get("text", ""), parts.get("from_name", "")):
            assert said in (message.text or ""), name
            assert said in (message.html or ""), name
        assert message.headers.fields("Subject")[0].decoded.endswith(parts.get("subject", "")), name


async def test_replies_thread_on_the_wire_as_the_vectors_want(desk: Desk, corpora: Path) -> None:
    cases: list[Threading] = yaml.safe_load((corpora / "threading" / "threading-own.yml").read_text())[
        "cases"
    ]
    assert len(cases) == 7
    for case in cases:
        lines = [f"{name}: {value}" for name, value in case["original"].items()]
        raw = "\r\n".join(["From: a@sender.test", *lines, "", case["name"], ""]).encode()
        email = await desk.received(raw)
        assert (await send(desk, email.id, {"text": "Yes."})).error is None
        headers = checked(await desk.arrived()).headers
        fields = reply_fields(split(raw)[0])
        assert msg_ids(headers.get("In-Reply-To")) == msg_ids(fields.in_reply_to)
        assert msg_ids(headers.get("References")) == fields.references
        assert headers.fields("Subject")[0].decoded == fields.subject


BASE: Final = {"from": "support@desk.example", "to": "alice@customer.example"}
HEADS: Final = ("subject", "from_name", "headers.value", "attachments.filename")


async def send(desk: Desk, email_id: str, fields: Mapping[str, object]) -> Answer:
    return await desk.call("email.sent.reply", email_id, {**fields, **BASE})


def body(text: str) -> dict[str, object]:
    return {"text": f"{text}.", "html": f"{text}<br>", "includeOriginal": False}


def head(field: str, text: str) -> dict[str, object]:
    """A reply with this text in a field."""
    fields: dict[str, object] = {"text": "Yes.", "includeOriginal": False}
    match field:
        case "headers.value":
            return fields | {"headers": {"X-Odd": text}}
        case "attachments.filename":
            content = b64encode(b"Yes.").decode("ascii")
            return fields | {"attachments": [{"filename": f"{text}.x", "content": content}]}
        case _:
            return fields | {field: text}


def assert_says(message: ParsedMessage, fields: Mapping[str, object]) -> None:
    """The message has in its header what was asked for, up to blanks, and nothing else of it."""
    match fields:
        case {"subject": str(text)} if text:
            assert one_blank(message.headers.fields("Subject")[0].decoded) == one_blank(text)
        case {"headers": {"X-Odd": str(text)}}:
            assert one_blank(message.headers.fields("X-Odd")[0].decoded) == one_blank(text)
        case {"attachments": [{"filename": str(text)}]}:
            [file] = message.attachments
            assert file.filename == re.split(r"[/\\]", text)[-1].strip()
            assert file.content == b"Yes."


async def arrivals(desk: Desk, answers: Iterable[Answer]) -> dict[str, Arrived]:
    """What arrived of those that were sent, by its messageId."""
    sent = [answer for answer in answers if answer.error is None]
    arrived = [await desk.arrived() for _ in sent]
    return {each.headers.get("Message-ID", "").strip("<>"): each for each in arrived}


def checked(arrived: Arrived, also: Iterable[str] = ()) -> ParsedMessage:
    """The message, in which no field, recipient or line end is that nobody asked for."""
    assert arrived.recipients == ["alice@customer.example"]
    lines = arrived.raw.split(b"\r\n")
    assert all(len(line) <= 998 and not set(line) & {0, 10, 13} for line in lines)
    message = parse(arrived.raw)
    names = [each.name for each in message.headers]
    assert len(names) == len(set(names))
    assert set(names) <= FIELDS | MIME | set(also)
    assert message.defects == ()
    return message


def slices(strings: list[str]) -> Iterator[list[str]]:
    return (strings[start : start + AT_ONCE] for start in range(0, len(strings), AT_ONCE))


def lf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def one_blank(text: str) -> str:
    return " ".join(text.split())


def may_be_refused(fields: Mapping[str, object]) -> bool:
    """Whether a header field cannot hold the text, or a file not have the name."""
    match fields:
        case {"attachments": [{"filename": str(text)}]} if len(text) > 255:
            return True
    text = json.dumps(fields, ensure_ascii=False)
    return re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]|\\[bfnrt]|\\u00", text) is not None
