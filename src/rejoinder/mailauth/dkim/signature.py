# SPDX-License-Identifier: Apache-2.0
"""The DKIM-Signature field as a value, or the reason why it is none (RFC 6376 §3.5, §6.1.1).

Whatever is refused here is refused without asking the DNS. The surprise: an unsigned From is refused by
RFC 6376 §5.4 itself, yet common verifiers let it pass.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from rejoinder.clock import SECOND
from rejoinder.mailauth.dkim.canonical import Algorithm
from rejoinder.mailauth.dkim.tags import TagError, colon_list, parse_tags, without_space
from rejoinder.message.address import a_label

_REQUIRED: Final = ("v", "a", "b", "bh", "d", "h", "s")
_CANONICALIZATIONS: Final[dict[str, Algorithm]] = {"simple": "simple", "relaxed": "relaxed"}
_DOMAIN: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_](?:[a-z0-9_-]{0,62}))*")
_FIELD_NAME: Final = re.compile(r"[!-9;-~]{1,76}")
_DIGITS: Final = re.compile(r"[0-9]{1,76}")
_MAX_FIELDS: Final = 200
_SKEW: Final = 600  # seconds by which a signer's clock may be ahead of ours


class Refused(Exception):
    """A signature that cannot pass, with the reason in RFC 6376's words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that is worth a look at its key.

    ``domain``, ``selector`` and ``identity_domain`` are lower-case A-labels; ``fields`` is h= as written;
    ``body_length`` is l=, None where the whole body is signed.
    """

    algorithm: str
    domain: str
    selector: str
    identity: str
    identity_domain: str
    fields: tuple[str, ...]
    header_canonicalization: Algorithm
    body_canonicalization: Algorithm
    body_length: int | None
    body_hash: bytes
    value: bytes

    @property
    def key_name(self) -> str:
        """Where its key is published (RFC 6376 §3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"


def parse_tag_list(body: bytes) -> dict[str, str]:
    """The tags of a signature.

    Raises:
        Refused: it is not a tag list.
    """
    try:
        return parse_tags(body)
    except TagError as error:
        raise Refused(f"signature syntax error: {error}") from None


def read(tags: dict[str, str], now: int) -> Signature:
    """The signature of these tags, as RFC 6376 §6.1.1 orders the checks.

    Args:
        tags: of its tag list.
        now: microseconds since the epoch.

    Raises:
        Refused: it cannot pass.
    """
    require(tags.get("v", "1") == "1", "incompatible version")
    missing = [name for name in _REQUIRED if not tags.get(name)]
    require(not missing, f"signature missing required tag: {', '.join(missing)}")
    _check_times(tags, now)
    require("q" not in tags or "dns/txt" in colon_list(tags["q"].lower()), "no supported query method")
    header_canonicalization, body_canonicalization = _canonicalizations(tags.get("c", "simple/simple"))
    domain, selector = a_label(tags["d"]), a_label(tags["s"])
    names = all(map(_DOMAIN.fullmatch, (domain, selector, f"{selector}._domainkey.{domain}")))
    require(names, "signature syntax error: d= or s=")
    identity = tags.get("i", f"@{domain}")
    return Signature(
        algorithm=_algorithm(tags["a"]),
        domain=domain,
        selector=selector,
        identity=identity,
        identity_domain=_identity_domain(identity, domain),
        fields=_fields(tags["h"]),
        header_canonicalization=header_canonicalization,
        body_canonicalization=body_canonicalization,
        body_length=_number(tags, "l"),
        body_hash=decode_base64(tags["bh"], "signature syntax error: bh="),
        value=decode_base64(tags["b"], "signature syntax error: b="),
    )


def require(condition: bool, reason: str) -> None:
    """Refuse with this reason unless the condition holds.

    Raises:
        Refused: it does not.
    """
    if not condition:
        raise Refused(reason)


def decode_base64(value: str, reason: str) -> bytes:
    """Strict base64 that may be folded.

    Raises:
        Refused: with this reason, if it is not.
    """
    try:
        return base64.b64decode(without_space(value).encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise Refused(reason) from None


def _check_times(tags: dict[str, str], now: int) -> None:
    seconds = now // SECOND
    signed, expires = _number(tags, "t"), _number(tags, "x")
    require(signed is None or signed <= seconds + _SKEW, "signature timestamp in the future")
    require(expires is None or seconds <= expires, "signature expired")
    require(signed is None or expires is None or signed < expires, "signature syntax error: x= not after t=")


def _number(tags: dict[str, str], name: str) -> int | None:
    if name not in tags:
        return None
    require(bool(_DIGITS.fullmatch(tags[name])), f"signature syntax error: {name}=")
    return int(tags[name])


def _algorithm(name: str) -> str:
    # RFC 8301 §3.1: rsa-sha1 must not be used to verify.
    require(name.lower() in ("rsa-sha256", "ed25519-sha256"), "inappropriate hash algorithm")
    return name.lower()


def _canonicalizations(value: str) -> tuple[Algorithm, Algorithm]:
    header, _, content = value.lower().partition("/")
    known = header in _CANONICALIZATIONS and (content or "simple") in _CANONICALIZATIONS
    require(known, "unsupported canonicalization")
    return _CANONICALIZATIONS[header], _CANONICALIZATIONS[content or "simple"]


def _fields(value: str) -> tuple[str, ...]:
    names = colon_list(value)
    known = len(names) <= _MAX_FIELDS and all(_FIELD_NAME.fullmatch(name) for name in names)
    require(known, "signature syntax error: h=")
    require("from" in {name.lower() for name in names}, "From field not signed")  # RFC 6376 §5.4
    return names


def _identity_domain(identity: str, domain: str) -> str:
    _, at, written = identity.rpartition("@")
    require(bool(at), "signature syntax error: i=")
    found = a_label(written)
    require(found == domain or found.endswith("." + domain), "domain mismatch")
    return found
