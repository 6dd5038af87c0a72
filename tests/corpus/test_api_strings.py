# SPDX-License-Identifier: Apache-2.0
"""Strings that break things, and attempts at injection, through the reply endpoint.

Each is refused with the field named, or it leaves in a message that has every field once, goes to nobody who
was not asked for, and says what was asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, TypedDict

import httpx2
import pytest
import yaml

from rejoinder.message.parse import ParsedMessage, parse
from rejoinder.replies.settings import RepliesSettings
from rejoinder.store import raws, sent
from tests.unit.api.conftest import REPLY, Api
from tests.unit.api.conftest import api as api  # noqa: PLC0414 - the fixture is used here too
from tests.unit.api.conftest import rate as rate  # noqa: PLC0414

pytestmark = pytest.mark.anyio

ZOE: Final = "zoe@customer.example"
OURS: Final = frozenset(
    {
        "date", "from", "to", "subject", "message-id", "in-reply-to", "references", "mime-version",
        "content-type", "content-transfer-encoding",
    }
)  # fmt: skip


class Attempt(TypedDict):
    name: str
    field: str
    value: str


@pytest.fixture
def budgets() -> RepliesSettings:
    """None: hundreds of answers go to one correspondent here."""
    return RepliesSettings(api_per_correspondent=0, api_per_thread=0)


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with api.client() as client:
        yield client


async def post(client: httpx2.AsyncClient, asked: str, fields: dict[str, object]) -> httpx2.Response:
    # As JSON writes it: also a lone surrogate, by its escape.
    content = json.dumps({**REPLY, "include_original": False, **fields})
    return await client.post(f"/api/v2/emails/{asked}/reply", content=content)


async def assert_harmless(
    api: Api, response: httpx2.Response, field: str, also: frozenset[str] = frozenset()
) -> ParsedMessage | None:
    """Refused by this field, or sent and clean; then the message."""
    if response.status_code != 200:
        assert response.status_code == 400, response.text
        assert response.json()["field"].startswith(field), response.text
        return None
    sent_id = response.json()["id"]
    row = await api.store.read(lambda: sent.by_id(sent_id))
    assert row is not None
    kept = await api.store.read(lambda: raws.get(row.raw_id))
    assert kept is not None
    content = await api.raw.load(kept)
    assert [each.forward_path for each in await api.store.read(lambda: sent.deliveries(sent_id))] == [ZOE]
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\x00", content)
    assert max(map(len, content.split(b"\r\n"))) <= 998
    message = parse(content)
    names = [each.name.lower() for each in message.headers]
    assert len(names) == len(set(names))
    assert set(names) <= OURS | also
    return message


async def test_no_attempt_makes_a_field_or_a_recipient(
    api: Api, client: httpx2.AsyncClient, corpora: Path
) -> None:
    email = await api.add_email()
    attempts: list[Attempt] = yaml.safe_load(
        (corpora / "injection" / "api-header-injection.yml").read_text()
    )["cases"]
    assert len(attempts) == 24
    for attempt in attempts:
        field, value = attempt["field"], attempt["value"]
        fields: dict[str, dict[str, object]] = {
            "subject": {"subject": value},
            "from_name": {"from_name": value},
            "headers.value": {"headers": {"X-Own": value}},
            "headers.name": {"headers": {value: "x"}},
            "attachments.filename": {"attachments": [{"filename": value, "content": "YQ=="}]},
        }
        response = await post(client, email.id, fields[field])
        await assert_harmless(api, response, field.partition(".")[0], frozenset({"x-own"}))


async def strings(corpora: Path) -> list[str]:
    found: list[str] = json.loads((corpora / "strings" / "blns.json").read_text())
    assert len(found) == 515
    return found


def on_one_line(text: str) -> str:
    # Readers drop a byte order mark.
    return " ".join(text.removeprefix("\ufeff").split())


async def test_any_string_may_be_a_subject_a_name_a_header_or_a_text(
    api: Api, client: httpx2.AsyncClient, corpora: Path
) -> None:
    email = await api.add_email()
    for string in await strings(corpora):
        response = await post(client, email.id, {"subject": string})
        message = await assert_harmless(api, response, "subject")
        if message is not None and string.strip():
            subject = message.headers.fields("Subject")[0].decoded
            assert on_one_line(subject) == on_one_line(string)
        response = await post(client, email.id, {"text": string or "x", "headers": {"X-Own": string}})
        message = await assert_harmless(api, response, "headers", frozenset({"x-own"}))
        if message is not None:
            assert on_one_line(message.text or "") == on_one_line(string or "x")


async def test_any_string_may_name_the_author_or_a_file_or_be_html(
    api: Api, client: httpx2.AsyncClient, corpora: Path
) -> None:
    email = await api.add_email()
    for string in await strings(corpora):
        response = await post(client, email.id, {"from_name": string, "html": string or "x"})
        message = await assert_harmless(api, response, "from_name")
        if message is not None:
            assert on_one_line(message.html or "") == on_one_line(string or "x")
        file = {"filename": string, "content": "YQ=="}
        message = await assert_harmless(
            api, await post(client, email.id, {"attachments": [file]}), "attachments"
        )
        if message is not None:
            assert [part.content for part in message.attachments] == [b"a"]


@pytest.mark.parametrize("name", ["from", "to", "cc", "bcc", "reply_to"])
async def test_no_string_is_an_address_unless_it_is_one(
    api: Api, client: httpx2.AsyncClient, corpora: Path, name: str
) -> None:
    email = await api.add_email()
    for string in await strings(corpora):
        if string.strip() or name != "from":
            response = await post(client, email.id, {name: string})
            assert response.status_code == (400 if string else 200), (string, response.text)


async def test_any_string_may_be_an_id_or_a_key(api: Api, client: httpx2.AsyncClient, corpora: Path) -> None:
    email = await api.add_email()
    for string in await strings(corpora):
        response = await client.post(
            httpx2.URL("http://here").copy_with(
                raw_path=b"/api/v2/emails/"
                + b"".join(b"%%%02X" % byte for byte in string.encode())
                + b"/reply"
            ),
            json=REPLY,
        )
        assert response.status_code in {400, 404}, string
        key = string.encode("utf-8").strip()
        if not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", key):
            response = await client.post(
                f"/api/v2/emails/{email.id}/reply",
                json=REPLY,
                headers=[(b"Idempotency-Key", key)],
            )
            assert response.status_code == (200 if len(key) <= 256 else 400), string
