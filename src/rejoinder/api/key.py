# SPDX-License-Identifier: Apache-2.0
"""API keys: made once, kept as a hash, shown never again.

A key is 32 random bytes, so its hash needs no salt and no slow function: nobody can try them all. The
surprise: a revoked key and one that never was get the same answer.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from enum import StrEnum
from typing import Final

from rejoinder.errors import ScopeMissing, Unauthorized
from rejoinder.ids import Randomness
from rejoinder.store import keys
from rejoinder.store.records import ApiKey
from rejoinder.store.unit import Store

_KEY: Final = re.compile(r"rj_[A-Za-z0-9_-]{43}")


class Scope(StrEnum):
    """What a key may do; a key without scopes may do everything but ``reply:any``."""

    MAIL_READ = "mail:read"
    """List and read received mail and its trace, and read sent mail."""
    SEND = "send"
    """Answer mail."""
    REPLY_ANY = "reply:any"
    """Answer also what a program sent: it lifts a protection against loops, so it must be named."""


def new_key(randomness: Randomness) -> str:
    """``rj_`` and 43 base64url characters that hold 32 random bytes."""
    return "rj_" + urlsafe_b64encode(randomness(32)).decode("ascii").rstrip("=")


def digest(key: str) -> str:
    """What is kept of a key: its SHA-256 in hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()


async def authenticate(store: Store, authorization: str | None) -> ApiKey:
    """The key of a request.

    Raises:
        Unauthorized: there is none, or it is not a live key of ours.
    """
    scheme, _, presented = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized(details="Send the header `Authorization: Bearer rj_…`.")
    # A Bearer token is compared as it stands (RFC 6750 §2.1).
    presented = presented.strip()
    key = await store.read(lambda: keys.by_hash(digest(presented))) if _KEY.fullmatch(presented) else None
    if key is None or key.revoked_at is not None:
        raise Unauthorized(details="This key is unknown or revoked; `rejoinder key create` makes one.")
    return key


def may_reply_to_any(key: ApiKey) -> bool:
    """Whether the key was made to answer programs too."""
    return Scope.REPLY_ANY in key.scopes.split()


def require(key: ApiKey, scope: Scope) -> None:
    """Refuse what the key's scopes do not allow.

    Raises:
        ScopeMissing: the key has scopes, and this is none of them.
    """
    scopes = key.scopes.split()
    if scopes and scope not in scopes:
        raise ScopeMissing(
            f"the key {key.id} has the scopes {key.scopes}; this request needs {scope}: use another key, or "
            f"make one with `rejoinder key create --scope {scope}`"
        )
