# SPDX-License-Identifier: Apache-2.0
"""Mail in every charset and threads of every shape, answered through the endpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

import pytest
import yaml

from rejoinder.message.parse import ParsedMessage, parse
from rejoinder.message.thread import base_subject, msg_ids
from rejoinder.replies.settings import RepliesSettings
from rejoinder.store import sent
from tests.unit.api.conftest import REPLY, Api
from tests.unit.api.conftest import api as api  # noqa: PLC0414 - the fixture is used here too
from tests.unit.api.conftest import rate as rate  # noqa: PLC0414

pytestmark = pytest.mark.anyio


class Thread(TypedDict):
    name: str
    original: dict[str, str]
    expect: dict[str, str | int | None]


@pytest.fixture
def budgets() -> RepliesSettings:
    """None: the same correspondent is answered again and again."""
    return RepliesSettings(api_per_correspondent=0, api_per_thread=0)


async def answered(api: Api, original: bytes) -> ParsedMessage:
    """The message that answers a mail."""
    email = await api.add_email(original)
    response = await api.reply(email.id, REPLY | {"to": "zoe@customer.example", "html": "<p>Hi</p>"})
    assert response.status_code == 200, response.text
    row = await api.store.read(lambda: sent.by_id(response.json()["id"]))
    assert row is not None
    return parse(await api.content(row.raw_id))


async def test_what_was_written_in_any_charset_is_quoted_as_it_was_meant(api: Api, corpora: Path) -> None:
    expected: dict[str, dict[str, str]] = json.loads((corpora / "charsets" / "expected.json").read_text())
    assert len(expected) == 52
    for name, parts in expected.items():
        message = await answered(api, (corpora / "charsets" / name).read_bytes())
        if "subject" in parts:
            assert message.headers.fields("Subject")[0].decoded == f"Re: {parts['subject']}", name
        for line in parts.get("text", "").splitlines():
            assert f"> {line}".rstrip() in [each.rstrip() for each in (message.text or "").splitlines()], name
            assert line in (message.html or ""), name
        if "from_name" in parts:
            assert f"{parts['from_name']} <" in (message.text or ""), name


async def test_an_answer_has_the_threading_fields_that_its_original_asks_for(api: Api, corpora: Path) -> None:
    cases: list[Thread] = yaml.safe_load((corpora / "threading" / "threading-own.yml").read_text())["cases"]
    assert len(cases) == 7
    for case in cases:
        fields = {"From": "zoe@customer.example", **case["original"]}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        message = await answered(api, head.encode() + b"\r\nHello\r\n")
        expect = case["expect"]
        for name in ("In-Reply-To", "References", "Subject"):
            if name in expect:
                assert message.headers.get(name) == expect[name], case["name"]
        subject = message.headers.get("Subject", "")
        if "Subject_re_count" in expect:
            assert subject.lower().count("re:") == expect["Subject_re_count"], case["name"]
        if "Subject_base" in expect:
            assert base_subject(subject) == expect["Subject_base"], case["name"]
        assert len(message.headers.fields("Message-ID")) == 1
        assert len(set(msg_ids(message.headers.get("References")))) == len(
            msg_ids(message.headers.get("References"))
        )
