# SPDX-License-Identifier: Apache-2.0
"""Each rule alone, their order, and what none of them forbids."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from rejoinder.errors import ReplyRefused
from rejoinder.mailauth.verdict import (
    DkimResult,
    DkimVerdict,
    DmarcResult,
    DmarcVerdict,
    Policy,
    SpfResult,
    SpfVerdict,
    Verdict,
)
from rejoinder.message.address import Mailbox
from rejoinder.replies.original import Original
from rejoinder.replies.rules import WORKER_RULES, Case, Proposal, Usage, judge
from rejoinder.replies.settings import RepliesSettings
from tests.unit.replies.originals import (
    ALICE,
    OUR_ID,
    SUPPORT,
    said,
    with_headers,
    with_more,
)
from tests.unit.replies.originals import ORIGINAL as VALID

NEVER_ANSWERED = Usage(0, 0, 0)


def case(
    original: Original = VALID,
    *,
    author: Mailbox = SUPPORT,
    recipient: Mailbox | None = ALICE,
    usage: Usage = NEVER_ANSWERED,
    settings: RepliesSettings | None = None,
) -> Case:
    return Case(original, Proposal(author, recipient), usage, settings or RepliesSettings())


def codes(judged: Case) -> tuple[str, ...]:
    refusal = judge(judged)
    return () if refusal is None else refusal.codes


def references(count: int) -> str:
    return "References: " + "\r\n ".join(f"<{n}@customer.example>" for n in range(count)) + "\r\n"


@dataclass(frozen=True)
class Row:
    """What is wrong with the mail or the reply, everything else being valid, and the code of its rule."""

    name: str
    case: Case
    code: str


def alone(name: str, code: str, judged: Case) -> Row:
    return Row(name, judged, code)


LIST = "List-Id: <announce.customer.example>\r\n"
REPORT = "Content-Type: multipart/report; report-type={}; boundary=b\r\n"
ROWS = [
    alone("null reverse-path", "reply-null-reverse-path", case(replace(VALID, reverse_path=None))),
    alone("DSN", "reply-to-report", case(with_more(REPORT.format("delivery-status")))),
    alone("MDN", "reply-to-report", case(with_more(REPORT.format("disposition-notification")))),
    alone("feedback", "reply-to-report", case(with_more(REPORT.format("feedback-report")))),
    alone("out of office", "reply-to-automatic-mail", case(with_more("Auto-Submitted: auto-replied\r\n"))),
    alone("cron", "reply-to-automatic-mail", case(with_more("Auto-Submitted: auto-generated\r\n"))),
    alone("bulk", "reply-to-automatic-mail", case(with_more("Precedence: bulk\r\n"))),
    alone("asks", "reply-to-automatic-mail", case(with_more("X-Auto-Response-Suppress: All\r\n"))),
    # The reverse-path of a program, at a domain that is proven, so that only this is wrong.
    alone(
        "daemon",
        "reply-to-automatic-mail",
        case(
            replace(VALID, reverse_path=Mailbox("no-reply", "customer.example")),
            recipient=Mailbox("no-reply", "customer.example"),
        ),
    ),
    alone("list", "reply-to-list", case(with_more(LIST))),
    alone("old list", "reply-to-list", case(with_more("Precedence: list\r\n"))),
    alone("our Message-ID", "reply-to-ourselves", case(replace(VALID, ours=True))),
    alone(
        "the route as author",
        "reply-to-ourselves",
        case(with_headers("From: support@desk.example\r\nMessage-ID: <1@x.example>\r\n")),
    ),
    # Our routing takes Support and support for one mailbox, so the loop would be the same.
    alone(
        "the route in other letters",
        "reply-to-ourselves",
        case(with_headers("From: Support@DESK.example\r\nMessage-ID: <1@x.example>\r\n")),
    ),
    alone(
        "the answering address as author",
        "reply-to-ourselves",
        case(
            with_headers("From: tickets@desk.example\r\nMessage-ID: <1@x.example>\r\n"),
            author=Mailbox("tickets", "desk.example"),
        ),
    ),
    # The worker answers under another name; the mail claims to be from the route all the same.
    alone(
        "the route as author, another answers",
        "reply-to-ourselves",
        case(
            with_headers("From: support@desk.example\r\nMessage-ID: <1@x.example>\r\n"),
            author=Mailbox("tickets", "desk.example"),
        ),
    ),
    # The answer would come back to the route, whoever the author is.
    alone(
        "the route as reverse-path",
        "reply-to-ourselves",
        case(
            replace(
                VALID,
                reverse_path=SUPPORT,
                verdict=replace(VALID.verdict, spf=SpfVerdict(SpfResult.PASS, "desk.example")),
            ),
            recipient=SUPPORT,
        ),
    ),
    alone("no policy", "reply-no-dmarc-policy", case(replace(VALID, verdict=said(dmarc=DmarcResult.NONE)))),
    alone("fail", "reply-dmarc-failed", case(replace(VALID, verdict=said(dmarc=DmarcResult.FAIL)))),
    alone("temperror", "reply-dmarc-failed", case(replace(VALID, verdict=said(dmarc=DmarcResult.TEMPERROR)))),
    alone("permerror", "reply-dmarc-failed", case(replace(VALID, verdict=said(dmarc=DmarcResult.PERMERROR)))),
    # The author is proven, but who knows victim@elsewhere.example?
    alone(
        "forged reverse-path",
        "reply-recipient-unproven",
        case(
            replace(VALID, reverse_path=Mailbox("victim", "elsewhere.example")),
            recipient=Mailbox("victim", "elsewhere.example"),
        ),
    ),
    alone("101 References", "reply-references-exceeded", case(with_more(references(101)))),
    alone("answered", "reply-once-per-event", case(usage=Usage(1, 0, 0))),
    alone("other recipient", "reply-recipient-mismatch", case(recipient=Mailbox("bob", "customer.example"))),
    # RFC 5321 §2.4: only the receiving host knows whether these are one.
    alone("other letters", "reply-recipient-mismatch", case(recipient=Mailbox("Alice", "customer.example"))),
    alone("nobody", "reply-recipient-mismatch", case(recipient=None)),
    alone(
        "other domain", "reply-sender-domain-mismatch", case(author=Mailbox("support", "elsewhere.example"))
    ),
    alone("subdomain", "reply-sender-domain-mismatch", case(author=Mailbox("support", "mail.desk.example"))),
    alone("correspondent", "reply-budget", case(usage=Usage(0, 20, 0))),
    alone("thread", "reply-budget", case(usage=Usage(0, 0, 50))),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_rule_refuses_alone(row: Row) -> None:
    refusal = judge(row.case)
    assert refusal is not None
    assert refusal.codes == (row.code,)
    assert refusal.code == row.code
    assert refusal.text.startswith("cannot reply to email_1: ")


def test_every_rule_has_its_row() -> None:
    assert {row.code for row in ROWS} == {refusal.code for refusal, _ in WORKER_RULES}


ALLOWED = {
    "valid": case(),
    "another author of the domain": case(author=Mailbox("tickets", "desk.example")),
    "the domain in other letters": case(
        author=Mailbox("support", "DESK.Example"), recipient=Mailbox("alice", "Customer.EXAMPLE")
    ),
    "Auto-Submitted: no": case(with_more("Auto-Submitted: no\r\n")),
    "p=none": case(replace(VALID, verdict=said(policy=Policy.NONE))),
    "p=quarantine": case(replace(VALID, verdict=said(policy=Policy.QUARANTINE))),
    "SPF fails, DMARC proves the domain": case(replace(VALID, verdict=said(spf=SpfResult.FAIL))),
    "100 References": case(with_more(references(100))),
    "our ids in References": case(with_more(f"References: {OUR_ID}\r\nIn-Reply-To: {OUR_ID}\r\n")),
    "another of our addresses wrote": case(
        with_headers("From: sales@desk.example\r\nMessage-ID: <1@desk.example>\r\n")
    ),
    "one left of the budgets": case(usage=Usage(0, 19, 49)),
    "no budgets": case(
        usage=Usage(0, 10_000, 10_000), settings=RepliesSettings(per_correspondent=0, per_thread=0)
    ),
}


@pytest.mark.parametrize("judged", ALLOWED.values(), ids=ALLOWED.keys())
def test_what_no_rule_forbids_may_go(judged: Case) -> None:
    assert judge(judged) is None


def test_a_domain_is_compared_as_a_labels() -> None:
    received = replace(VALID, forward_path=Mailbox("support", "xn--bcher-kva.example"))
    assert codes(case(received, author=Mailbox("support", "bücher.example"))) == ()
    assert codes(case(received, author=Mailbox("support", "BÜCHER.example."))) == ()
    assert codes(case(received, author=Mailbox("support", "buecher.example"))) == (
        "reply-sender-domain-mismatch",
    )


def test_references_of_several_fields_count_together() -> None:
    assert codes(case(with_more(references(60) + references(41)))) == ("reply-references-exceeded",)


def test_all_rules_are_evaluated_and_the_first_is_the_exception() -> None:
    bad = with_more(REPORT.format("delivery-status") + "Precedence: bulk\r\n" + LIST + references(101))
    unproven = Verdict(
        SpfVerdict(SpfResult.FAIL, "customer.example"), (), DmarcVerdict(DmarcResult.FAIL, Policy.REJECT)
    )
    everything = case(
        replace(bad, ours=True, verdict=unproven),
        author=Mailbox("me", "elsewhere.example"),
        recipient=Mailbox("bob", "customer.example"),
        usage=Usage(1, 20, 50),
    )
    assert codes(everything) == (
        "reply-to-report",
        "reply-to-automatic-mail",
        "reply-to-list",
        "reply-to-ourselves",
        "reply-dmarc-failed",
        "reply-recipient-unproven",
        "reply-references-exceeded",
        "reply-once-per-event",
        "reply-recipient-mismatch",
        "reply-sender-domain-mismatch",
        "reply-budget",
    )


PAIRS = [
    (first, second)
    for index, first in enumerate(ROWS)
    for second in ROWS[index + 1 :]
    if first.code != second.code and first.case.original is VALID and second.case.original is VALID
]


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=lambda row: row.name)
def test_of_two_failures_of_the_reply_the_one_that_stands_first_is_the_exception(
    first: Row, second: Row
) -> None:
    order = [refusal.code for refusal, _ in WORKER_RULES]
    proposal = Proposal(
        next((r.case.proposal.author for r in (first, second) if r.case.proposal.author != SUPPORT), SUPPORT),
        next(
            (r.case.proposal.recipient for r in (first, second) if r.case.proposal.recipient != ALICE), ALICE
        ),
    )
    usage = Usage(
        max(first.case.usage.in_event, second.case.usage.in_event),
        max(first.case.usage.to_correspondent, second.case.usage.to_correspondent),
        max(first.case.usage.in_thread, second.case.usage.in_thread),
    )
    refusal = judge(replace(first.case, proposal=proposal, usage=usage))
    assert refusal is not None
    assert refusal.codes == tuple(sorted((first.code, second.code), key=order.index))
    assert isinstance(refusal, ReplyRefused)


def test_the_refusal_says_the_value_and_the_next_step() -> None:
    refusal = judge(case(replace(VALID, verdict=said(dmarc=DmarcResult.NONE))))
    assert "publish one at _dmarc.customer.example" in str(refusal)
    refusal = judge(case(usage=Usage(0, 20, 0)))
    assert "replies.per_correspondent = 20" in str(refusal)


@pytest.mark.parametrize("result", [DkimResult.PASS, DkimResult.FAIL])
def test_a_signature_of_the_reverse_paths_organization_proves_it(result: DkimResult) -> None:
    verdict = Verdict(
        SpfVerdict(SpfResult.NONE, "news.customer.example"),
        (DkimVerdict(result, "customer.example"),),
        DmarcVerdict(DmarcResult.PASS, Policy.REJECT, "other.example", "other.example"),
        (("customer.example", "customer.example"), ("news.customer.example", "customer.example")),
    )
    path = Mailbox("alice", "news.customer.example")
    found = codes(case(replace(VALID, reverse_path=path, verdict=verdict), recipient=path))
    assert found == (() if result is DkimResult.PASS else ("reply-recipient-unproven",))
