# SPDX-License-Identifier: Apache-2.0
"""DMARC on any zone: bounded questions, one organization per neighbourhood, no pass out of nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rejoinder.dns import Rcode
from rejoinder.dns.zone import Zone
from rejoinder.mailauth.dmarc import Walk, evaluate, parse_record, walk
from rejoinder.mailauth.verdict import DkimResult, DkimVerdict, DmarcResult, SpfResult, SpfVerdict
from tests.unit.mailauth.signing import without_loop

LABEL = st.sampled_from(["a", "b", "c"])
DOMAIN = st.lists(LABEL, min_size=1, max_size=10).map(".".join)
RECORD = st.sampled_from(
    [
        "v=DMARC1; p=none",
        "v=DMARC1; p=reject; psd=y",
        "v=DMARC1; p=reject; psd=n",
        "v=DMARC1; adkim=s; p=none",
        "x",
    ]
)


@st.composite
def zones(draw: st.DrawFn) -> Zone:
    zone = Zone(
        {f"_dmarc.{name}": {"TXT": draw(st.lists(RECORD, max_size=2))} for name in draw(st.sets(DOMAIN))}
    )
    for name in draw(st.sets(DOMAIN, max_size=2)):
        zone.breaks(f"_dmarc.{name}", draw(st.sampled_from([Rcode.SERVFAIL, Rcode.TIMEOUT])))
    return zone


def walked(domain: str, zone: Zone) -> Walk:
    return without_loop(walk(domain, zone))


@given(DOMAIN, zones())
def test_an_organization_is_the_domain_or_above_it_and_is_its_own(domain: str, zone: Zone) -> None:
    organization = walked(domain, zone).organization
    assert len(zone.asked) <= 8
    if organization is None:
        return
    assert domain == organization or domain.endswith("." + organization)
    # A name of more than eight labels jumps over records that its organization's own walk would meet.
    if domain.count(".") < 8:
        assert walked(organization, zone).organization in (organization, None)


@given(DOMAIN, DOMAIN, zones())
def test_a_pass_needs_a_policy_and_a_domain_that_belongs_to_the_author(
    author: str, signer: str, zone: Zone
) -> None:
    dkim = [DkimVerdict(DkimResult.PASS, signer)]
    verdict, organizations = without_loop(evaluate([author], SpfVerdict(SpfResult.NONE), dkim, zone))
    if verdict.result is DmarcResult.PASS:
        assert verdict.policy is not None
        known = dict(organizations)
        assert author == signer or known[author] == known[signer]
    if verdict.result in (DmarcResult.NONE, DmarcResult.PERMERROR):
        assert verdict.policy is None


@given(DOMAIN, zones())
def test_nothing_authenticated_never_passes(author: str, zone: Zone) -> None:
    verdict, _ = without_loop(evaluate([author], SpfVerdict(SpfResult.FAIL, author), [], zone))
    assert verdict.result is not DmarcResult.PASS


@given(st.binary(max_size=200))
def test_any_octets_are_a_record_or_none(text: bytes) -> None:
    record = parse_record(text)
    assert record is None or text.lstrip(b" \t").lower().startswith(b"v")
