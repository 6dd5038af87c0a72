# SPDX-License-Identifier: Apache-2.0
"""DMARC by RFC 9989: policy discovery, organizations, alignment."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import yaml

from rejoinder.dns import Question, Rcode, RdType
from rejoinder.dns.zone import Written, Zone
from rejoinder.mailauth.dmarc import Record, evaluate, parse_record, walk, walk_questions
from rejoinder.mailauth.verdict import DkimResult, DkimVerdict, DmarcResult, Policy, SpfResult, SpfVerdict

pytestmark = pytest.mark.anyio

VECTORS = yaml.safe_load((Path(__file__).parents[2] / "vectors" / "dmarc" / "cases.yml").read_text())
NO_SPF = SpfVerdict(SpfResult.NONE)


@pytest.fixture
def zone() -> Zone:
    zone = Zone()
    for name, types in VECTORS["zone"].items():
        for rdtype, values in types.items():
            if rdtype == "*":
                zone.breaks(name, Rcode(values))
            else:
                zone.add(name, cast(RdType, rdtype), *cast(list[Written], values))
    return zone


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: f"{case['author']} {case['why']}")
async def test_the_vectors_hold(case: dict[str, object], zone: Zone) -> None:
    spf_result, _, spf_domain = str(case.get("spf", "none")).partition(" ")
    pairs = [str(one).split() for one in cast(list[str], case.get("dkim", []))]
    verdict, _ = await evaluate(
        cast(list[str], case["author"]),
        SpfVerdict(SpfResult(spf_result), spf_domain),
        [DkimVerdict(DkimResult(result), domain) for result, domain in pairs],
        zone,
    )
    told = " ".join(filter(None, [verdict.result, verdict.policy, verdict.policy_domain]))
    assert told == case["expect"], verdict


def test_a_walk_asks_at_most_eight_questions() -> None:
    def names(domain: str) -> list[str]:
        return [question.name for question in walk_questions(domain)]

    assert names("a.mail.example.com") == [
        "_dmarc.a.mail.example.com",
        "_dmarc.mail.example.com",
        "_dmarc.example.com",
        "_dmarc.com",
    ]
    assert names("com") == ["_dmarc.com"]
    # RFC 9989 §4.10, its own example
    assert names("a.b.c.d.e.f.g.h.i.j.mail.example.com") == [
        "_dmarc.a.b.c.d.e.f.g.h.i.j.mail.example.com",
        "_dmarc.g.h.i.j.mail.example.com",
        "_dmarc.h.i.j.mail.example.com",
        "_dmarc.i.j.mail.example.com",
        "_dmarc.j.mail.example.com",
        "_dmarc.mail.example.com",
        "_dmarc.example.com",
        "_dmarc.com",
    ]
    assert len(names("1.2.3.4.5.6.7.8")) == 8
    assert names("") == names("a..b") == []


@pytest.mark.parametrize(
    ("domain", "organization"),
    [
        ("example.com", "example.com"),
        ("deep.news.example.com", "example.com"),
        ("nowhere.example", "nowhere.example"),
        ("x.norec.bank.psd", "norec.bank.psd"),
        ("bank.psd", "bank.psd"),
        ("a.b.unit.corp.test", "unit.corp.test"),
        ("a.time.test", None),
    ],
)
async def test_organizations(zone: Zone, domain: str, organization: str | None) -> None:
    assert (await walk(domain, zone)).organization == organization


async def test_organizations_of_all_domains_are_told(zone: Zone) -> None:
    spf = SpfVerdict(SpfResult.PASS, "bounce.example.com")
    dkim = [DkimVerdict(DkimResult.PASS, "x.norec.bank.psd"), DkimVerdict(DkimResult.FAIL, "not.asked")]
    _, organizations = await evaluate(["example.com"], spf, dkim, zone, others=["a.time.test", "up.test"])
    assert dict(organizations) == {
        "example.com": "example.com",
        "x.norec.bank.psd": "norec.bank.psd",
        "bounce.example.com": "example.com",
        "up.test": "up.test",
    }


async def test_what_aligned_is_said(zone: Zone) -> None:
    dkim = [
        DkimVerdict(DkimResult.PASS, domain)
        for domain in ("a.example.com", "elsewhere.test", "a.example.com")
    ]
    verdict, _ = await evaluate(["example.com"], SpfVerdict(SpfResult.PASS, "example.com"), dkim, zone)
    assert verdict.aligned_by == ("dkim=a.example.com", "spf=example.com")


async def test_a_record_under_test_is_said(zone: Zone) -> None:
    verdict, _ = await evaluate(["testing.test"], NO_SPF, [], zone)
    assert (verdict.result, verdict.policy, verdict.testing) == (DmarcResult.FAIL, Policy.REJECT, True)


async def test_every_question_goes_out_at_once_and_none_more_than_needed(zone: Zone) -> None:
    await evaluate(["example.com"], SpfVerdict(SpfResult.PASS, "example.com"), [], zone)
    assert set(zone.asked) == {Question("_dmarc.example.com", "TXT"), Question("_dmarc.com", "TXT")}


async def test_thousands_of_records_are_as_good_as_none(zone: Zone) -> None:
    zone.add("_dmarc.many.test", "TXT", *[f"v=DMARC1; p=reject; n={number}" for number in range(5_000)])
    verdict, _ = await evaluate(["many.test"], SpfVerdict(SpfResult.PASS, "many.test"), [], zone)
    assert verdict.result is DmarcResult.NONE


@pytest.mark.parametrize(
    ("text", "record"),
    [
        (b"v=DMARC1;p=reject", Record(Policy.REJECT)),
        (b" v = DMARC1 ; p = none ; ", Record(Policy.NONE)),
        (b"v=DMARC1; p=none; p=reject", Record(Policy.NONE)),
        (b"v=DMARC1; p=reject; psd=u; t=n; adkim=S; aspf=r", Record(Policy.REJECT, strict_dkim=True)),
        (b"v=DMARC1; p=reject; np=quarantine", Record(Policy.REJECT, nonexistent_policy=Policy.QUARANTINE)),
        (b"v=DMARC1; p=bogus; sp=reject; rua=https://reports.example/in", Record(Policy.NONE)),
        (b"v=DMARC1", Record(None)),
        (b"v=DMARC1; \xff", Record(None)),
        (b"v=DMARC1; p=reject; " + b"x" * 5_000, None),
        (b"v=DMARC1 p=reject", None),
        (b"v=DMARC", None),
        (b"", None),
        (b"\xff", None),
    ],
)
def test_records(text: bytes, record: Record | None) -> None:
    assert parse_record(text) == record
