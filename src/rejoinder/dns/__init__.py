# SPDX-License-Identifier: Apache-2.0
"""DNS as a value: ask a Resolver, get an Answer, whatever happened.

A look-up never raises for DNS trouble: a name that does not exist, a broken server and a silent one
are answers with an ``rcode``, because each means something else to SPF, DKIM and DMARC. ``dns.zone``
answers from memory, ``dns.live`` from the network; only the latter knows asyncio.

One surprise: the package is called like dnspython's ``dns``. Inside ours, ``import dns.…`` is always
theirs and ``rejoinder.dns`` is always ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

RdType = Literal["A", "AAAA", "MX", "TXT", "PTR", "CNAME"]


class Rcode(StrEnum):
    """What became of a question (RFC 1035 §4.1.1); REFUSED and its kin count as ``servfail``."""

    NOERROR = "noerror"
    """The name exists; there may be no record of the type."""
    NXDOMAIN = "nxdomain"
    """The name does not exist, and nothing below it."""
    SERVFAIL = "servfail"
    """The servers answered that they cannot answer."""
    TIMEOUT = "timeout"
    """No server answered in time."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked; ``name`` with or without the final dot, in any case."""

    name: str
    rdtype: RdType


@dataclass(frozen=True, slots=True)
class Mx:
    """A mail exchange; the exchange ``""`` is the null MX of RFC 7505."""

    preference: int
    exchange: str


Record = str | bytes | Mx
"""An address or host name (A, AAAA, PTR, CNAME), the joined strings of a TXT record, or an Mx."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The records found, after following aliases; none unless ``rcode`` is ``noerror``."""

    question: Question
    rcode: Rcode
    records: tuple[Record, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the DNS gave no answer, so that asking later may give another."""
        return self.rcode in (Rcode.SERVFAIL, Rcode.TIMEOUT)

    @property
    def texts(self) -> tuple[bytes, ...]:
        """TXT records, the strings of each joined without a space."""
        return tuple(record for record in self.records if isinstance(record, bytes))

    @property
    def hosts(self) -> tuple[str, ...]:
        """Addresses or host names, without a final dot."""
        return tuple(record for record in self.records if isinstance(record, str))

    @property
    def mxs(self) -> tuple[Mx, ...]:
        """Mail exchanges, in the order of the answer."""
        return tuple(record for record in self.records if isinstance(record, Mx))


class Resolver(Protocol):
    """Answers questions; never raises for what the DNS does."""

    async def query(self, name: str, rdtype: RdType) -> Answer:
        """The answer to one question."""
        ...

    async def many(self, questions: Sequence[Question]) -> list[Answer]:
        """The answers in the order of the questions, asked in parallel."""
        ...


def key_of(name: str) -> str:
    """The form in which names are compared: lower case, without the final dot."""
    return name.removesuffix(".").lower()
