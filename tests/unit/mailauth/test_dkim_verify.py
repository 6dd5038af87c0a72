# SPDX-License-Identifier: Apache-2.0
"""What passes, and every reason for which a signature does not (RFC 6376 §6.1)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from pathlib import Path

import dkim as dkimpy
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from rejoinder.clock import SECOND
from rejoinder.dns import Answer, Question, Rcode
from rejoinder.dns.zone import Zone
from rejoinder.mailauth.dkim.canonical import Algorithm
from rejoinder.mailauth.dkim.key import public_record
from rejoinder.mailauth.verdict import DkimResult
from tests.unit.mailauth.signing import (
    ED25519,
    ED25519_PUBLIC,
    MESSAGE,
    RSA,
    RSA_PUBLIC,
    key_zone,
    signed,
    verdicts,
)

pytestmark = pytest.mark.anyio

VECTORS = Path(__file__).parents[2] / "vectors" / "dkim"
ALGORITHMS: tuple[Algorithm, ...] = ("simple", "relaxed")


@pytest.mark.parametrize("header", ALGORITHMS)
@pytest.mark.parametrize("body", ALGORITHMS)
async def test_every_pair_of_canonicalizations_passes(header: Algorithm, body: Algorithm) -> None:
    (verdict,) = await verdicts(signed(header=header, body=body), key_zone())
    assert verdict.result is DkimResult.PASS
    assert verdict.proves
    assert (verdict.domain, verdict.selector, verdict.identity) == (
        "customer.example",
        "sel",
        "@customer.example",
    )
    assert verdict.signed_fields == ("from", "to", "subject", "message-id")


async def test_ed25519_passes() -> None:
    zone = key_zone(f"v=DKIM1; k=ed25519; p={ED25519_PUBLIC}")
    (verdict,) = await verdicts(signed(key=ED25519), zone)
    assert verdict.result is DkimResult.PASS
    assert verdict.algorithm == "ed25519-sha256"


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"v": "2"}, "incompatible version"),
        ({"v": None}, "signature missing required tag: v"),
        ({"d": None, "s": None}, "signature missing required tag: d, s"),
        ({"bh": None}, "signature missing required tag: bh"),
        ({"h": ""}, "signature missing required tag: h"),
        ({"a": "rsa-sha1"}, "inappropriate hash algorithm"),  # RFC 8301 §3.1
        ({"a": "rsa-sha512"}, "inappropriate hash algorithm"),
        ({"c": "nofws"}, "unsupported canonicalization"),
        ({"c": "relaxed/none"}, "unsupported canonicalization"),
        ({"h": "To:Subject"}, "From field not signed"),
        ({"h": "From::To"}, "signature syntax error: h="),
        ({"h": "From:Sub ject"}, "signature syntax error: h="),
        ({"h": ":".join(["From"] * 201)}, "signature syntax error: h="),
        ({"i": "ann@other.example"}, "domain mismatch"),
        # A suffix of characters is no parent domain.
        ({"i": "ann@notcustomer.example"}, "domain mismatch"),
        ({"i": "customer.example"}, "signature syntax error: i="),
        ({"x": "1699999999"}, "signature expired"),
        ({"x": "1699999000", "t": "1699999000"}, "signature expired"),
        ({"x": "1700000010", "t": "1700000020"}, "signature syntax error: x= not after t="),
        ({"t": "1700000601"}, "signature timestamp in the future"),
        ({"t": "yesterday"}, "signature syntax error: t="),
        ({"t": "-1"}, "signature syntax error: t="),
        ({"l": "1e3"}, "signature syntax error: l="),
        ({"l": "9" * 77}, "signature syntax error: l="),
        ({"q": "http/get"}, "no supported query method"),
        ({"d": "customer..example"}, "signature syntax error: d= or s="),
        ({"d": "customer.example\r\n\tTXT"}, "signature syntax error: d= or s="),
        ({"s": "a b"}, "signature syntax error: d= or s="),
        ({"s": ".".join(["a" * 60] * 4)}, "signature syntax error: d= or s="),
        ({"bh": "not base64!"}, "signature syntax error: bh="),
        ({"b2": "x; d=customer.example"}, "signature syntax error: duplicate tag d"),
        ({"2b": "x"}, "signature syntax error: not a tag list"),
        ({"z": "; "}, "signature syntax error: not a tag list"),
        ({f"t{number}": "x" for number in range(64)}, "signature syntax error: too many tags"),
    ],
)
async def test_a_signature_is_refused_without_asking_for_its_key(
    tags: dict[str, str | None], reason: str
) -> None:
    zone = key_zone()
    (verdict,) = await verdicts(signed(tags=tags), zone)
    assert (verdict.result, verdict.reason) == (DkimResult.PERMERROR, reason)
    assert zone.asked == []


@pytest.mark.parametrize(
    "tags",
    [
        {"i": "ann@mail.customer.example"},
        {"i": "@CUSTOMER.example", "d": "Customer.Example"},
        {"q": "dns/txt:http"},
        {"x": "1700000001"},
        {"t": "1700000599"},  # a clock that is a little ahead
        {"t": None},
        {"c": "relaxed/relaxed", "z": "From:ann=40customer.example|To:x"},  # copied fields are not looked at
        {"unknown": "tag"},
        {"h": "from : to :\r\n\tsubject:cc:from"},
    ],
)
async def test_odd_but_right_signatures_pass(tags: dict[str, str | None]) -> None:
    (verdict,) = await verdicts(signed(tags=tags), key_zone())
    assert verdict.result is DkimResult.PASS, verdict.reason


@pytest.mark.parametrize(
    ("record", "result", "reason"),
    [
        ("v=DKIM1; p=", DkimResult.PERMERROR, "key revoked"),
        ("v=DKIM2; p=x", DkimResult.PERMERROR, "key syntax error: v="),
        (f"p={RSA_PUBLIC}; v=DKIM1", DkimResult.PERMERROR, "key syntax error: v="),
        ("v=DKIM1; k=rsa", DkimResult.PERMERROR, "key syntax error: no p="),
        ("v=spf1 -all", DkimResult.PERMERROR, "key syntax error: v="),
        ("hello world", DkimResult.PERMERROR, "key syntax error: not a tag list"),
        ("v=DKIM1; p=AAAA; p=BBBB", DkimResult.PERMERROR, "key syntax error: duplicate tag p"),
        (f"v=DKIM1; k=ed25519; p={ED25519_PUBLIC}", DkimResult.PERMERROR, "inappropriate key algorithm"),
        (f"v=DKIM1; h=sha1; p={RSA_PUBLIC}", DkimResult.PERMERROR, "inappropriate hash algorithm"),
        (f"v=DKIM1; s=tlsrpt; p={RSA_PUBLIC}", DkimResult.PERMERROR, "key is not for email"),
        ("v=DKIM1; p=!!!!", DkimResult.PERMERROR, "key syntax error: p="),
        ("v=DKIM1; p=AAAA", DkimResult.PERMERROR, "key syntax error: p="),
        ("v=DKIM1; p=" + "A" * 9000, DkimResult.PERMERROR, "key syntax error: too long"),
        (f"v=DKIM1; k=rsa; p={ED25519_PUBLIC}", DkimResult.PERMERROR, "key syntax error: p="),
        (f"v=DKIM1; h=sha1:sha256; s=tlsrpt:email; n=notes here; p={RSA_PUBLIC}", DkimResult.PASS, ""),
        (f"k=rsa; p={RSA_PUBLIC};", DkimResult.PASS, ""),
        (f"p={RSA_PUBLIC[:50]} {RSA_PUBLIC[50:]}", DkimResult.PASS, ""),
    ],
)
async def test_the_key_record_decides(record: str, result: DkimResult, reason: str) -> None:
    (verdict,) = await verdicts(signed(), key_zone(record))
    assert (verdict.result, verdict.reason) == (result, reason)


@pytest.mark.parametrize("bits", [512, 1023, 8200, 16_400])
async def test_keys_of_other_sizes_than_1024_to_8192_bits_are_not_accepted(bits: int) -> None:
    # RFC 8301 §3.2; made from numbers, because nobody makes such keys any more.
    public = RSAPublicNumbers(65537, (1 << bits - 1) + 1).public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    zone = key_zone(f"v=DKIM1; p={base64.b64encode(der).decode()}")
    (verdict,) = await verdicts(signed(), zone)
    assert verdict.result is DkimResult.PERMERROR
    assert verdict.reason == f"RSA key of {bits} bits not allowed"


async def test_a_strict_key_binds_the_identity_to_the_domain_itself() -> None:
    zone = key_zone(f"v=DKIM1; t=y:s; p={RSA_PUBLIC}")
    (below,) = await verdicts(signed(tags={"i": "ann@mail.customer.example"}), zone)
    (equal,) = await verdicts(signed(tags={"i": "ann@customer.example"}), zone)
    assert (below.result, below.reason) == (DkimResult.PERMERROR, "domain mismatch")
    assert equal.result is DkimResult.PASS


async def test_a_signature_under_a_testing_key_passes_and_proves_nothing() -> None:
    (verdict,) = await verdicts(signed(), key_zone(f"v=DKIM1; t=y; p={RSA_PUBLIC}"))
    assert verdict.result is DkimResult.PASS
    assert verdict.testing
    assert not verdict.proves  # RFC 6376 §3.6.1


async def test_a_signature_that_limits_the_body_is_sound_but_not_accepted() -> None:
    raw = signed(tags={"l": "5"}, length=5)
    for message in (raw, raw + b"and something that nobody signed\r\n"):
        (verdict,) = await verdicts(message, key_zone())
        assert verdict.result is DkimResult.POLICY
        assert verdict.body_limited
        assert not verdict.proves


async def test_a_body_shorter_than_its_limit_fails() -> None:
    (verdict,) = await verdicts(signed(tags={"l": "5000"}), key_zone())
    assert (verdict.result, verdict.reason) == (DkimResult.FAIL, "body shorter than l=")


@pytest.mark.parametrize("rcode", [Rcode.SERVFAIL, Rcode.TIMEOUT])
async def test_a_failing_dns_is_a_temperror(rcode: Rcode) -> None:
    zone = key_zone()
    zone.breaks("sel._domainkey.customer.example", rcode)
    (verdict,) = await verdicts(signed(), zone)
    assert (verdict.result, verdict.reason) == (DkimResult.TEMPERROR, "key unavailable")


async def test_a_missing_key_is_a_permerror() -> None:
    (verdict,) = await verdicts(signed(), Zone())
    assert (verdict.result, verdict.reason) == (DkimResult.PERMERROR, "no key for signature")


async def test_one_right_key_among_several_is_found() -> None:
    zone = key_zone("v=spf1 -all", f"v=DKIM1; k=ed25519; p={ED25519_PUBLIC}", f"v=DKIM1; p={RSA_PUBLIC}")
    (verdict,) = await verdicts(signed(), zone)
    assert verdict.result is DkimResult.PASS


async def test_thousands_of_keys_are_not_tried() -> None:
    other = public_record(generate_private_key(public_exponent=65537, key_size=1024))
    (verdict,) = await verdicts(signed(), key_zone(*[other] * 5_000, public_record(RSA)))
    assert (verdict.result, verdict.reason) == (DkimResult.FAIL, "signature did not verify")


async def test_ten_signatures_are_looked_at_and_the_rest_is_neutral() -> None:
    field = signed().removesuffix(MESSAGE)
    zone = key_zone()
    found = await verdicts(field * 500 + MESSAGE, zone)
    assert [verdict.result for verdict in found] == [DkimResult.PASS] * 10 + [DkimResult.NEUTRAL]
    assert found[-1].reason == "490 signatures after the first 10 not evaluated"
    assert len(zone.asked) == 10


async def test_the_keys_of_all_signatures_are_asked_for_at_once() -> None:
    asked: list[int] = []

    class Counting(Zone):
        async def many(self, questions: Sequence[Question]) -> list[Answer]:
            asked.append(len(questions))
            return await super().many(questions)

    raw = signed(signed(tags={"s": "one"}), tags={"s": "two"})
    await verdicts(raw, Counting())
    assert asked == [2]


async def test_a_second_subject_is_seen_by_a_signature_that_names_it_twice() -> None:
    for names, result in (("From:Subject", DkimResult.PASS), ("From:Subject:Subject", DkimResult.FAIL)):
        field = signed(tags={"h": names}).removesuffix(MESSAGE)
        (verdict,) = await verdicts(field + b"Subject: You have won\r\n" + MESSAGE, key_zone())
        assert verdict.result is result


@pytest.mark.parametrize("header", ALGORITHMS)
@pytest.mark.parametrize("body", ALGORITHMS)
async def test_dkimpy_agrees_in_both_directions(header: Algorithm, body: Algorithm) -> None:
    ours = signed(header=header, body=body)
    assert dkimpy.verify(ours, dnsfunc=lambda _name, timeout: public_record(RSA).encode())
    pem = RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    canonicalize = (header.encode(), body.encode())
    theirs = dkimpy.sign(MESSAGE, b"sel", b"customer.example", pem, canonicalize=canonicalize) + MESSAGE
    (verdict,) = await verdicts(theirs, key_zone(), now=10**16)  # it signs with the machine's time
    assert verdict.result is DkimResult.PASS, verdict.reason


def every_kind_of_byte(raw: bytes) -> list[int]:
    """Where each distinct octet of the message stands, and the beginnings of bh= and b=."""
    at = len(raw) - len(MESSAGE)
    by_octet = {octet: at + index for index, octet in enumerate(raw[at:]) if octet not in b" \t\r\n"}
    return sorted({*by_octet.values(), raw.index(b"bh=") + 3, raw.index(b"b=", raw.index(b"bh=") + 3) + 2})


@pytest.mark.parametrize("bit", range(8))
async def test_no_octet_of_what_is_signed_can_change(bit: int) -> None:
    raw = signed(header="simple", body="simple")
    zone = key_zone()
    for at in every_kind_of_byte(raw):
        changed = raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]
        assert not any(verdict.proves for verdict in await verdicts(changed, zone)), (
            at,
            changed[at : at + 9],
        )


async def test_a_message_without_signature_has_no_verdict() -> None:
    assert await verdicts(MESSAGE, Zone()) == []


async def test_the_vectors_hold() -> None:
    manifest = json.loads((VECTORS / "manifest.json").read_text())
    zone = Zone({name: {"TXT": records} for name, records in manifest["keys"].items()})
    assert sorted(manifest["results"]) == sorted(path.name for path in VECTORS.glob("*.eml"))
    for name, expected in manifest["results"].items():
        raw = re.sub(rb"\r?\n", b"\r\n", (VECTORS / name).read_bytes())
        found = await verdicts(raw, zone, manifest["now"] * SECOND)
        assert [f"{verdict.result} {verdict.reason}".strip() for verdict in found] == expected, name
