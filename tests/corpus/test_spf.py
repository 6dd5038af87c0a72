# SPDX-License-Identifier: Apache-2.0
"""SPF against two public suites: RFC 7208's own (YAML) and mail-auth's (nearly YAML, with repeated keys)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast, get_args

import pytest
import yaml

from rejoinder.dns import Rcode, RdType
from rejoinder.dns.zone import Zone
from rejoinder.mailauth.spf import check_host
from rejoinder.mailauth.verdict import SpfResult, SpfVerdict
from rejoinder.message.address import Mailbox

pytestmark = pytest.mark.anyio

RFC7208_CASES = 91
MAIL_AUTH_CASES = 93

DEPARTURES = {
    # Where mail-auth's suite expects something else than RFC 7208, and what the RFC makes of it.
    "all.yml:14": SpfResult.PERMERROR,  # §4.6: a syntax error anywhere, also after -all
    "basic.yml:112": SpfResult.PERMERROR,  # §4.6.4: eight void look-ups, two are allowed
    "basic.yml:132": SpfResult.PERMERROR,  # §4.6.4: eleven exchanges are too many, matching or not
    "basic.yml:140": SpfResult.PERMERROR,  # §4.6.4: void look-ups count under ptr too
    "exists.yml:19": SpfResult.FAIL,  # §5.7: exists asks for A, never for AAAA
    "ip.yml:54": SpfResult.FAIL,  # §5: an IPv4-mapped client is an IPv4 client, no ip6: matches it
}


@dataclass
class Case:
    name: str
    ip: str
    helo: str
    sender: str
    expected: tuple[str, ...]
    explanation: str | None
    zone: Zone


def reverse_path(text: str) -> Mailbox | None:
    local_part, _, domain = text.rpartition("@")
    return Mailbox(local_part, domain) if domain else None


async def test_every_case_of_the_rfc_suite_holds(corpora: Path) -> None:
    cases = list(rfc7208_cases(corpora / "spf" / "rfc7208-shared.yml"))
    assert len(cases) == RFC7208_CASES
    wrong = []
    for case in cases:
        verdict = await check_host(case.ip, case.helo, reverse_path(case.sender), case.zone, "receiver.test")
        if not holds(case, verdict):
            wrong.append((case.name, case.expected, case.explanation, verdict))
    assert wrong == []


async def test_every_case_of_mail_auth_holds(corpora: Path) -> None:
    cases = [
        case
        for path in sorted((corpora / "spf" / "mail-auth").glob("*.yml"))
        for case in mail_auth_cases(path)
    ]
    assert len(cases) == MAIL_AUTH_CASES
    wrong = []
    for case in cases:
        # These cases check both identities (RFC 7208 §2.3): HELO first, then MAIL FROM if that passed.
        verdict = await check_host(case.ip, case.helo, None, case.zone, "receiver.test")
        if verdict.result is SpfResult.PASS:
            verdict = await check_host(
                case.ip, case.helo, reverse_path(case.sender), case.zone, "receiver.test"
            )
        if case.name in DEPARTURES:
            assert verdict.result is DEPARTURES[case.name]
        elif not holds(case, verdict):
            wrong.append((case.name, case.expected, case.explanation, verdict))
    assert wrong == []


def holds(case: Case, verdict: SpfVerdict) -> bool:
    explained = case.explanation in (None, "DEFAULT", verdict.explanation)
    return verdict.result in case.expected and explained


def rfc7208_cases(path: Path) -> Iterator[Case]:
    for document in yaml.safe_load_all(path.read_text()):
        zone = rfc7208_zone(document["zonedata"])
        for name, test in document["tests"].items():
            result = test["result"]
            yield Case(
                name,
                str(test["host"]),
                str(test["helo"]),
                str(test["mailfrom"]),
                tuple(result) if isinstance(result, list) else (result,),
                test.get("explanation"),
                zone,
            )


def rfc7208_zone(data: dict[str, list[object]]) -> Zone:
    """A name's SPF records are also its TXT records, unless it has TXT records of its own."""
    zone = Zone()
    for name, records in data.items():
        written = [next(iter(record.items())) for record in records if isinstance(record, dict)]
        pairs = [(str(key), value) for key, value in written if value != "NONE"]
        zone.add(name, "A")
        if "TIMEOUT" in records:
            for rdtype in set(get_args(RdType)) - {key for key, _ in pairs}:
                zone.breaks(name, Rcode.TIMEOUT, rdtype)
        if any(key == "TXT" for key, _ in written):
            pairs = [(key, value) for key, value in pairs if key != "SPF"]
        for key, value in pairs:
            rdtype = "TXT" if key == "SPF" else key
            zone.add(name, cast(RdType, rdtype), as_written(rdtype, value))
    return zone


def as_written(rdtype: str, value: object) -> str | list[str]:
    if not isinstance(value, list):
        return str(value)
    return [str(part) for part in value] if rdtype == "TXT" else " ".join(map(str, value))


@dataclass
class Reader:
    """What the lines so far have said; a key given again replaces what it said before."""

    records: dict[tuple[str, str], str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)


def mail_auth_cases(path: Path) -> Iterator[Case]:
    reader = Reader()
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip() == "---":
            reader = Reader()
        key, colon, value = line.strip().removeprefix("- ").partition(":")
        value = value.strip()
        if line.lstrip().startswith("#") or not colon:
            continue
        if key in ("a", "aaaa", "mx", "ptr", "spf", "exp"):
            name, _, data = value.partition(" ")
            reader.records[key, name] = data
        elif key == "expect":
            yield mail_auth_case(f"{path.name}:{number}", reader, value)
        else:
            reader.values[key] = value


def mail_auth_case(name: str, reader: Reader, expected: str) -> Case:
    result, _, explanation = expected.partition(" ")
    values = reader.values
    zone = mail_auth_zone(reader.records)
    if values["domain"].startswith("_dns_error"):
        zone.breaks(values["domain"], Rcode.SERVFAIL)
    return Case(name, values["ip"], values["domain"], values["sender"], (result,), explanation or None, zone)


def mail_auth_zone(records: dict[tuple[str, str], str]) -> Zone:
    zone = Zone()
    for (kind, name), data in records.items():
        items = [item.strip() for item in data.split(",")]
        match kind:
            case "a":
                zone.add(name, "A", *items)
            case "aaaa":
                zone.add(name, "AAAA", *items)
            case "mx":  # the addresses of the exchanges
                for number, address in enumerate(items, 1):
                    zone.add(name, "MX", f"{number} mx{number}.{name}")
                    zone.add(f"mx{number}.{name}", "A", address)
            case "ptr":
                zone.add(ipaddress.ip_address(name).reverse_pointer, "PTR", *items)
            case _:
                zone.add(name, "TXT", data)
    return zone
