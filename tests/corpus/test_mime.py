# SPDX-License-Identifier: Apache-2.0
"""Real mail: all of it is read, and where others wrote down what is in it, we find the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from rejoinder.errors import MessageError
from rejoinder.message.address import Mailbox, author_domains, parse_address_list
from rejoinder.message.adopt import normalise
from rejoinder.message.automatic import detect
from rejoinder.message.event_key import EventKeys
from rejoinder.message.headers import split
from rejoinder.message.parse import parse
from rejoinder.message.thread import reply_fields
from rejoinder.message.trace import parse_date

FILES = 320

DEPARTURES = {
    # Where mail-parser finds something else, and why we do not.
    "legacy/052.eml",  # it keeps the bytes of an unlabelled Latin-1 body as replacement characters
    "thirdparty/002.eml",  # it takes garbage as base64 for an attachment, we for text
    "thirdparty/005.eml",  # it takes "--1--" within a line for a boundary (RFC 2046 §5.1.1: at its beginning)
    "thirdparty/015.eml",  # it loses attached messages whose own multipart has no parts
}


class Body(TypedDict, total=False):
    Text: str
    Html: str


class Node(TypedDict):
    body: Body | str


class Reading(TypedDict):
    text_body: list[int]
    html_body: list[int]
    attachments: list[int]
    parts: list[Node]


def _mails(corpora: Path) -> Iterator[Path]:
    for path in sorted((corpora / "mime").rglob("*")):
        if path.is_file() and path.name != "LICENSE" and path.suffix != ".json":
            yield path


def test_all_of_it_is_read_without_an_exception(corpora: Path) -> None:
    count = 0
    for path in _mails(corpora):
        raw = path.read_bytes()
        message = parse(raw)
        headers, body = split(raw)
        assert isinstance((message.text or "") + (message.html or ""), str)
        for part in message.attachments:
            assert (part.size, part.filename != "", part.disposition != "") == (len(part.content), True, True)
        for field in headers:
            assert "\r\n" not in field.decoded
            parse_address_list(field.value)
            parse_date(field.value)
        author_domains(headers)
        detect(headers, None)
        reply_fields(headers)
        EventKeys(None, headers, raw[body:]).of(Mailbox("a", "b.example"))
        count += 1
    assert count == FILES


def test_what_may_leave_keeps_what_it_says(corpora: Path) -> None:
    refused = 0
    for path in _mails(corpora):
        try:
            raw = normalise(path.read_bytes())
        except MessageError:
            refused += 1
            continue
        assert raw.count(b"\r\n") == raw.count(b"\n") == raw.count(b"\r")
        assert normalise(raw) == raw
    assert 0 < refused < FILES // 10


def test_it_is_read_as_another_reader_reads_it(corpora: Path) -> None:
    folder = corpora / "mime" / "stalwart-mail-parser"
    differing = set()
    for path in sorted(folder.rglob("*.eml")):
        reading: Reading = json.loads(path.with_suffix(".json").read_text())
        message = parse(path.read_bytes())
        same = (
            _words(message.text) == _words(_joined(reading, reading["text_body"], "Text"))
            and _words(message.html) == _words(_joined(reading, reading["html_body"], "Html"))
            and len(message.attachments) == len(reading["attachments"])
        )
        if not same:
            differing.add(str(path.relative_to(folder)))
    assert differing == DEPARTURES


def _joined(reading: Reading, indices: list[int], kind: str) -> str:
    bodies = [reading["parts"][index]["body"] for index in indices]
    return " ".join(str(body[kind]) for body in bodies if isinstance(body, dict) and kind in body)  # type: ignore[literal-required]


def _words(text: str | None) -> list[str]:
    return (text or "").split()
