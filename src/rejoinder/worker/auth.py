# SPDX-License-Identifier: Apache-2.0
"""What authentication found, as a worker reads it: ``message.auth.dmarc.result == "pass"``.

The words are those of RFC 8601 §2.7. It is made from the evidence that is stored with the mail; a
member of the evidence that is not named here is left out, so that old workers read new evidence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TypeVar

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Spf:
    """RFC 7208: ``domain`` is the one asked, of the reverse-path or the HELO name (``identity``)."""

    result: str = "none"
    domain: str = ""
    identity: str = "mailfrom"
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class Dkim:
    """RFC 6376: what became of one signature; ``domain`` is its d=."""

    result: str = "neutral"
    domain: str = ""
    selector: str = ""
    identity: str = ""
    algorithm: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Dmarc:
    """RFC 9989: ``domain`` is the author's; ``policy`` is what it asks for, None if it publishes none."""

    result: str = "none"
    policy: str | None = None
    domain: str = ""
    policy_domain: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Auth:
    """The three together; ``dkim`` has one entry for each signature, in the order of the fields."""

    spf: Spf = Spf()
    dkim: tuple[Dkim, ...] = ()
    dmarc: Dmarc = Dmarc()

    @classmethod
    def from_evidence(cls, evidence: str) -> Auth:
        """Read the JSON of a Verdict; what is missing keeps its default."""
        found = json.loads(evidence) if evidence else {}
        return cls(
            _part(Spf, found.get("spf")),
            tuple(_part(Dkim, each) for each in found.get("dkim") or ()),
            _part(Dmarc, found.get("dmarc")),
        )


def _part(kind: type[Part], found: Mapping[str, object] | None) -> Part:
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # Each kind is a dataclass.
    return kind(**{name: value for name, value in (found or {}).items() if name in names})
