# SPDX-License-Identifier: Apache-2.0
"""What a verdict answers: is the author proven, may an answer go to the reverse-path."""

from __future__ import annotations

import json

import pytest

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

NO_SPF = SpfVerdict(SpfResult.NONE)
NO_DMARC = DmarcVerdict(DmarcResult.NONE, domain="customer.example")
ORGANIZATIONS = (
    ("customer.example", "customer.example"),
    ("bounce.customer.example", "customer.example"),
    ("elsewhere.example", "elsewhere.example"),
)


def dmarc(result: DmarcResult) -> DmarcVerdict:
    return DmarcVerdict(result, Policy.REJECT, "customer.example", "customer.example")


def dkim(
    result: DkimResult, domain: str = "customer.example", *, testing: bool = False
) -> tuple[DkimVerdict, ...]:
    return (DkimVerdict(result, domain, testing=testing),)


@pytest.mark.parametrize(
    ("verdict", "valid"),
    [
        (dmarc(DmarcResult.PASS), True),
        (dmarc(DmarcResult.FAIL), False),
        (dmarc(DmarcResult.TEMPERROR), False),
        (NO_DMARC, False),
        # Passing without a published policy cannot be, and would not count.
        (DmarcVerdict(DmarcResult.PASS, None), False),
    ],
)
def test_valid_dmarc_is_a_pass_under_a_policy(verdict: DmarcVerdict, *, valid: bool) -> None:
    assert Verdict(NO_SPF, (), verdict).dmarc_valid is valid


CASES: list[tuple[str, Verdict, str, bool]] = [
    (
        "SPF passed for its domain",
        Verdict(SpfVerdict(SpfResult.PASS, "customer.example"), (), NO_DMARC),
        "Customer.Example",
        True,
    ),
    (
        "SPF passed for another domain of the organization only",
        Verdict(SpfVerdict(SpfResult.PASS, "customer.example"), (), NO_DMARC, ORGANIZATIONS),
        "bounce.customer.example",
        False,
    ),
    (
        "SPF passed for the HELO name, which is not the reverse-path",
        Verdict(SpfVerdict(SpfResult.PASS, "customer.example", "helo"), (), NO_DMARC),
        "customer.example",
        False,
    ),
    (
        "SPF softfail",
        Verdict(SpfVerdict(SpfResult.SOFTFAIL, "customer.example"), (), NO_DMARC),
        "customer.example",
        False,
    ),
    ("DKIM of the domain itself", Verdict(NO_SPF, dkim(DkimResult.PASS), NO_DMARC), "customer.example", True),
    (
        "DKIM of its organization",
        Verdict(NO_SPF, dkim(DkimResult.PASS), NO_DMARC, ORGANIZATIONS),
        "bounce.customer.example",
        True,
    ),
    (
        "DKIM of its organization, which could not be looked up",
        Verdict(NO_SPF, dkim(DkimResult.PASS), NO_DMARC),
        "bounce.customer.example",
        False,
    ),
    (
        "a replay: DKIM and DMARC pass, the reverse-path is a victim's",
        Verdict(NO_SPF, dkim(DkimResult.PASS), dmarc(DmarcResult.PASS), ORGANIZATIONS),
        "elsewhere.example",
        False,
    ),
    (
        "DMARC passed for its organization, by SPF of the HELO name",
        Verdict(
            SpfVerdict(SpfResult.PASS, "customer.example", "helo"), (), dmarc(DmarcResult.PASS), ORGANIZATIONS
        ),
        "bounce.customer.example",
        True,
    ),
    (
        "DKIM failed",
        Verdict(NO_SPF, dkim(DkimResult.FAIL), dmarc(DmarcResult.FAIL)),
        "customer.example",
        False,
    ),
    (
        "DKIM with l=",
        Verdict(NO_SPF, dkim(DkimResult.POLICY), dmarc(DmarcResult.FAIL)),
        "customer.example",
        False,
    ),
    (
        "DKIM under a testing key",
        Verdict(NO_SPF, dkim(DkimResult.PASS, testing=True), dmarc(DmarcResult.FAIL)),
        "customer.example",
        False,
    ),
]


@pytest.mark.parametrize(("why", "verdict", "domain", "proven"), CASES, ids=[case[0] for case in CASES])
def test_the_reverse_path_is_proven_by(why: str, verdict: Verdict, domain: str, *, proven: bool) -> None:
    assert verdict.reverse_path_proven(Mailbox("ann", domain)) is proven


def test_no_reverse_path_is_never_proven() -> None:
    everything = Verdict(SpfVerdict(SpfResult.PASS, ""), dkim(DkimResult.PASS, ""), dmarc(DmarcResult.PASS))
    assert not everything.reverse_path_proven(None)
    assert not everything.reverse_path_proven(Mailbox("postmaster", ""))


def test_a_dns_failure_that_mattered_is_told() -> None:
    assert Verdict(NO_SPF, (), dmarc(DmarcResult.TEMPERROR)).failed_for_now
    assert not Verdict(NO_SPF, dkim(DkimResult.TEMPERROR), dmarc(DmarcResult.PASS)).failed_for_now


@pytest.mark.parametrize(("why", "verdict", "domain", "proven"), CASES, ids=[case[0] for case in CASES])
def test_evidence_comes_back_as_it_was(why: str, verdict: Verdict, domain: str, *, proven: bool) -> None:
    evidence = verdict.as_json()
    assert Verdict.from_json(evidence) == verdict
    assert json.loads(evidence)["spf"]["result"] == verdict.spf.result.value


def test_what_is_no_evidence_is_refused() -> None:
    with pytest.raises(ValueError, match="spf"):
        Verdict.from_json('{"dkim": []}')
