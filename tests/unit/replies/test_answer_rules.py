# SPDX-License-Identifier: Apache-2.0
"""The few rules for an answer through the API, beside the many for a worker's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rejoinder.errors import ReplyRefused
from rejoinder.message.address import Mailbox
from rejoinder.replies.original import Original
from rejoinder.replies.rules import (
    API_RULES,
    WORKER_RULES,
    Case,
    Proposal,
    Usage,
    judge,
    judge_api,
    judge_api_budget,
)
from rejoinder.replies.settings import RepliesSettings
from tests.unit.replies.originals import ALICE, ORIGINAL, SUPPORT, with_more

REPORT = "Content-Type: multipart/report; report-type=delivery-status\r\n"
VACATION = "Auto-Submitted: auto-replied\r\n"


def case(original: Original = ORIGINAL, author: Mailbox = SUPPORT) -> Case:
    return Case(original, Proposal(author, ALICE), Usage(0, 0, 0), RepliesSettings())


def test_a_persons_mail_may_be_answered() -> None:
    assert judge_api(case()) is None


@pytest.mark.parametrize(
    ("original", "codes"),
    [
        (replace(ORIGINAL, reverse_path=None), ["reply-null-reverse-path"]),
        (with_more(REPORT), ["reply-to-report"]),
        (with_more("Content-Type: message/disposition-notification\r\n"), ["reply-to-report"]),
        (with_more(VACATION), []),
        (replace(ORIGINAL, ours=True), ["reply-to-ourselves"]),
        (
            with_more(REPORT + VACATION, replace(ORIGINAL, reverse_path=None, ours=True)),
            ["reply-null-reverse-path", "reply-to-report", "reply-to-ourselves"],
        ),
    ],
)
def test_what_could_loop_is_one_refusal_that_names_every_rule(original: Original, codes: list[str]) -> None:
    refused = judge_api(case(original))
    assert refused is not None
    assert refused.code == "reply-to-automatic-mail"
    assert refused.codes == ("reply-to-automatic-mail", *codes)
    assert refused.text.startswith("cannot reply to email_1: it")
    assert "reply:any" in refused.text


def test_an_author_that_answers_itself_is_ourselves() -> None:
    refused = judge_api(case(author=Mailbox("ALICE", "customer.example")))
    assert refused is not None
    assert "reply-to-ourselves" in refused.codes


@pytest.mark.parametrize(
    "more",
    [
        "List-Id: <x.example>\r\n",
        "Precedence: bulk\r\n",
        "X-Autoreply: yes\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "Content-Type: multipart/report; report-type=feedback-report\r\n",
    ],
)
def test_what_only_a_worker_must_not_answer_may_be_answered(more: str) -> None:
    assert judge_api(case(with_more(more))) is None
    assert isinstance(judge(case(with_more(more))), ReplyRefused)


def test_every_rule_of_the_api_is_one_of_the_workers_exceptions() -> None:
    assert {refusal for refusal, _ in API_RULES} <= {refusal for refusal, _ in WORKER_RULES}


@pytest.mark.parametrize(
    ("usage", "text"),
    [
        (Usage(0, 1, 4), None),
        (Usage(9, 1, 4), None),
        (
            Usage(0, 2, 0),
            "2 answers went to a@b.example in 24 hours; the budget is replies.api_per_correspondent",
        ),
        (
            Usage(0, 0, 5),
            "5 answers went out in this thread in 24 hours; the budget is replies.api_per_thread",
        ),
    ],
)
def test_the_budget_is_the_apis_own(usage: Usage, text: str | None) -> None:
    settings = RepliesSettings(per_correspondent=1, per_thread=1, api_per_correspondent=2, api_per_thread=5)
    refused = judge_api_budget("a@b.example", usage, settings)
    assert (refused is None) == (text is None)
    assert text is None or (refused is not None and text in refused.text)
