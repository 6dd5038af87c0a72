# SPDX-License-Identifier: Apache-2.0
"""Which requests pass the framework by, and that nobody can tell from their answers."""

from __future__ import annotations

import json

import httpx2
import pytest
from fastapi import Request, Response
from starlette.types import Scope

from rejoinder.api.shortcut import bare, is_reply
from tests.unit.api.conftest import REPLY, Api

pytestmark = pytest.mark.anyio

EMAIL = "email_01h455vb4pex5vsknk084sn02q"


@pytest.mark.parametrize("kind", ["email", "sent", "thread"])
def test_a_reply_to_what_can_be_answered_passes_by(kind: str) -> None:
    asked = EMAIL.replace("email", kind)
    scope: Scope = {"type": "http", "method": "POST", "path": f"/api/v2/emails/{asked}/reply"}
    assert is_reply(scope)
    assert scope["path_params"] == {"email_id": asked}


@pytest.mark.parametrize(
    ("type_", "method", "path"),
    [
        ("websocket", "POST", f"/api/v2/emails/{EMAIL}/reply"),
        ("http", "GET", f"/api/v2/emails/{EMAIL}/reply"),
        ("http", "HEAD", f"/api/v2/emails/{EMAIL}/reply"),
        ("http", "POST", f"/api/v2//emails/{EMAIL}/reply"),
        ("http", "POST", f"/api/v2/emails/{EMAIL}/reply/"),
        ("http", "POST", f"/api/v2/emails/{EMAIL}/reply\n"),
        ("http", "POST", "/api/v2/emails/schedule/reply"),
        ("http", "POST", "/api/v2/emails/undefined/reply"),
        ("http", "POST", "/api/v2/emails/reply"),
    ],
)
def test_everything_else_goes_through_the_framework(type_: str, method: str, path: str) -> None:
    assert not is_reply({"type": type_, "method": method, "path": path})


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Authorization": "Bearer rj_unknown"}, REPLY, 401),
        ({}, "{", 400),
        ({}, {**REPLY, "from": "Support <support@elsewhere.example>"}, 403),
        ({"Idempotency-Key": "k" * 257}, REPLY, 400),
        ({"Accept": "application/problem+json"}, {"from": "nobody"}, 400),
        ({"X-Request-Id": "from-there"}, {"text": "x"}, 400),
    ],
)
async def test_both_ways_refuse_alike(
    api: Api, headers: dict[str, str], body: dict[str, str] | str, status: int
) -> None:
    short, long = await _both(api, headers, body)
    assert short.status_code == long.status_code == status
    assert short.content == long.content
    assert dict(short.headers) == dict(long.headers)


async def test_both_ways_send(api: Api) -> None:
    short, long = await _both(api, {}, REPLY)
    assert short.status_code == long.status_code == 200
    assert short.json().keys() == long.json().keys()
    assert dict(short.headers) == dict(long.headers)


async def _both(api: Api, headers: dict[str, str], body: dict[str, str] | str) -> list[httpx2.Response]:
    """The answers of the short way and of the long one."""
    email = await api.add_email()
    content = body if isinstance(body, str) else json.dumps(body)
    paths = [f"/api/v2/emails/{email.id}/reply", f"/api/v2//emails/{email.id}/reply"]
    assert [is_reply({"type": "http", "method": "POST", "path": path}) for path in paths] == [True, False]
    async with api.client() as client:
        return [await client.post(f"http://here{path}", content=content, headers=headers) for path in paths]


async def test_what_fails_in_our_own_code_is_left_to_the_frame() -> None:
    async def endpoint(_: Request) -> Response:
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        await bare(endpoint)({"type": "http", "headers": []}, _receive, _send)


async def _receive() -> dict[str, object]:
    return {}


async def _send(_: object) -> None:
    return None
