# SPDX-License-Identifier: Apache-2.0
"""Each error of the seed's table by its sentence, as a user of the official client sees it.

The client shows nothing of a refusal but the field ``error``. What it checks by itself, or cannot write, is
posted past it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Final

import pytest
from structlog.testing import capture_logs

from rejoinder.errors import StoreError
from tests.acceptance.house import KEY
from tests.contract.desk import Desk, OpenDesk

pytestmark = pytest.mark.anyio

FROM: Final = "support@desk.example"
FIELDS: Final[dict[str, object]] = {"from": FROM, "text": "We have it."}
UNKNOWN: Final = f"email_{'0' * 26}"
FROM_NOBODY: Final = b"\r\n".join(
    [
        # RFC 5321 §4.5.3.1.1 allows 64 characters before the @.
        b"From: " + b"a" * 65 + b"@customer.example",
        b"To: support@desk.example",
        b"Message-ID: <nobody@customer.example>",
        b"",
        b"Hello.",
    ]
)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def desk(common_desk: Desk) -> Desk:
    return common_desk


async def error(desk: Desk, email_id: str, fields: dict[str, object], key: str = KEY) -> object:
    """What the client says of a reply that must fail."""
    answer = await desk.call("email.sent.reply", email_id, fields, key=key)
    assert answer.data is None, answer.data
    return answer.error


@pytest.mark.parametrize("email_id", ["", "undefined", "null", "x" * 129, "email.abc123", "email%20abc", "é"])
async def test_valid_email_id_is_required(desk: Desk, email_id: str) -> None:
    assert await error(desk, email_id, FIELDS) == "Valid email ID is required"


@pytest.mark.parametrize("path", ["/emails/reply", "/emails//reply"])
async def test_valid_email_id_is_required_where_none_is_given(desk: Desk, path: str) -> None:
    response = await desk.post(path, json.dumps(FIELDS).encode())
    assert response.status_code == 400
    assert response.json()["error"] == "Valid email ID is required"


@pytest.mark.parametrize("author", [None, "", "  "])
async def test_from_address_is_required(desk: Desk, author: str | None) -> None:
    email = await desk.letter()
    assert await error(desk, email.id, FIELDS | {"from": author}) == "From address is required"


async def test_the_client_itself_wants_a_from(desk: Desk) -> None:
    answer = await desk.call("reply", UNKNOWN, {"text": "We have it."})
    assert answer.error == 'Reply requires a "from" address.'


@pytest.mark.parametrize("content", [{}, {"text": ""}, {"text": None, "html": ""}])
async def test_either_html_or_text_content_must_be_provided(desk: Desk, content: dict[str, object]) -> None:
    email = await desk.letter()
    sentence = "Either html or text content must be provided"
    assert await error(desk, email.id, {"from": FROM, **content}) == sentence


async def test_cannot_determine_recipient_email_address(desk: Desk) -> None:
    email = await desk.received(FROM_NOBODY)
    assert await error(desk, email.id, FIELDS) == "Cannot determine recipient email address"
    await desk.call("email.sent.reply", email.id, FIELDS | {"to": "alice@customer.example"})
    assert (await desk.arrived()).recipients == ["alice@customer.example"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("from", "support"),
        ("from", "Support <support@desk.example"),
        ("to", "alice@customer.example\r\nBcc: eve@evil.example"),
        ("to", ["alice@customer.example", "bob"]),
        ("cc", "@customer.example"),
        ("bcc", ["bob@"]),
        ("replyTo", "bob at customer.example"),
        ("reply_to", ["a@b@c.example"]),
    ],
)
async def test_invalid_email_format(desk: Desk, field: str, value: object) -> None:
    email = await desk.letter()
    found = await error(desk, email.id, FIELDS | {field: value})
    assert isinstance(found, str)
    assert found.startswith("Invalid email format: ")
    assert await desk.sent_count(email) == 0


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b'{"from": }', b"\xff\xfe", b"null"])
async def test_invalid_json_in_request_body(desk: Desk, body: bytes) -> None:
    email = await desk.letter()
    response = await desk.post(f"/emails/{email.id}/reply", body)
    assert response.status_code == 400
    assert response.json()["error"] == "Invalid JSON in request body"


async def test_an_empty_body_lacks_fields_and_is_no_broken_json(desk: Desk) -> None:
    email = await desk.letter()
    response = await desk.post(f"/emails/{email.id}/reply", b"")
    assert response.status_code == 400
    assert response.json()["error"] == "From address is required"


async def test_commas_at_the_end_are_no_error(desk: Desk) -> None:
    email = await desk.letter()
    body = b'{"from": "support@desk.example", "to": ["alice@customer.example",], "text": "a,}",}'
    response = await desk.post(f"/emails/{email.id}/reply", body)
    assert response.status_code == 200, response.text
    await desk.arrived()


@pytest.mark.parametrize("key", [f"rj_{'x' * 43}", "email_abc123", "rj_"])
async def test_unauthorized(desk: Desk, key: str) -> None:
    email = await desk.letter()
    assert await error(desk, email.id, FIELDS, key=key) == "Unauthorized"


@pytest.mark.parametrize(
    "author", ["support@unverified.com", "Support <support@unverified.com>", "s@UNVERIFIED.com"]
)
async def test_no_permission_to_send_from_a_domain_that_is_not_ours(desk: Desk, author: str) -> None:
    email = await desk.letter()
    sentence = "You don't have permission to send from domain: unverified.com"
    assert await error(desk, email.id, FIELDS | {"from": author}) == sentence


@pytest.mark.parametrize("email_id", ["email_abc123", UNKNOWN, f"sent_{'0' * 26}", f"thread_{'0' * 26}"])
async def test_email_not_found(desk: Desk, email_id: str) -> None:
    assert await error(desk, email_id, FIELDS) == "Email not found"


async def test_email_sending_limit_reached(open_desk: OpenDesk) -> None:
    desk = await open_desk(quota={"per_month": 1})
    email = await desk.letter()
    assert (await desk.call("reply", email.id, FIELDS)).error is None
    sentence = "Email sending limit reached. Please upgrade your plan to send more emails."
    assert await error(desk, email.id, FIELDS) == sentence
    assert await desk.sent_count(email) == 1


async def test_failed_to_send_reply(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    email = await desk.letter()
    options = {"idempotencyKey": "once"}
    with monkeypatch.context() as broken, capture_logs():
        broken.setattr(desk.house.server.store, "transaction", fails_with(StoreError("the disk is gone")))
        answer = await desk.call("reply", email.id, FIELDS, options)
        assert answer.error == "Failed to send reply. Please try again later."
        response = await desk.post(f"/emails/{email.id}/reply", json.dumps(FIELDS).encode())
        assert (response.status_code, response.headers["x-should-retry"]) == (500, "true")
    # Nothing is kept under the key of what failed.
    assert (await desk.call("reply", email.id, FIELDS, options)).error is None
    await desk.arrived()
    assert await desk.sent_count(email) == 1


async def test_internal_server_error(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    email = await desk.letter()
    with monkeypatch.context() as broken, capture_logs() as logged:
        broken.setattr(desk.house.server.store, "read", fails_with(ZeroDivisionError()))
        assert await error(desk, email.id, FIELDS) == "Internal server error"
    assert [each["path"] for each in logged if each["event"] == "api.request_failed"] == [
        f"/api/v2/emails/{email.id}/reply"
    ]
    assert await desk.sent_count(email) == 0


def fails_with(failure: Exception) -> Callable[[object], Awaitable[None]]:
    """What a store does with every unit of work when it is broken."""

    async def fail(_: object) -> None:
        raise failure

    return fail


async def test_the_first_wrong_thing_in_their_order_is_what_an_error_tells(desk: Desk) -> None:
    email = await desk.letter()
    wrong: dict[str, object] = {"from": "support@unverified.com"}
    assert await error(desk, "null", {}, key="none") == "Unauthorized"
    assert await error(desk, "null", {}) == "Valid email ID is required"
    assert await error(desk, UNKNOWN, {}) == "Email not found"
    assert await error(desk, email.id, {}) == "From address is required"
    assert await error(desk, email.id, wrong) == "Either html or text content must be provided"
    wrong["text"] = "We have it."
    response = await desk.post(
        f"/emails/{email.id}/reply", json.dumps(wrong).encode(), {"Idempotency-Key": "k" * 257}
    )
    assert response.status_code == 400
    assert response.json()["code"] == "idempotency-key-invalid"
    assert str(await error(desk, email.id, wrong)).startswith("You don't have permission")


async def test_two_spellings_that_disagree_are_refused(desk: Desk) -> None:
    email = await desk.letter()
    fields = json.dumps(FIELDS | {"include_original": True, "includeOriginal": False})
    response = await desk.post(f"/emails/{email.id}/reply", fields.encode())
    assert (response.status_code, response.json()["code"]) == (400, "conflicting-fields")
