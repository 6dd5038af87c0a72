# SPDX-License-Identifier: Apache-2.0
"""The SPF adapter: our resolver in, a verdict in our words out."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import yaml

from rejoinder.dns import Question, Rcode, RdType
from rejoinder.dns.zone import Written, Zone
from rejoinder.mailauth.spf import check_host, identity
from rejoinder.mailauth.verdict import SpfResult
from rejoinder.message.address import Mailbox

pytestmark = pytest.mark.anyio

VECTORS = yaml.safe_load((Path(__file__).parents[2] / "vectors" / "spf" / "cases.yml").read_text())


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


@pytest.mark.parametrize("case", VECTORS["cases"], ids=" ".join)
async def test_the_vectors_hold(case: list[str], zone: Zone) -> None:
    ip, sender, result, *explanation = case
    local_part, _, domain = sender.partition("@")
    verdict = await check_host(ip, "client.example", Mailbox(local_part, domain), zone, "mx.desk.example")
    assert verdict.result == result, verdict.steps
    assert verdict.identity == "mailfrom"
    assert verdict.explanation == "".join(explanation)


async def test_a_null_reverse_path_is_checked_as_postmaster_of_the_helo_name(zone: Zone) -> None:
    verdict = await check_host("192.0.2.1", "IP4.example", None, zone, "mx.desk.example")
    assert (verdict.result, verdict.identity, verdict.domain) == (SpfResult.PASS, "helo", "ip4.example")


async def test_names_are_checked_as_a_labels() -> None:
    zone = Zone({"xn--bcher-kva.example": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"]}})
    verdict = await check_host("192.0.2.1", "x.example", Mailbox("ann", "Bücher.example"), zone, "mx")
    assert (verdict.result, verdict.domain) == (SpfResult.PASS, "xn--bcher-kva.example")


@pytest.mark.parametrize(
    ("helo", "reverse_path"), [("", None), ("[192.0.2.1]", None), ("x.example", Mailbox("postmaster", ""))]
)
async def test_without_a_domain_there_is_no_result_and_no_question(
    helo: str, reverse_path: Mailbox | None
) -> None:
    zone = Zone()
    verdict = await check_host("192.0.2.1", helo, reverse_path, zone, "mx")
    assert verdict.result is SpfResult.NONE
    assert zone.asked in ([], [Question(helo, "TXT")])


async def test_the_steps_tell_how_the_result_came_about(zone: Zone) -> None:
    verdict = await check_host("192.0.2.1", "x.example", Mailbox("ann", "mx.example"), zone, "mx")
    assert verdict.steps == (
        "domain mx.example",
        "record v=spf1 mx ~all",
        "MX mx.example: noerror",
        "A mail.mx.example: noerror",
        "mx: pass",
    )


@pytest.mark.parametrize(("terms", "result"), [(400, SpfResult.FAIL), (5_000, SpfResult.PERMERROR)])
async def test_long_records_leave_bounded_evidence(terms: int, result: SpfResult) -> None:
    record = "v=spf1 " + " ".join(f"ip4:198.51.100.{number % 256}" for number in range(terms)) + " -all"
    zone = Zone({"big.example": {"TXT": [record]}})
    verdict = await check_host("192.0.2.1", "x.example", Mailbox("ann", "big.example"), zone, "mx")
    assert verdict.result is result
    assert sum(map(len, verdict.steps)) < 2_000


def test_an_empty_local_part_is_postmaster() -> None:
    assert identity("x", Mailbox("", "example.com")) == ("postmaster@example.com", "example.com")
