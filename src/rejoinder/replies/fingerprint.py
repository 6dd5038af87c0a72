# SPDX-License-Identifier: Apache-2.0
"""What tells one request from another under the same idempotency key, field by field; pure.

Only hashes are kept: a fingerprint says that a field differs, never what it was. The surprise: what is at its
default leaves no trace, so that a field which a later version adds makes no request differ from itself.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import Field, fields, is_dataclass

from rejoinder.replies.request import ReplyRequest


def fingerprint(request: ReplyRequest) -> str:
    """JSON: for each field that is not at its default, by its name on the wire, a hash of its value."""
    return json.dumps(
        {
            each.name.rstrip("_"): _hash(getattr(request, each.name))
            for each in fields(request)
            if _is_given(request, each)
        }
    )


def differing(one: str, other: str) -> tuple[str, ...]:
    """The names of the fields in which two fingerprints differ, sorted."""
    first, second = json.loads(one), json.loads(other)
    return tuple(sorted(name for name in {**first, **second} if first.get(name) != second.get(name)))


def _is_given(request: ReplyRequest, field: Field[object]) -> bool:
    return bool(getattr(request, field.name) != field.default)


def _hash(value: object) -> str:
    text = json.dumps(value, default=_plain, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    """What JSON can hold in the place of a file's content, or of a value of ours."""
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    assert is_dataclass(value)
    return {each.name: getattr(value, each.name) for each in fields(value)}
