# SPDX-License-Identifier: Apache-2.0
"""A signer for tests that signs whatever it is told to, wrong things too."""

from __future__ import annotations

import base64
from collections.abc import Coroutine, Mapping
from typing import Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rejoinder.clock import SECOND
from rejoinder.dns import Resolver
from rejoinder.dns.zone import Zone
from rejoinder.mailauth.dkim import canonical, verify
from rejoinder.mailauth.dkim.key import public_record, sha256
from rejoinder.mailauth.dkim.tags import colon_list
from rejoinder.mailauth.verdict import DkimVerdict
from rejoinder.message.headers import split

T = TypeVar("T")

NOW: Final = 1_700_000_000 * SECOND
RSA: Final = generate_private_key(public_exponent=65537, key_size=1024)  # small, because made in every run
ED25519: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ED25519_PUBLIC: Final = base64.b64encode(
    ED25519.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
).decode("ascii")
RSA_PUBLIC: Final = public_record(RSA).partition("p=")[2]

MESSAGE: Final = (
    b"From: Ann Example <ann@customer.example>\r\n"
    b"To: desk@desk.example\r\n"
    b"Subject: A question\r\n"
    b"Message-ID: <1@customer.example>\r\n"
    b"\r\n"
    b"Hello,\r\n\r\nwhere  is my order?\t\r\n\r\nAnn\r\n"
)
USUAL: Final[Mapping[str, str]] = {
    "v": "1",
    "a": "rsa-sha256",
    "c": "relaxed/relaxed",
    "d": "customer.example",
    "s": "sel",
    "t": "1699999000",
    "h": "From:To:Subject:Message-ID",
}


def signed(
    raw: bytes = MESSAGE,
    tags: Mapping[str, str | None] | None = None,
    *,
    header: canonical.Algorithm = "relaxed",
    body: canonical.Algorithm = "relaxed",
    length: int | None = None,
    key: RSAPrivateKey | Ed25519PrivateKey = RSA,
) -> bytes:
    """The message under a signature with the usual tags, some replaced or, by None, left out."""
    headers, offset = split(raw)
    content = canonical.body(raw[offset:], body)[:length]
    algorithm = "rsa-sha256" if isinstance(key, RSAPrivateKey) else "ed25519-sha256"
    written: dict[str, str | None] = {**USUAL, "a": algorithm, "c": f"{header}/{body}"}
    written["bh"] = base64.b64encode(sha256(content)).decode("ascii")
    written.update(tags or {})
    listed = "; ".join(f"{name}={value}" for name, value in written.items() if value is not None)
    field = f"DKIM-Signature: {listed}; b=".encode()
    data = canonical.signed_data(headers, colon_list(written["h"] or ""), field, header)
    value = key.sign(data, PKCS1v15(), SHA256()) if isinstance(key, RSAPrivateKey) else key.sign(sha256(data))
    return field + base64.b64encode(value) + b"\r\n" + raw


def key_zone(*records: str) -> Zone:
    """The usual selector with these records, or with the usual key."""
    return Zone({"sel._domainkey.customer.example": {"TXT": records or [public_record(RSA)]}})


def without_loop(coroutine: Coroutine[None, None, T]) -> T:
    """The result of what awaits nothing but a Zone, which never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waited for something")


async def verdicts(raw: bytes, resolver: Resolver, now: int = NOW) -> list[DkimVerdict]:
    """What our verifier says of each signature."""
    headers, body = split(raw)
    return list(await verify.verify(headers, raw[body:], verify.find(headers, now), resolver))
