# SPDX-License-Identifier: Apache-2.0
"""Mailboxes: what stands in an envelope path or an address field."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import idna

_DOT_ATOM: Final = re.compile(r"[^\x00-\x20\x7f()<>@,;:\\\".\[\]]+(?:\.[^\x00-\x20\x7f()<>@,;:\\\".\[\]]+)*")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An addr-spec (RFC 5321 §4.1.2, RFC 5322 §3.4.1).

    ``local_part`` is without quotes and escapes; ``domain`` is as written, an address literal with its
    brackets, empty only for the bare ``postmaster`` of RFC 5321 §4.5.1.
    """

    local_part: str
    domain: str

    def __str__(self) -> str:
        local = self.local_part
        if not _DOT_ATOM.fullmatch(local):
            local = '"' + re.sub(r'(["\\])', r"\\\1", local) + '"'
        return f"{local}@{self.domain}" if self.domain else local

    @property
    def host(self) -> str:
        """The domain as lower-case A-labels, the form in which domains are compared."""
        return a_label(self.domain)

    def same_as(self, other: Mailbox) -> bool:
        """Equal mailboxes: the domain case-blind as A-labels, the local-part byte by byte (RFC 5321 §2.4)."""
        return self.local_part == other.local_part and self.host == other.host


def a_label(domain: str) -> str:
    """A domain in lower-case A-labels, without a final dot; what IDNA refuses is only lower-cased."""
    domain = domain.removesuffix(".")
    if domain.isascii():
        return domain.lower()
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return domain.lower()
