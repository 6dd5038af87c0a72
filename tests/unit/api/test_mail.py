# SPDX-License-Identifier: Apache-2.0
"""Reading received mail: the listing, a mail, its trace; and that reading changes nothing."""

from __future__ import annotations

import json

import pytest

from rejoinder.api import render
from rejoinder.ids import Ids
from rejoinder.store import emails
from rejoinder.store.records import Event, EventKind, Run, RunState
from tests.unit.api.conftest import MAIL, Api

pytestmark = pytest.mark.anyio


async def test_an_empty_account_has_an_empty_list(api: Api) -> None:
    response = await api.get("/api/v2/mail")
    assert response.status_code == 200
    assert response.json() == {
        "emails": [],
        "pagination": {"limit": 50, "offset": 0, "total": 0, "hasMore": False},
    }


async def test_mail_is_listed_the_newest_first_in_pages(api: Api) -> None:
    expected: list[str] = []
    for _ in range(5):
        expected.insert(0, (await api.add_email()).id)
        await api.clock.advance(1)
    pages = [(await api.get(f"/api/v2/mail?limit=2&offset={offset}")).json() for offset in (0, 2, 4)]
    assert [item["id"] for page in pages for item in page["emails"]] == expected
    assert [page["pagination"]["hasMore"] for page in pages] == [True, True, False]
    assert pages[0]["pagination"]["total"] == 5


async def test_a_listed_mail_says_who_wrote_what_to_whom(api: Api) -> None:
    email = await api.add_email()
    [item] = (await api.get("/api/v2/mail")).json()["emails"]
    assert item == {
        "id": email.id,
        "emailId": email.id,
        "threadId": email.thread_id,
        "messageId": "<one@customer.example>",
        "subject": "Café",
        "from": "zoe@customer.example",
        "fromName": "Zoë",
        "recipient": "support@desk.example",
        "status": "handled",
        "receivedAt": "2026-01-01T00:00:00.000Z",
        "createdAt": "2026-01-01T00:00:00.000Z",
    }


async def test_a_mail_without_subject_or_author_is_listed(api: Api) -> None:
    await api.add_email(subject=None, author=None, author_name=None, reverse_path=None, message_id=None)
    [item] = (await api.get("/api/v2/mail")).json()["emails"]
    assert (item["subject"], item["from"], item["fromName"], item["messageId"]) == (
        "No Subject",
        "",
        None,
        None,
    )


async def test_a_mail_is_read_with_its_content(api: Api) -> None:
    email = await api.add_email()
    mail = (await api.get(f"/api/v2/mail/{email.id}")).json()
    assert mail["content"]["textBody"] == "It does not work."
    assert mail["content"]["attachments"] == [
        {
            "filename": "a.png",
            "contentType": "image/png",
            "size": 3,
            "contentId": None,
            "contentDisposition": "attachment",
        }
    ]
    assert mail["content"]["headers"]["subject"] == "Café"
    assert mail["content"]["headers"]["x-twice"] == ["a", "b"]
    assert mail["addresses"]["from"]["addresses"] == [{"name": "Zoë", "address": "zoe@customer.example"}]
    assert [each["address"] for each in mail["addresses"]["to"]["addresses"]] == [
        "support@desk.example",
        "other@desk.example",
    ]
    assert mail["addresses"]["cc"] is None
    assert mail["metadata"]["inReplyTo"] == "<zero@desk.example>"
    assert mail["metadata"]["references"] == ["<first@desk.example>", "<zero@desk.example>"]
    assert (mail["metadata"]["attachmentCount"], mail["metadata"]["hasHtmlBody"]) == (1, False)


async def test_authentication_is_shown_in_capitals_and_the_best_signature_counts(api: Api) -> None:
    email = await api.add_email()
    mail = (await api.get(f"/api/v2/mail/{email.id}")).json()
    assert mail["security"] == {"spf": "SOFTFAIL", "dkim": "PASS", "dmarc": "PASS"}


HOSTILE = [
    b"",
    b"\r\n",
    b"no header at all",
    b"From: \xff\xfe\r\nSubject: \xed\xa0\x80\r\n\r\n\x00\xff",
    b"Subject: =?utf-8?b?7aCA?=\r\n\r\n",
    b"Subject: =?utf-16?q?=D8=00?=\r\nTo: (((\r\n\r\n",
    b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n" * 50,
    b"Content-Type: text/plain; charset=utf-7\r\n\r\n+2AA-",
    b"X: " + b"a" * 300_000 + b"\r\n\r\n",
]


@pytest.mark.parametrize("content", HOSTILE, ids=lambda content: repr(content[:30]))
async def test_whatever_was_received_can_be_read(api: Api, content: bytes) -> None:
    email = await api.add_email(content)
    response = await api.get(f"/api/v2/mail/{email.id}")
    assert response.status_code == 200, response.text


