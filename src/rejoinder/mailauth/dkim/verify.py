# SPDX-License-Identifier: Apache-2.0
"""Verify the signatures of a message (RFC 6376 §6).

All keys are asked for at once; the body is canonicalized and hashed once per canonicalization. The
surprise: a signature with l= that verifies has the result ``policy``, not ``pass``: whoever forwards the
message may have added anything after the signed part (§8.2), so it must not count as the author's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from rejoinder.dns import Answer, Question, Resolver
from rejoinder.mailauth.dkim import canonical
from rejoinder.mailauth.dkim.key import Key, keys_for, sha256
from rejoinder.mailauth.dkim.signature import Refused, Signature, parse_tag_list, read
from rejoinder.mailauth.verdict import DkimResult, DkimVerdict
from rejoinder.message.address import a_label
from rejoinder.message.headers import HeaderField, Headers

MAX_SIGNATURES: Final = 10
"""Signatures looked at, from the top; those below are neutral, and have one verdict together."""

_SHOWN: Final = 64  # characters of a value that nothing depends on
_SHOWN_FIELDS: Final = 240  # characters of all names together


@dataclass(frozen=True, slots=True)
class Found:
    """A DKIM-Signature field, and what it says: a signature, or the verdict on what is none."""

    field: HeaderField
    signature: Signature | DkimVerdict


def find(headers: Headers, now: int) -> list[Found]:
    """The signatures of a message, read but not verified; ``now`` in microseconds."""
    fields = headers.fields("DKIM-Signature")
    found = [Found(field, _read(field, now)) for field in fields[:MAX_SIGNATURES]]
    if len(fields) > MAX_SIGNATURES:
        reason = f"{len(fields) - MAX_SIGNATURES} signatures after the first {MAX_SIGNATURES} not evaluated"
        found.append(Found(fields[MAX_SIGNATURES], DkimVerdict(DkimResult.NEUTRAL, reason=reason)))
    return found


def questions(found: Sequence[Found]) -> list[Question]:
    """Where the keys of these signatures are."""
    return [
        Question(item.signature.key_name, "TXT") for item in found if isinstance(item.signature, Signature)
    ]


async def verify(
    headers: Headers, body: bytes, found: Sequence[Found], resolver: Resolver
) -> tuple[DkimVerdict, ...]:
    """The verdict on each signature, in the order of the fields."""
    answers = iter(await resolver.many(questions(found)))
    hashes = BodyHashes(body)
    return tuple(
        _verify(item.field, item.signature, next(answers), headers, hashes)
        if isinstance(item.signature, Signature)
        else item.signature
        for item in found
    )


class BodyHashes:
    """The hashes of one body, each canonical form made once."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._canonical: dict[canonical.Algorithm, bytes] = {}
        self._digests: dict[tuple[canonical.Algorithm, int | None], bytes] = {}

    def digest(self, algorithm: canonical.Algorithm, length: int | None) -> bytes | None:
        """The hash of the first ``length`` bytes (None: all); None if the body is shorter."""
        if algorithm not in self._canonical:
            self._canonical[algorithm] = canonical.body(self._body, algorithm)
        body = self._canonical[algorithm]
        if length is not None and length > len(body):
            return None
        if (algorithm, length) not in self._digests:
            self._digests[algorithm, length] = sha256(body if length is None else body[:length])
        return self._digests[algorithm, length]


def _read(field: HeaderField, now: int) -> Signature | DkimVerdict:
    tags: dict[str, str] = {}
    try:
        tags = parse_tag_list(field.raw.partition(b":")[2])
        return read(tags, now)
    except Refused as refused:
        return DkimVerdict(
            DkimResult.PERMERROR,
            domain=a_label(tags.get("d", ""))[:_SHOWN],
            selector=tags.get("s", "")[:_SHOWN],
            algorithm=tags.get("a", "")[:_SHOWN],
            reason=refused.reason,
        )


def _verify(
    field: HeaderField, signature: Signature, answer: Answer, headers: Headers, hashes: BodyHashes
) -> DkimVerdict:
    if answer.failed:
        return _verdict(signature, DkimResult.TEMPERROR, "key unavailable")
    digest = hashes.digest(signature.body_canonicalization, signature.body_length)
    if digest is None:
        return _verdict(signature, DkimResult.FAIL, "body shorter than l=")
    if digest != signature.body_hash:
        return _verdict(signature, DkimResult.FAIL, "body hash did not verify")
    data = canonical.signed_data(headers, signature.fields, field.raw, signature.header_canonicalization)
    try:
        keys = list(keys_for(signature, answer.texts))
    except Refused as refused:
        return _verdict(signature, DkimResult.PERMERROR, refused.reason)
    key = next((key for key in keys if key.verifies(signature.value, data)), None)
    if key is None:
        return _verdict(signature, DkimResult.FAIL, "signature did not verify")
    return _passed(signature, key)


def _passed(signature: Signature, key: Key) -> DkimVerdict:
    if signature.body_length is not None:
        return _verdict(signature, DkimResult.POLICY, "only part of the body is signed (l=)", key)
    return _verdict(signature, DkimResult.PASS, "", key)


def _verdict(signature: Signature, result: DkimResult, reason: str, key: Key | None = None) -> DkimVerdict:
    return DkimVerdict(
        result,
        domain=signature.domain,
        selector=signature.selector,
        identity=signature.identity[:_SHOWN],
        algorithm=signature.algorithm,
        reason=reason,
        signed_fields=_shown(signature.fields),
        body_limited=signature.body_length is not None,
        testing=key is not None and key.testing,
    )


def _shown(fields: Sequence[str]) -> tuple[str, ...]:
    """The distinct names as far as they fit into the evidence."""
    names = list(dict.fromkeys(name.lower() for name in fields))
    ends = accumulate(map(len, names))
    return tuple(name for name, end in zip(names, ends, strict=True) if end <= _SHOWN_FIELDS)
