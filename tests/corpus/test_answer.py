# SPDX-License-Identifier: Apache-2.0
"""Real and hostile mail, answered through the API: one message, our fields once, the right characters."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import pytest
import yaml

from rejoinder.errors import MessageError, RecipientMissing
from rejoinder.message.address import Address, Mailbox
from rejoinder.message.compose import Attached
from rejoinder.message.parse import ParsedMessage, parse
from rejoinder.replies.answer_compose import build, check
from rejoinder.replies.original import parsed
from rejoinder.replies.recipients import Recipients, recipients
from rejoinder.replies.request import ReplyRequest
from tests.unit.replies.originals import NOW, OUR_ID

FROM = Address("Desk", Mailbox("support", "desk.example"))
ANN = Address("", Mailbox("ann", "customer.example"))
REQUEST = ReplyRequest(FROM, text="Thanks.", html="<p>Thanks.</p>", reply_all=True)


class Case(TypedDict):
    name: str
    field: str
    value: str


def answered(request: ReplyRequest, original: ParsedMessage) -> ParsedMessage:
    to = recipients(request, original.headers, sent=False, is_own=lambda _: False)
    return sent(request, to, original)


def sent(request: ReplyRequest, to: Recipients, original: ParsedMessage) -> ParsedMessage:
    check(request)
    message = build(request, to, original, at=NOW, message_id=OUR_ID, now=NOW).raw
    assert message.count(b"\r\n") == message.count(b"\n") == message.count(b"\r")
    assert b"\0" not in message
    assert max(map(len, message.split(b"\r\n"))) <= 998
    read = parse(message)
    assert not read.defects
    counts = Counter(each.name.lower() for each in read.headers)
    assert set(counts.values()) == {1}
    assert "bcc" not in counts
    return read


def mails(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*.eml")) if path.is_file())


def test_every_mail_of_the_corpora_can_be_answered(corpora: Path) -> None:
    count = 0
    for path in mails(corpora):
        original = parsed(path.read_bytes())
        try:
            message = answered(REQUEST, original)
        except RecipientMissing:
            continue
        count += 1
        assert (message.text or "").startswith("Thanks.\n\nOn "), path
        assert (message.html or "").startswith("<p>Thanks.</p>"), path
    assert count > 100


def test_what_was_written_in_any_charset_is_quoted_in_its_characters(corpora: Path) -> None:
    for path in mails(corpora / "charsets"):
        original = parsed(path.read_bytes())
        message = sent(replace(REQUEST, html=None), Recipients((ANN,), (), ()), original)
        quoted = [line.rstrip() for line in (message.text or "").split("\n")]
        for line in (original.text or "").rstrip().split("\n"):
            mark = ">" if not line.rstrip() or line.startswith(">") else "> "
            assert f"{mark}{line}".rstrip() in quoted, path


def _placed(case: Case) -> ReplyRequest:
    value = case["value"]
    match case["field"]:
        case "subject":
            return replace(REQUEST, subject=value)
        case "from_name":
            return replace(REQUEST, from_=Address(value, FROM.mailbox))
        case "headers.value":
            return replace(REQUEST, headers=(("X-Custom", value),))
        case "attachments.filename":
            return replace(REQUEST, attachments=(Attached(value, "text/plain", b"x"),))
        case other:
            raise AssertionError(other)


def test_no_value_begins_a_second_field(corpora: Path) -> None:
    text = (corpora / "injection" / "api-header-injection.yml").read_text(encoding="utf-8")
    for case in yaml.safe_load(text)["cases"]:
        request = replace(_placed(case), to=(ANN,))
        try:
            message = answered(request, parse(b"From: ben@b.example\r\n\r\n"))
        except MessageError as refused:
            assert refused.field, case["name"]  # noqa: PT017 - either answer is right, and this is of one
        else:
            assert "long" in case["name"], case["name"]
            assert message.headers.get("To") == "ann@customer.example"


@pytest.mark.parametrize("field", ["subject", "from_name", "headers.value", "attachments.filename"])
def test_any_string_is_sent_as_it_is_or_refused_with_its_field(corpora: Path, field: str) -> None:
    for value in json.loads((corpora / "strings" / "blns.json").read_text(encoding="utf-8")):
        request = replace(_placed({"name": "", "field": field, "value": value}), to=(ANN,), text=f"-{value}")
        try:
            message = answered(request, parse(b"From: ben@b.example\r\n\r\n"))
        except MessageError as refused:
            assert refused.field  # noqa: PT017 - as above
            continue
        assert (message.text or "").startswith(f"-{value}".rstrip() + "\n\nOn ")
        if field == "subject" and value and " ".join(value.split()) == value:
            assert message.headers.fields("Subject")[0].decoded == value