async def test_evidence_has_the_names_and_instants_of_the_wire(api: Api) -> None:
    told = {"again_at": 0, "attempt": 1, "refused": [{"codes": ["a_b"]}], "next_hop": "a_b", "left_at": None}
    event = Event("event_1", "default", EventKind.RUN_FAILED, 0, None, None, None, json.dumps(told))
    assert render.trace(await api.add_email(), [event], [], []).events[0].evidence == {
        "againAt": "1970-01-01T00:00:00.000Z",
        "attempt": 1,
        "refused": [{"codes": ["a_b"]}],
        "nextHop": "a_b",
        "leftAt": None,
    }


async def test_a_large_mail_is_read_from_its_file(api: Api) -> None:
    email = await api.add_email(b"Subject: large\r\n\r\n" + b"x" * 70 + b"\r\n" * 700_000)
    mail = (await api.get(f"/api/v2/mail/{email.id}")).json()
    assert mail["content"]["textBody"].startswith("x" * 70)


async def test_the_trace_shows_steps_runs_and_answers(api: Api) -> None:
    email = await api.add_email()
    answer = await api.add_answer(email)
    trace = (await api.get(f"/api/v2/mail/{email.id}/trace")).json()
    assert (trace["id"], trace["status"]) == (email.id, "handled")
    assert [step["kind"] for step in trace["events"]] == ["received", "delivered"]
    assert trace["events"][0]["evidence"] == {"a": "b"}
    assert trace["events"][1]["sentId"] == answer.id
    [run] = trace["runs"]
    assert (run["worker"], run["state"], run["attempt"], run["log"]) == ("tickets", "finished", 1, "hi")
    assert run["refused"] == []
    [sent] = trace["sent"]
    assert (sent["messageId"], sent["from"]) == ("<answer@desk.example>", "support@desk.example")
    [delivery] = sent["deliveries"]
    assert (delivery["status"], delivery["lastReply"], delivery["uncertain"]) == (
        "delivered",
        "250 2.0.0 Ok",
        False,
    )


async def test_a_run_says_what_its_last_try_did_not_get(api: Api) -> None:
    email = await api.add_email()
    run = Run("run_1", "default", email.id, "tickets", RunState.FINISHED, 2, 0, 0, None, "")
    first, last = {"codes": ["dmarc-none"], "text": "first"}, {"codes": ["a", "b"], "text": "last"}

    def step(kind: EventKind, run_id: str, evidence: object) -> Event:
        return Event("event_1", "default", kind, 0, email.id, None, run_id, json.dumps(evidence))

    steps = [
        step(EventKind.RUN_FAILED, "run_1", {"refused": [first]}),
        step(EventKind.RUN_STARTED, "run_1", {}),
        step(EventKind.RUN_FINISHED, "run_1", {"refused": [last, " […]"]}),  # as evidence is cut
        step(EventKind.RUN_FINISHED, "run_2", {"refused": [first]}),
    ]
    (shown,) = render.trace(email, steps, [run], []).runs
    assert [each.model_dump() for each in shown.refused] == [last]


async def test_reading_changes_nothing(api: Api) -> None:
    email = await api.add_email()
    before = await api.store.read(lambda: emails.get("default", email.id))
    for path in ("", f"/{email.id}", f"/{email.id}/trace"):
        await api.get(f"/api/v2/mail{path}")
    assert await api.store.read(lambda: emails.get("default", email.id)) == before


async def test_another_accounts_mail_is_not_found(api: Api) -> None:
    email = await api.add_email(account="other")
    assert (await api.get(f"/api/v2/mail/{email.id}")).status_code == 404
    assert (await api.get("/api/v2/mail")).json()["emails"] == []


async def test_a_mail_that_a_worker_may_still_refuse_is_asked_for_again(api: Api) -> None:
    email_id = Ids(bytes).new("email", 0)
    api.held.add(("default", email_id))
    response = await api.get(f"/api/v2/mail/{email_id}")
    assert response.status_code == 409
    assert response.json()["code"] == "email-not-yet-accepted"
    assert (response.headers["retry-after"], response.headers["x-should-retry"]) == ("1", "true")
    api.held.clear()
    assert (await api.get(f"/api/v2/mail/{email_id}")).status_code == 404


async def test_anothers_held_mail_is_not_found(api: Api) -> None:
    email_id = Ids(bytes).new("email", 0)
    api.held.add(("other", email_id))
    assert (await api.get(f"/api/v2/mail/{email_id}")).status_code == 404


async def test_two_slashes_are_one(api: Api) -> None:
    email = await api.add_email(MAIL)
    assert (await api.get(f"/api/v2//mail/{email.id}")).json()["id"] == email.id
