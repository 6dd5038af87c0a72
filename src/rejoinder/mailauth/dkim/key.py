# SPDX-License-Identifier: Apache-2.0
"""Published keys: reading them strictly, making ours (RFC 6376 §3.6.1, RFC 8301, RFC 8463).

A selector with several key records is undefined (§3.6.2.2); signers that rotate have them for a moment, so
the first few that fit are tried, and no more: the number of records is the attacker's choice.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)

from rejoinder.mailauth.dkim.signature import Refused, Signature, decode_base64, require
from rejoinder.mailauth.dkim.tags import TagError, colon_list, parse_tags

_MAX_RECORDS: Final = 8
_MAX_RECORD: Final = 8192  # bytes; an RSA key of 4096 bits needs 750
_RSA_BITS: Final = range(1024, 8193)  # RFC 8301 §3.2 sets the lower end, the price of a check the upper


@dataclass(frozen=True, slots=True)
class Key:
    """A key that may verify this signature; ``testing`` is its t=y."""

    public: RSAPublicKey | Ed25519PublicKey
    testing: bool

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Whether the signature is this key's over the data."""
        try:
            match self.public:
                case RSAPublicKey():
                    self.public.verify(signature, data, PKCS1v15(), SHA256())
                case Ed25519PublicKey():
                    self.public.verify(signature, sha256(data))  # RFC 8463 §3: it signs the hash
                case _:
                    assert_never(self.public)
        except InvalidSignature:
            return False
        return True


def keys_for(signature: Signature, records: Sequence[bytes]) -> Iterator[Key]:
    """The keys among the TXT records that may verify the signature.

    Raises:
        Refused: there is none; the reason is that of the last record looked at.
    """
    refused, found = Refused("no key for signature"), False
    for record in records[:_MAX_RECORDS]:
        try:
            key = _read(record, signature)
        except Refused as error:
            refused = error
            continue
        found = True
        yield key
    if not found:
        raise refused


def make_key() -> bytes:
    """A new RSA-2048 private key as PKCS#8 PEM."""
    key = generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_record(key: RSAPrivateKey) -> str:
    """The TXT record that publishes the key's public half."""
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"


def sha256(data: bytes) -> bytes:
    """The SHA-256 digest."""
    digest = Hash(SHA256())
    digest.update(data)
    return digest.finalize()


def _read(record: bytes, signature: Signature) -> Key:
    # In the order of RFC 6376 §6.1.2.
    tags = _tags(record)
    kind, hashed = signature.algorithm.split("-")
    flags = colon_list(tags.get("t", ""))
    require(
        "email" in (services := colon_list(tags.get("s", "*"))) or "*" in services, "key is not for email"
    )
    require("h" not in tags or hashed in colon_list(tags["h"].lower()), "inappropriate hash algorithm")
    require(tags.get("k", "rsa").lower() == kind, "inappropriate key algorithm")
    require(bool(tags["p"]), "key revoked")
    require("s" not in flags or signature.identity_domain == signature.domain, "domain mismatch")
    return Key(_public(kind, decode_base64(tags["p"], "key syntax error: p=")), "y" in flags)


def _tags(record: bytes) -> dict[str, str]:
    require(len(record) <= _MAX_RECORD, "key syntax error: too long")
    try:
        tags = parse_tags(record)
    except TagError as error:
        raise Refused(f"key syntax error: {error}") from None
    # RFC 6376 §3.6.1: v= is optional, but then comes first and is DKIM1.
    require("v" not in tags or (next(iter(tags)) == "v" and tags["v"] == "DKIM1"), "key syntax error: v=")
    require("p" in tags, "key syntax error: no p=")
    return tags


def _public(kind: str, material: bytes) -> RSAPublicKey | Ed25519PublicKey:
    try:
        if kind == "ed25519":
            return Ed25519PublicKey.from_public_bytes(material)
        public = load_der_public_key(material)
    except (ValueError, UnsupportedAlgorithm):
        raise Refused("key syntax error: p=") from None
    require(isinstance(public, RSAPublicKey), "inappropriate key algorithm")
    assert isinstance(public, RSAPublicKey)
    require(public.key_size in _RSA_BITS, f"RSA key of {public.key_size} bits not allowed")
    return public
