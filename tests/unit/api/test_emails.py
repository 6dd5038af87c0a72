# SPDX-License-Identifier: Apache-2.0
"""Answering a mail and reading what was sent: who may, in which order it is refused, and what comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Final

import httpx2
import pytest

from rejoinder.api import body
from rejoinder.errors import StoreFull
from rejoinder.ids import Ids
from rejoinder.message.parse import parse
from rejoinder.store import sent
from rejoinder.store.raw import RawStore
from rejoinder.store.records import Raw
from tests.unit.api.conftest import MAIL, REPLY, Api
from tests.unit.api.test_refusal import assert_refused

pytestmark = pytest.mark.anyio

NOBODY: Final = "email_00000000000000000000000000"
PROGRAM: Final = MAIL.replace(b"Subject:", b"Auto-Submitted: auto-replied\r\nSubject:")


async def sent_raw(api: Api, sent_id: str) -> bytes:
    """The message that was sent."""
    row = await api.store.read(lambda: sent.by_id(sent_id))
    assert row is not None
    return await api.content(row.raw_id)


async def test_an_answer_says_what_was_sent(api: Api) -> None:
    email = await api.add_email()
    response = await api.reply(email.id)
    assert response.status_code == 200
    answer = response.json()
    assert answer.keys() == {"id", "messageId", "repliedToEmailId", "repliedToThreadId", "isThreadReply"}
    assert (answer["repliedToEmailId"], answer["repliedToThreadId"]) == (email.id, email.thread_id)
    assert answer["isThreadReply"] is False
    message = parse(await sent_raw(api, answer["id"]))
    assert message.headers.get("Message-ID") == f"<{answer['messageId']}>"
    assert message.headers.get("In-Reply-To") == "<one@customer.example>"
    assert (message.text or "").startswith("Have you tried turning it off?")


async def test_a_sent_mail_is_read_with_names_that_have_underscores(api: Api) -> None:
    email = await api.add_email()
    asked = REPLY | {
        "bcc": "eve@customer.example",
        "tags": [{"name": "a", "value": "b"}],
        "html": "<p>Hi</p>",
    }
    answer = (await api.reply(email.id, asked)).json()
    detail = (await api.get(f"/api/v2/emails/{answer['id']}")).json()
    assert detail.pop("text").startswith("Have you tried")
    assert detail.pop("html").startswith("<p>Hi</p>")
    assert detail == {
        "object": "email",
        "id": answer["id"],
        "thread_id": email.thread_id,
        "message_id": f"<{answer['messageId']}>",
        "from": "Support <support@desk.example>",
        "to": ["Zoë <zoe@customer.example>"],
        "cc": [],
        "bcc": ["eve@customer.example"],
        "reply_to": [],
        "subject": "Re: Café",
        "tags": [{"name": "a", "value": "b"}],
        "created_at": "2026-01-01T00:00:00.000Z",
        "last_event": "created",
    }


async def test_a_received_id_is_not_sent_and_a_sent_id_not_received(api: Api) -> None:
    email = await api.add_email()
    answer = (await api.reply(email.id)).json()
    assert_refused(await api.get(f"/api/v2/emails/{email.id}"), 404, "email-not-found")
    assert_refused(await api.get(f"/api/v2/mail/{answer['id']}"), 404, "email-not-found")


async def test_what_was_sent_and_a_thread_can_be_answered(api: Api) -> None:
    email = await api.add_email()
    first = (await api.reply(email.id)).json()
    second = (await api.reply(first["id"])).json()
    third = (await api.reply(email.thread_id)).json()
    assert second["repliedToEmailId"] == first["id"]
    assert (third["repliedToEmailId"], third["isThreadReply"]) == (email.id, True)
    assert {each["repliedToThreadId"] for each in (first, second, third)} == {email.thread_id}


async def test_anothers_mail_is_neither_answered_nor_read(api: Api) -> None:
    email = await api.add_email(account="other")
    answer = await api.add_answer(email)
    for asked in (email.id, email.thread_id, answer.id):
        assert_refused(await api.reply(asked), 404, "email-not-found")
    assert_refused(await api.get(f"/api/v2/emails/{answer.id}"), 404, "email-not-found")


# --- ids and paths ------------------------------------------------------------------------------------

NO_IDS: Final = [
    "",
    "undefined",
    "null",
    "x" * 129,
    "a.b",
    "a%20b",
    "%C3%A9",
    "a%2Fb",
    "a/b",
    "%00",
    "💌",
    "a;b",
]


@pytest.mark.parametrize("asked", NO_IDS)
async def test_what_is_no_id_is_refused_before_anything_is_looked_up(api: Api, asked: str) -> None:
    for response in (await api.reply(asked, "no JSON"), await api.reply(asked)):
        assert_refused(response, 400, "email-id-invalid")
        assert response.json()["error"] == "Valid email ID is required"


@pytest.mark.parametrize(
    "path", ["/emails/reply", "/emails//reply", "//emails//reply", "//emails/undefined/reply"]
)
async def test_a_path_without_an_id_says_so(api: Api, path: str) -> None:
    async with api.client() as client:
        assert_refused(await client.post(f"/api/v2{path}", json=REPLY), 400, "email-id-invalid")


@pytest.mark.parametrize("asked", ["", "undefined", "null", "x" * 129, "a.b"])
async def test_reading_what_is_no_id_is_refused(api: Api, asked: str) -> None:
    assert_refused(await api.get(f"/api/v2/emails/{asked}"), 400, "email-id-invalid")


@pytest.mark.parametrize(
    "asked", [NOBODY, "email_abc123", "x", "-", "x" * 128, "job_00000000000000000000000000"]
)
async def test_an_id_of_nothing_is_not_found(api: Api, asked: str) -> None:
    assert_refused(await api.reply(asked), 404, "email-not-found")
    assert_refused(await api.get(f"/api/v2/emails/{asked}"), 404, "email-not-found")


@pytest.mark.parametrize(
    "path", ["//api/v2/emails", "/api/v2//emails", "/api/v2///emails", "///api/v2//emails"]
)
async def test_two_slashes_are_one_where_a_base_address_ends(api: Api, path: str) -> None:
    email = await api.add_email()
    async with api.client() as client:
        response = await client.post(f"http://here{path}/{email.id}/reply", json=REPLY)
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/api//v2/mail", "/api/v2/mail//", "/api/v2/mail//x"])
async def test_two_slashes_elsewhere_are_two(api: Api, path: str) -> None:
    assert (await api.get(path)).status_code == 404


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["schedule", "schedule/sched_1"])
async def test_what_is_scheduled_has_its_own_paths(api: Api, method: str, path: str) -> None:
    async with api.client() as client:
        response = await client.request(method, f"/api/v2/emails/{path}", json=REPLY)
    assert_refused(response, 404, "not-found")


# --- the order of refusals ----------------------------------------------------------------------------


async def test_the_first_wrong_thing_in_the_order_is_told(api: Api) -> None:
    email = await api.add_email()
    foreign = {"from": "a@foreign.example", "text": "x"}
    long_key: Mapping[str, str] = {"Idempotency-Key": "k" * 257}
    unknown = "rj_" + "x" * 43
    steps = [
        (await api.reply("undefined", "{", unknown, **long_key), "unauthorized"),
        (await api.reply("undefined", "{", await api.add_key("mail:read"), **long_key), "scope-missing"),
        (await api.reply("undefined", "{", **long_key), "email-id-invalid"),
        (await api.reply(NOBODY, "{", **long_key), "email-not-found"),
        (await api.reply(email.id, "{", **long_key), "json-invalid"),
        (await api.reply(email.id, {"from": "a@foreign.example"}, **long_key), "content-missing"),
        (await api.reply(email.id, foreign, **long_key), "idempotency-key-invalid"),
        (await api.reply(email.id, foreign), "sender-domain-forbidden"),
    ]
    assert [response.json()["code"] for response, _ in steps] == [code for _, code in steps]


async def test_a_mail_that_a_worker_may_still_refuse_is_not_answered_yet(api: Api) -> None:
    email_id = Ids(bytes).new("email", 0)
    api.held.add(("default", email_id))
    response = await api.reply(email_id, "{")
    assert_refused(response, 409, "email-not-yet-accepted")
    assert response.headers["x-should-retry"] == "true"


async def test_answering_needs_its_scope_and_reading_needs_that_of_reading(api: Api) -> None:
    email = await api.add_email()
    sending, reading = await api.add_key("send"), await api.add_key("mail:read")
    answer = await api.reply(email.id, key=sending)
    assert answer.status_code == 200
    assert_refused(await api.reply(email.id, key=reading), 403, "scope-missing")
    assert_refused(await api.get(f"/api/v2/emails/{answer.json()['id']}", sending), 403, "scope-missing")
    assert (await api.get(f"/api/v2/emails/{answer.json()['id']}", reading)).status_code == 200


async def test_a_program_is_answered_only_with_a_key_that_names_the_scope(api: Api) -> None:
    email = await api.add_email(PROGRAM)
    refused = await api.reply(email.id)
    assert_refused(refused, 409, "reply-to-automatic-mail")
    # Clients ask again after any other 409.
    assert refused.headers["x-should-retry"] == "false"
    assert (await api.reply(email.id, key=await api.add_key("send reply:any"))).status_code == 200


# --- bodies -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", " ", "{}"])
async def test_an_empty_body_lacks_a_from(api: Api, content: str) -> None:
    email = await api.add_email()
    assert_refused(await api.reply(email.id, content), 400, "from-missing")


async def test_a_comma_too_many_is_forgiven(api: Api) -> None:
    email = await api.add_email()
    body = '{"from": "support@desk.example", "text": "Hi,", "cc": ["zoe@customer.example",],}'
    assert (await api.reply(email.id, body)).status_code == 200


@pytest.mark.parametrize("path", ["mail", "emails/{id}"])
async def test_a_body_of_a_request_that_needs_none_does_not_matter(api: Api, path: str) -> None:
    answer = (await api.reply((await api.add_email()).id)).json()
    async with api.client() as client:
        for content in (b"{}", b"{", b"\xff"):
            response = await client.request("GET", f"/api/v2/{path.format(id=answer['id'])}", content=content)
            assert response.status_code == 200


async def test_a_large_body_is_read_elsewhere_and_a_larger_one_not_at_all(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = await api.add_email()
    large = REPLY | {"html": "<p>" + "x" * 100_000}
    assert (await api.reply(email.id, large)).status_code == 200
    monkeypatch.setattr(body, "MAX_BODY", 50_000)
    assert_refused(await api.reply(email.id, large), 400, "message-too-large")

    async def chunks() -> object:
        for _ in range(10):
            yield b" " * 10_000

    async with api.client() as client:
        response = await client.post(f"/api/v2/emails/{email.id}/reply", content=chunks())  # type: ignore[arg-type]
    assert_refused(response, 400, "message-too-large")


# --- idempotency --------------------------------------------------------------------------------------


async def test_the_same_key_sends_once_and_gets_the_whole_answer(api: Api) -> None:
    email = await api.add_email()
    first = await api.reply(email.id, **{"Idempotency-Key": "once"})
    again = await api.reply(email.id, **{"Idempotency-Key": " once "})
    assert again.json() == first.json()
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Warning" not in again.headers
    assert len(await api.store.read(lambda: sent.of_email(email.id))) == 1


async def test_equal_requests_at_once_send_once(api: Api) -> None:
    email = await api.add_email()
    answers = await asyncio.gather(*(api.reply(email.id, **{"Idempotency-Key": "once"}) for _ in range(20)))
    assert len({answer.text for answer in answers}) == 1
    assert len(await api.store.read(lambda: sent.of_email(email.id))) == 1


async def test_another_body_under_the_same_key_is_told(api: Api) -> None:
    email = await api.add_email()
    first = await api.reply(email.id, **{"Idempotency-Key": "once"})
    again = await api.reply(email.id, REPLY | {"text": "Other", "cc": []}, **{"Idempotency-Key": "once"})
    assert again.json() == first.json()
    warning = again.headers["Idempotency-Warning"]
    assert warning.endswith("this one differs in text") or "text" in warning


async def test_a_field_in_its_other_spelling_is_the_same_body(api: Api) -> None:
    email = await api.add_email()
    await api.reply(email.id, REPLY | {"include_original": False}, **{"Idempotency-Key": "once"})
    again = await api.reply(email.id, REPLY | {"includeOriginal": False}, **{"Idempotency-Key": "once"})
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Warning" not in again.headers


async def test_a_key_is_another_for_another_mail_and_a_refusal_uses_none(api: Api) -> None:
    one, other = await api.add_email(), await api.add_email()
    key = {"Idempotency-Key": "k" * 256}
    assert_refused(
        await api.reply(one.id, {"from": "a@foreign.example", "text": "x"}, **key),
        403,
        "sender-domain-forbidden",
    )
    answers = [await api.reply(email.id, **key) for email in (one, other)]
    assert len({answer.json()["id"] for answer in answers}) == 2
    assert not any("Idempotency-Replayed" in answer.headers for answer in answers)


async def test_an_empty_key_is_none(api: Api) -> None:
    email = await api.add_email()
    first, second = [await api.reply(email.id, **{"Idempotency-Key": "  "}) for _ in range(2)]
    assert first.json()["id"] != second.json()["id"]


async def test_a_key_of_more_than_256_characters_is_refused(api: Api) -> None:
    email = await api.add_email()
    response = await api.reply(email.id, **{"Idempotency-Key": "k" * 257})
    assert_refused(response, 400, "idempotency-key-invalid")
    assert response.json()["field"] == "Idempotency-Key"


# --- our own failures ---------------------------------------------------------------------------------


async def test_a_store_that_cannot_keep_it_sends_nothing_and_may_be_asked_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise StoreFull

    email = await api.add_email()
    monkeypatch.setattr(RawStore, "keep", full)
    response = await api.reply(email.id, **{"Idempotency-Key": "once"})
    assert_refused(response, 500, "send-not-stored")
    assert response.json()["error"] == "Failed to send reply. Please try again later."
    assert response.headers["x-should-retry"] == "true"
    monkeypatch.undo()
    assert "Idempotency-Replayed" not in (await api.reply(email.id, **{"Idempotency-Key": "once"})).headers


async def test_large_requests_have_their_room_and_leave_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    arrived, may_go_on = asyncio.Event(), asyncio.Event()
    loaded = RawStore.load

    async def held(store: RawStore, raw: Raw) -> bytes:
        arrived.set()
        await may_go_on.wait()
        return await loaded(store, raw)

    monkeypatch.setattr(RawStore, "load", held)
    monkeypatch.setattr(body, "MAX_AT_ONCE", 4 << 20)
    email = await api.add_email()
    large = {**REPLY, "text": "x" * (3 << 20)}
    first = asyncio.create_task(api.reply(email.id, large))
    await arrived.wait()
    refused = await api.reply(email.id, large)
    small = asyncio.create_task(api.reply(email.id))
    may_go_on.set()
    assert_refused(refused, 503, "room-taken")
    assert (refused.headers["retry-after"], refused.headers["x-should-retry"]) == ("1", "true")
    assert [(await each).status_code for each in (first, small)] == [200, 200]
    assert (await api.reply(email.id, large)).status_code == 200


async def test_a_refusal_can_be_a_problem(api: Api) -> None:
    response: httpx2.Response = await api.reply(
        "undefined", Accept="application/problem+json, application/json;q=0.5"
    )
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    problem = json.loads(response.content)
    assert problem.pop("details")
    assert problem == {
        "type": "/help/errors#email-id-invalid",
        "title": "The id in the path is missing or has not the form of one.",
        "status": 400,
        "detail": "Valid email ID is required",
        "code": "email-id-invalid",
        "field": "id",
    }
