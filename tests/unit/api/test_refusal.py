# SPDX-License-Identifier: Apache-2.0
"""The one shape of every answer that is not a success.

    {"error": text, "message": the same text, "name": type, "statusCode": status, "code": ours,
     "field"?: the parameter that is wrong, "details"?: the next step}

``code`` is kebab-case with a heading in ``docs/errors.md``. Every answer has an X-Request-Id.
"""

from __future__ import annotations

import json
import re

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rejoinder.api.refusal import answer
from rejoinder.errors import RejoinderError, ServerFailed, StoreFull, WorkerError
from tests.unit.api.conftest import Api

pytestmark = pytest.mark.anyio

UNKNOWN = "rj_" + "x" * 43
NO_SUCH_MAIL = "/api/v2/mail/email_00000000000000000000000000"


def assert_refused(response: httpx2.Response, status: int, code: str) -> None:
    body = response.json()
    assert response.status_code == status
    assert {"error", "message", "name", "statusCode", "code"} <= set(body)
    assert set(body) <= {"error", "message", "name", "statusCode", "code", "field", "details"}
    assert body["error"] == body["message"]
    assert (body["statusCode"], body["code"]) == (status, code)
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {UNKNOWN}",
        f"Bearer {UNKNOWN}",
        "Bearer rj_short",
        "Bearer \xff",
    ],
)
async def test_a_request_without_a_live_key_is_unauthorized(api: Api, authorization: str | None) -> None:
    headers = [] if authorization is None else [(b"Authorization", authorization.encode("latin-1"))]
    transport = httpx2.ASGITransport(api.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://here") as client:
        response = await client.get(NO_SUCH_MAIL, headers=headers)
    assert_refused(response, 401, "unauthorized")
    assert response.json()["error"] == "Unauthorized"
    assert response.headers["www-authenticate"].startswith("Bearer")


async def test_a_revoked_key_is_unauthorized(api: Api) -> None:
    key = await api.add_key(revoked_at=api.clock.now())
    assert_refused(await api.get("/api/v2/mail", key), 401, "unauthorized")


async def test_the_word_bearer_has_no_case(api: Api) -> None:
    async with api.client() as client:
        response = await client.get("/api/v2/mail", headers={"Authorization": f"bEARER {api.key}"})
    assert response.status_code == 200


async def test_a_key_with_other_scopes_may_not_read(api: Api) -> None:
    assert_refused(await api.get("/api/v2/mail", await api.add_key("other:scope")), 403, "scope-missing")
    assert (await api.get("/api/v2/mail", await api.add_key("other:scope mail:read"))).status_code == 200


@pytest.mark.parametrize(
    "email_id", ["email_00000000000000000000000000", "x", "%00", "%FF%FE", "..", "a" * 3000, "sent_1", "💌"]
)
async def test_an_id_that_names_no_mail_is_not_found(api: Api, email_id: str) -> None:
    response = await api.get(f"/api/v2/mail/{email_id}/trace")
    assert response.status_code == 404
    if email_id != "..":  # The client itself resolves the two dots.
        assert_refused(response, 404, "email-not-found")
        assert response.json()["error"] == "Email not found"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("offset=-1", "offset"),
        ("offset=1e400", "offset"),
        # Beyond what the database can count.
        (f"offset={10**30}", "offset"),
        ("limit=1&limit=0", "limit"),
        ("limit=%00", "limit"),
    ],
)
async def test_a_wrong_parameter_is_named(api: Api, query: str, field: str) -> None:
    response = await api.get(f"/api/v2/mail?{query}")
    assert_refused(response, 400, "request-invalid")
    assert response.json()["field"] == field
    assert response.json()["error"].startswith(f"{field} = ")


async def test_an_unknown_path_is_not_found(api: Api) -> None:
    assert_refused(await api.get("/api/v2/nothing"), 404, "not-found")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nothing_but_reading_is_possible(api: Api, method: str) -> None:
    async with api.client() as client:
        response = await client.request(method, "/api/v2/mail", json={})
    assert_refused(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET"


async def test_head_is_get_without_a_body(api: Api) -> None:
    async with api.client() as client:
        got, head = await client.get("/api/v2/mail"), await client.head("/api/v2/mail")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == got.headers


async def test_a_store_that_fails_is_our_failure_and_shows_no_path(api: Api) -> None:
    await api.store.close()
    response = await api.get("/api/v2/mail")
    assert_refused(response, 500, "store-unavailable")
    assert response.json()["error"] == "Internal server error"
    assert response.headers["x-should-retry"] == "true"


@pytest.mark.parametrize(
    ("error", "retry"),
    [(StoreFull("/var/lib is full"), "true"), (WorkerError("/etc/x"), None), (ServerFailed("x"), None)],
)
def test_what_fails_inside_has_one_sentence_and_its_code(error: RejoinderError, retry: str | None) -> None:
    response = answer(error, {"headers": []})
    body = json.loads(bytes(response.body))
    assert (response.status_code, body["statusCode"], body["error"]) == (500, 500, "Internal server error")
    assert body["code"] == error.code
    assert response.headers.get("x-should-retry") == retry


async def test_a_defect_of_ours_is_answered_in_the_same_shape(api: Api) -> None:
    email = await api.add_email(verdict="not JSON")
    assert_refused(await api.get(f"/api/v2/mail/{email.id}"), 500, "internal-error")


async def test_a_request_keeps_its_id_if_that_is_harmless(api: Api) -> None:
    async with api.client() as client:
        kept = await client.get("/healthz", headers={"X-Request-Id": "abc-1"})
        replaced = await client.get("/healthz", headers={"X-Request-Id": "<script>"})
    assert (kept.headers["x-request-id"], replaced.headers["x-request-id"]) == ("abc-1", "made-here")


async def test_health_needs_no_key_and_readiness_says_whether_mail_is_taken(api: Api) -> None:
    transport = httpx2.ASGITransport(api.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://here") as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        api.is_ready = False
        assert_refused(await client.get("/readyz"), 503, "not-ready")
        assert (await client.get("/healthz")).status_code == 200


@given(path=st.text(max_size=40), query=st.text(max_size=40))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_no_path_or_query_is_our_failure(api: Api, path: str, query: str) -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/api/v2/mail{path}",
        "query_string": query.encode("utf-8", "surrogatepass"),
        "headers": [(b"authorization", f"Bearer {api.key}".encode())],
    }
    statuses = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        if "status" in message:
            statuses.append(message["status"])

    await api.app(scope, receive, send)  # type: ignore[arg-type]
    assert len(statuses) == 1
    assert statuses[0] in {200, 400, 404}
