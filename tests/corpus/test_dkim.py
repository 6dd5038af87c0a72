# SPDX-License-Identifier: Apache-2.0
"""DKIM against five public and own sets of signed messages and canonical forms."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from rejoinder.dns import Rcode
from rejoinder.dns.zone import Zone
from rejoinder.mailauth.dkim import canonical, verify
from rejoinder.mailauth.verdict import DkimResult, DkimVerdict
from rejoinder.message.headers import split

pytestmark = pytest.mark.anyio

NOW = 1_795_300_000_000_000
PASS, FAIL, POLICY = DkimResult.PASS, DkimResult.FAIL, DkimResult.POLICY
TEMPERROR, PERMERROR = DkimResult.TEMPERROR, DkimResult.PERMERROR

OWN_CASES = 17
CHASQUID_CASES = 11
CANONICAL_FORMS = 7


async def verified(raw: bytes, zone: Zone) -> list[DkimVerdict]:
    raw = re.sub(rb"\r?\n", b"\r\n", raw)
    headers, body = split(raw)
    return list(await verify.verify(headers, raw[body:], verify.find(headers, NOW), zone))


async def test_own_messages_get_the_result_of_their_manifest(corpora: Path) -> None:
    folder = corpora / "dkim" / "own"
    zone = key_zone((folder / "keys.dat").read_text())
    manifest = json.loads((folder / "manifest.json").read_text())
    assert len(manifest) == OWN_CASES
    for case in manifest:
        verdicts = await verified((folder / case["file"]).read_bytes(), zone)
        expected = [case["expected"]] if isinstance(case["expected"], str) else case["expected"]
        # Where there are several signatures, the message has the best result.
        assert any(verdict.result in expected for verdict in verdicts), (case["file"], verdicts)


# The results of the chasquid set as that project has them, except where the comment says otherwise.
CHASQUID: dict[str, tuple[DkimResult, ...]] = {
    "01-rfc8463": (PASS, PASS),
    # There a cap of 5; ours is 10, so all seven are looked at.
    "02-too_many_headers": (PASS,) * 7,
    # There a parse error of the message; ours is tolerant and finds no signature.
    "03-bad_message": (),
    "04-bad_dkim_signature_header": (PERMERROR,),
    "05-dns_temp_error": (TEMPERROR, PASS),
    "06-dns_perm_error": (PERMERROR, PASS),
    "07-algo_mismatch": (PASS, PASS),
    "08-our_signature": (PASS, PASS, PASS),
    # There an `l=` signature counts as valid; here it is `policy` (RFC 6376 §8.2, RFC 8601 §2.7.1).
    "09-limited_body": (POLICY, PASS, PASS),
    "10-strict_domain_check_pass": (PASS, PASS),
    "11-strict_domain_check_fail": (PERMERROR,),
}


async def test_chasquid_messages_get_their_results(corpora: Path) -> None:
    folder = corpora / "dkim" / "chasquid"
    messages = sorted(folder.glob("*.msg"))
    assert len(messages) == CHASQUID_CASES
    for path in messages:
        keys = path.with_suffix(".dns")
        zone = chasquid_zone(keys.read_text()) if keys.exists() else Zone()
        verdicts = await verified(path.read_bytes(), zone)
        assert tuple(verdict.result for verdict in verdicts) == CHASQUID[path.stem], (path.name, verdicts)


async def test_chasquid_counts_agree_where_the_table_does_not_say_otherwise(corpora: Path) -> None:
    for path in sorted((corpora / "dkim" / "chasquid").glob("*.result")):
        if path.stem in ("02-too_many_headers", "09-limited_body"):
            continue
        expected = json.loads(path.read_text())
        counted = Counter(CHASQUID[path.stem])
        assert counted.total() == expected["Found"]
        assert counted[PASS] == expected["Valid"]


async def test_mail_auth_messages_pass(corpora: Path) -> None:
    paths = sorted((corpora / "dkim" / "mail-auth").glob("*.txt"))
    assert len(paths) == 2
    for path in paths:
        keys, _, message = path.read_bytes().partition(b"\n\n")
        verdicts = await verified(message, key_zone(keys.decode()))
        assert verdicts
        assert all(verdict.result is PASS for verdict in verdicts), (path.name, verdicts)


async def test_mimekit_messages_verify_with_the_key_of_their_signer(corpora: Path) -> None:
    folder = corpora / "dkim" / "mimekit"
    pem = (folder / "gmail.pub").read_text()
    key = "".join(line for line in pem.splitlines() if not line.startswith("-----"))
    zone = Zone({"20120113._domainkey.gmail.com": {"TXT": [f"v=DKIM1; k=rsa; p={key}"]}})
    paths = sorted(folder.glob("*.msg"))
    assert len(paths) == 3
    results = {path.stem: [v.result for v in await verified(path.read_bytes(), zone)] for path in paths}
    assert results == {"gmail": [PASS], "multipart-no-end-boundary": [PASS], "related": [PASS]}


def test_canonical_forms_are_those_of_flanker(corpora: Path) -> None:
    folder = corpora / "dkim" / "canonicalization"
    mails = sorted(folder.glob("email.*"))
    assert len(mails) == CANONICAL_FORMS
    for path in mails:
        raw = re.sub(rb"\r?\n", b"\r\n", path.read_bytes())
        headers, body = split(raw)
        for algorithm in ("simple", "relaxed"):
            expected = (folder / f"{algorithm}.expected{path.suffix}").read_bytes()
            form = b"".join(canonical.field(field.raw, algorithm) for field in headers)
            form += b"\r\n" + canonical.body(raw[body:], algorithm)
            assert form == expected, (path.name, algorithm)


def key_zone(text: str) -> Zone:
    """Lines of ``name record``; ``~~…~~`` for what the DNS does instead."""
    zone = Zone()
    for line in filter(None, text.splitlines()):
        name, _, record = line.partition(" ")
        match record:
            case "~~SERVFAIL~~":
                zone.breaks(name, Rcode.SERVFAIL)
            case "~~Query timed out~~":
                zone.breaks(name, Rcode.TIMEOUT)
            case _:
                zone.add(name, "TXT", record)
    return zone


def chasquid_zone(text: str) -> Zone:
    """Paragraphs of ``name: record`` with continuation lines."""
    zone = Zone()
    for line in filter(None, re.sub(r"\\\n\s*", "", text).splitlines()):
        name, _, record = line.partition(":")
        match record.strip():
            case "TEMPERROR":
                zone.breaks(name, Rcode.SERVFAIL)
            case "PERMERROR":  # a permanent error is that the name does not exist
                zone.remove(name)
            case found:
                zone.add(name, "TXT", found)
    return zone
