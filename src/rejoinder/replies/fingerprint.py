# SPDX-License-Identifier: Apache-2.0
"""What tells one request from another under the same idempotency key, field by field; pure.

Only hashes are kept: a fingerprint says that a field differs, never what it was.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from rejoinder.replies.request import ReplyRequest


def fingerprint(request: ReplyRequest) -> str:
    """JSON: for each field by its name on the wire, a hash of its value."""
    return json.dumps({name.rstrip("_"): _hash(value) for name, value in asdict(request).items()})


def differing(one: str, other: str) -> tuple[str, ...]:
    """The names of the fields in which two fingerprints differ."""
    first, second = json.loads(one), json.loads(other)
    return tuple(name for name in {**first, **second} if first.get(name) != second.get(name))


def _hash(value: object) -> str:
    text = json.dumps(value, default=_digest, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _digest(value: object) -> str:
    assert isinstance(value, bytes)
    return hashlib.sha256(value).hexdigest()
