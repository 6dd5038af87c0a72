# SPDX-License-Identifier: Apache-2.0
"""What our signer writes, and which keys it takes."""

from __future__ import annotations

import dkim as dkimpy
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rejoinder.dns.zone import Zone
from rejoinder.errors import DkimKeyUnusable
from rejoinder.mailauth.dkim.key import make_key, public_record
from rejoinder.mailauth.dkim.sign import SIGNED_FIELDS, Signer
from rejoinder.mailauth.dkim.tags import colon_list, parse_tags
from rejoinder.mailauth.verdict import DkimResult
from rejoinder.message.headers import split
from tests.unit.mailauth.signing import ED25519, MESSAGE, NOW, RSA, key_zone, verdicts

pytestmark = pytest.mark.anyio

SIGNER = Signer("customer.example", "sel", RSA)


async def test_what_we_sign_passes_here_and_with_dkimpy() -> None:
    raw = SIGNER.sign(MESSAGE, NOW) + MESSAGE
    (verdict,) = await verdicts(raw, key_zone())
    assert verdict.result is DkimResult.PASS
    assert dkimpy.verify(raw, dnsfunc=lambda _name, timeout: public_record(RSA).encode())


def test_the_field_is_folded_and_has_no_body_limit() -> None:
    field = SIGNER.sign(MESSAGE, NOW)
    assert field.startswith(
        b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=customer.example;\r\n\ts=sel;"
    )
    assert field.endswith(b"\r\n")
    assert max(map(len, field.split(b"\r\n"))) <= 78
    headers, _ = split(field)
    assert len(headers) == 1
    tags = parse_tags(field.partition(b":")[2])
    assert tags["t"] == "1700000000"
    assert "l" not in tags


def test_every_field_is_signed_once_more_than_it_occurs() -> None:
    raw = MESSAGE.replace(b"To: ", b"Cc: a@desk.example\r\nTo: ")
    names = colon_list(parse_tags(SIGNER.sign(raw, NOW).partition(b":")[2])["h"])
    present = {"From", "To", "Cc", "Subject", "Message-ID"}
    assert {name: names.count(name) for name in SIGNED_FIELDS} == {
        name: 2 if name in present else 1 for name in SIGNED_FIELDS
    }


@pytest.mark.parametrize("name", SIGNED_FIELDS)
async def test_no_signed_field_can_be_added(name: str) -> None:
    raw = SIGNER.sign(MESSAGE, NOW) + f"{name}: something else\r\n".encode() + MESSAGE
    (verdict,) = await verdicts(raw, key_zone())
    assert verdict.result is DkimResult.FAIL


@pytest.mark.parametrize("body", [b"", b"\r\n", b"\r\n\r\n\r\n", b"no line end", b" \t\r\n", b"\xff\x00\r\n"])
async def test_every_body_can_be_signed(body: bytes) -> None:
    raw = b"From: a@customer.example\r\n\r\n" + body
    (verdict,) = await verdicts(SIGNER.sign(raw, NOW) + raw, key_zone())
    assert verdict.result is DkimResult.PASS


async def test_a_made_key_signs_and_its_record_verifies() -> None:
    signer = Signer("customer.example", "sel", make_key())
    assert signer.key.key_size == 2048
    record = public_record(signer.key)
    assert record.startswith("v=DKIM1; k=rsa; p=")
    (verdict,) = await verdicts(signer.sign(MESSAGE, NOW) + MESSAGE, key_zone(record))
    assert verdict.result is DkimResult.PASS


def test_the_signature_is_the_same_for_the_same_message_and_time() -> None:
    assert SIGNER.sign(MESSAGE, NOW) == SIGNER.sign(MESSAGE, NOW)


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        (b"", "cannot be read"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "cannot be read"),
        (ED25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "Ed25519"),
    ],
)
def test_a_key_that_cannot_sign_is_refused_with_the_reason(pem: bytes, why: str) -> None:
    with pytest.raises(DkimKeyUnusable, match=why) as refused:
        Signer("customer.example", "sel", pem)
    assert refused.value.code == "dkim-key-unusable"


def test_older_pem_of_rsa_keys_is_read() -> None:
    key = generate_private_key(public_exponent=65537, key_size=1024)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert Signer("customer.example", "sel", pem).key.key_size == 1024


async def test_nothing_is_asked_of_the_dns_to_sign() -> None:
    zone = Zone()
    SIGNER.sign(MESSAGE, NOW)
    assert zone.asked == []
