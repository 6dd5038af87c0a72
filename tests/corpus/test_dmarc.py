# SPDX-License-Identifier: Apache-2.0
"""DMARC against the alignment cases of the corpus."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import yaml

from rejoinder.dns import Rcode, RdType
from rejoinder.dns.zone import Written, Zone
from rejoinder.mailauth.dmarc import evaluate
from rejoinder.mailauth.verdict import DkimResult, DkimVerdict, SpfResult, SpfVerdict
from rejoinder.message.address import a_label

pytestmark = pytest.mark.anyio

CASES = 18


async def test_every_case_of_the_corpus_holds(corpora: Path) -> None:
    data = yaml.safe_load((corpora / "dmarc" / "dmarc-own.yml").read_text())
    zone = zone_of(data["zone"])
    assert len(data["cases"]) == CASES
    wrong = []
    for case in data["cases"]:
        authors = {a_label(address.rpartition("@")[2]) for address in case["header_from"]}
        spf = SpfVerdict(SpfResult(case["spf"]["result"]), case["spf"]["domain"])
        dkim = [DkimVerdict(DkimResult(one["result"]), a_label(one["domain"])) for one in case["dkim"]]
        verdict, _ = await evaluate(authors, spf, dkim, zone)
        got = {"dmarc": str(verdict.result), "policy": verdict.policy and str(verdict.policy)}
        if any(got[key] != value for key, value in case["expect"].items()):
            wrong.append((case["name"], case["expect"], verdict))
    assert wrong == []


def zone_of(data: dict[str, dict[str, object]]) -> Zone:
    zone = Zone()
    for name, types in data.items():
        for rdtype, values in types.items():
            if rdtype == "*":
                zone.breaks(name, Rcode(str(values).lower()))
            else:
                zone.add(name, cast(RdType, rdtype), *cast(list[Written], values))
    return zone
