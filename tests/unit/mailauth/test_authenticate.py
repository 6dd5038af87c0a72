# SPDX-License-Identifier: Apache-2.0
"""A whole message: envelope and content in, a verdict out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rejoinder.dns import Answer, Question, Rcode, RdType
from rejoinder.dns.zone import Zone
from rejoinder.mailauth.authenticate import authenticate
from rejoinder.mailauth.dkim.key import public_record
from rejoinder.mailauth.dkim.sign import Signer
from rejoinder.mailauth.lookups import Lookups
from rejoinder.mailauth.verdict import DmarcResult, SpfResult, Verdict
from rejoinder.message.address import Mailbox
from rejoinder.message.headers import split
from tests.unit.mailauth.signing import MESSAGE, NOW, RSA, signed

pytestmark = pytest.mark.anyio

ANN = Mailbox("ann", "customer.example")
SIGNED = Signer("customer.example", "sel", RSA).sign(MESSAGE, NOW) + MESSAGE


class Counting(Zone):
    """A zone that remembers how many questions came at once."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.rounds: list[int] = []

    async def query(self, name: str, rdtype: RdType) -> Answer:
        self.rounds.append(1)
        return await super().query(name, rdtype)

    async def many(self, questions: Sequence[Question]) -> list[Answer]:
        self.rounds.append(len(questions))
        return await super().many(questions)


@pytest.fixture
def zone() -> Counting:
    return Counting(
        {
            "customer.example": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"]},
            "_dmarc.customer.example": {"TXT": ["v=DMARC1; p=reject"]},
            "sel._domainkey.customer.example": {"TXT": [public_record(RSA)]},
            "elsewhere.example": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"]},
        }
    )


async def verdict_on(
    zone: Zone, raw: bytes = SIGNED, reverse_path: Mailbox | None = ANN, ip: str = "192.0.2.1"
) -> Verdict:
    headers, body_offset = split(raw)
    return await authenticate(
        raw,
        headers,
        body_offset,
        ip=ip,
        helo="mail.customer.example",
        reverse_path=reverse_path,
        resolver=zone,
        now=NOW,
    )


async def test_a_customers_mail_is_valid_and_may_be_answered(zone: Counting) -> None:
    verdict = await verdict_on(zone)
    assert verdict.dmarc_valid
    assert verdict.dmarc.aligned_by == ("dkim=customer.example", "spf=customer.example")
    assert verdict.reverse_path_proven(ANN)


async def test_all_questions_of_usual_mail_go_out_in_one_round(zone: Counting) -> None:
    await verdict_on(zone)
    assert zone.rounds == [4]
    assert len(set(zone.asked)) == len(zone.asked)


async def test_forwarded_mail_is_valid_by_its_signature(zone: Counting) -> None:
    verdict = await verdict_on(zone, ip="198.51.100.1")
    assert verdict.spf.result is SpfResult.FAIL
    assert verdict.dmarc_valid
    assert verdict.reverse_path_proven(ANN)


async def test_a_replay_is_valid_and_must_not_be_answered(zone: Counting) -> None:
    victim = Mailbox("victim", "elsewhere.example")
    verdict = await verdict_on(zone, reverse_path=victim, ip="198.51.100.1")
    assert verdict.dmarc_valid
    assert not verdict.reverse_path_proven(victim)


async def test_a_forged_author_fails(zone: Counting) -> None:
    verdict = await verdict_on(zone, raw=MESSAGE, ip="198.51.100.1")
    assert verdict.dmarc.result is DmarcResult.FAIL
    assert not verdict.reverse_path_proven(ANN)


async def test_a_domain_without_a_policy_is_not_valid(zone: Counting) -> None:
    zone.remove("_dmarc.customer.example")
    verdict = await verdict_on(zone)
    assert verdict.dmarc.result is DmarcResult.NONE
    assert not verdict.dmarc_valid
    assert verdict.reverse_path_proven(ANN)


async def test_a_report_with_a_null_reverse_path_is_authenticated_by_its_helo_name(zone: Counting) -> None:
    zone.add("mail.customer.example", "TXT", "v=spf1 ip4:192.0.2.1 -all")
    verdict = await verdict_on(zone, raw=MESSAGE, reverse_path=None)
    assert verdict.dmarc.aligned_by == ("spf=mail.customer.example",)
    assert not verdict.reverse_path_proven(None)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"", "no author domain"),
        (b"From: nobody\r\n", "no author domain"),
        (b"From: ann@customer.example, bob@elsewhere.example\r\n", "several author domains"),
        # RFC 5322 §3.6: From occurs once.
        (b"From: ann@customer.example\r\nFrom: ann@customer.example\r\n", "no author domain"),
    ],
)
async def test_without_one_author_dmarc_does_not_apply(zone: Counting, header: bytes, reason: str) -> None:
    verdict = await verdict_on(zone, raw=header + b"Subject: x\r\n\r\n")
    assert (verdict.dmarc.result, verdict.dmarc.reason) == (DmarcResult.PERMERROR, reason)


@pytest.mark.parametrize("rcode", [Rcode.SERVFAIL, Rcode.TIMEOUT])
async def test_a_dead_dns_never_makes_a_mail_valid(zone: Counting, rcode: Rcode) -> None:
    for name in (
        "customer.example",
        "_dmarc.customer.example",
        "sel._domainkey.customer.example",
        "_dmarc.example",
    ):
        zone.breaks(name, rcode)
    verdict = await verdict_on(zone)
    assert verdict.failed_for_now
    assert not verdict.dmarc_valid
    assert not verdict.reverse_path_proven(ANN)


async def test_evidence_of_a_hostile_message_stays_below_its_limit(zone: Counting) -> None:
    domain = ".".join(["d" * 60] * 3) + ".example"
    names = "From:" + ":".join(f"X-{number:070}" for number in range(150))
    raw = MESSAGE
    for number in range(14):
        raw = signed(
            raw, tags={"d": domain, "s": f"{number:040}", "h": names, "i": "é" * 1_000 + "@" + domain}
        )
    zone.add(domain, "TXT", "v=spf1 " + "ip4:198.51.100.1 " * 2_000)
    for number in range(14):
        zone.add(f"{number:040}._domainkey.{domain}", "TXT", public_record(RSA))
    verdict = await verdict_on(zone, raw, Mailbox("x" * 64, domain))
    assert sum(signature.proves for signature in verdict.dkim) == 10
    assert len(verdict.as_json()) < 16_384


async def test_without_any_name_there_is_still_a_verdict(zone: Counting) -> None:
    headers, body_offset = split(MESSAGE)
    verdict = await authenticate(
        MESSAGE, headers, body_offset, ip="192.0.2.1", helo="", reverse_path=None, resolver=zone, now=NOW
    )
    assert verdict.spf.result is SpfResult.NONE
    assert verdict.dmarc.result is DmarcResult.FAIL


async def test_what_spf_includes_is_asked_for_when_it_is_needed(zone: Counting) -> None:
    zone.remove("customer.example")
    zone.add("customer.example", "TXT", "v=spf1 include:elsewhere.example -all")
    verdict = await verdict_on(zone, raw=MESSAGE)
    assert verdict.spf.result is SpfResult.PASS
    assert zone.rounds == [3, 1]


async def test_lookups_ask_each_question_once(zone: Counting) -> None:
    lookups = Lookups(zone)
    first = await lookups.many([Question("customer.example", "TXT"), Question("CUSTOMER.example.", "TXT")])
    again = await lookups.query("Customer.example", "TXT")
    assert first == [again, again]
    assert zone.rounds == [1]
