# SPDX-License-Identifier: Apache-2.0
"""What tells one request from another under the same idempotency key, field by field; pure.

Only hashes are kept: a fingerprint says that a field differs, never what it was. The surprise: what is at its
default leaves no trace, so that a field which a later version adds makes no request differ from itself.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass
from typing import Final

from rejoinder.replies.request import ReplyRequest


def fingerprint(request: ReplyRequest) -> str:
    """JSON: for each field that is not at its default, by its name on the wire, a hash of its value."""
    values = ((name, getattr(request, name), default) for name, default in _DEFAULTS)
    return json.dumps({name.rstrip("_"): _hash(value) for name, value, default in values if value != default})


def differing(one: str, other: str) -> tuple[str, ...]:
    """The names of the fields in which two fingerprints differ, sorted."""
    first, second = json.loads(one), json.loads(other)
    return tuple(sorted(name for name in {**first, **second} if first.get(name) != second.get(name)))


def _hash(value: object) -> str:
    return hashlib.sha256(_ENCODER.encode(value).encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    """What JSON can hold in the place of a file's content, or of a value of ours."""
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    assert is_dataclass(value)
    return {each.name: getattr(value, each.name) for each in fields(value)}


_ENCODER: Final = json.JSONEncoder(default=_plain, separators=(",", ":"))
_DEFAULTS: Final = tuple((each.name, each.default) for each in fields(ReplyRequest))
