# SPDX-License-Identifier: Apache-2.0
"""A zone in memory that is authoritative for the root: what it does not hold does not exist.

For tests and for the demo, where ``internet.zone_server`` puts it on the wire. Wildcards follow
RFC 4592, and that is the surprise: ``*.example`` does not cover names below ``customer.example`` once
the zone holds anything at or below ``customer.example``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rejoinder.dns import Answer, Mx, Question, Rcode, RdType, Record, key_of

Written = str | bytes | Sequence[str | bytes]
"""A record as it is written: text; for MX ``"10 mx.example.com"``; for TXT also a list of strings."""

_MAX_ALIASES: Final = 8


@dataclass(frozen=True, slots=True)
class Resolved:
    """An answer and the CNAME records followed on the way, as (owner, target)."""

    aliases: tuple[tuple[str, str], ...]
    answer: Answer


class Zone:
    """Answers from a table of names, and keeps count of what it was asked."""

    def __init__(self, names: Mapping[str, Mapping[RdType, Sequence[Written]]] | None = None) -> None:
        self._records: dict[str, dict[RdType, tuple[Record, ...]]] = {}
        self._broken: dict[tuple[str, RdType | None], Rcode] = {}
        self._ancestors: set[str] = {""}
        self.asked: list[Question] = []
        """Every question, in order."""
        for name, types in (names or {}).items():
            self._know(name)
            for rdtype, values in types.items():
                self.add(name, rdtype, *values)

    def add(self, name: str, rdtype: RdType, *values: Written) -> None:
        """Add records to those that the name has of this type."""
        self._know(name)
        records = self._records[key_of(name)]
        records[rdtype] = records.get(rdtype, ()) + tuple(_record(rdtype, value) for value in values)

    def remove(self, name: str) -> None:
        """Forget the records of a name; what is below it stays."""
        self._records.pop(key_of(name), None)

    def breaks(self, name: str, rcode: Rcode, rdtype: RdType | None = None) -> None:
        """From now on questions for this name (of this type, or of any) end with this rcode."""
        self._broken[key_of(name), rdtype] = rcode

    def mends(self, name: str, rdtype: RdType | None = None) -> None:
        """Take back what ``breaks`` did."""
        self._broken.pop((key_of(name), rdtype), None)

    def resolve(self, question: Question) -> Resolved:
        """The answer, and the aliases that led to it."""
        self.asked.append(question)
        aliases: list[tuple[str, str]] = []
        name = key_of(question.name)
        while len(aliases) <= _MAX_ALIASES:
            rcode, records, target = self._at(name, question.rdtype)
            if target is None:
                return Resolved(tuple(aliases), Answer(question, rcode, records))
            aliases.append((name, target))
            name = key_of(target)
        return Resolved((), Answer(question, Rcode.SERVFAIL))

    async def query(self, name: str, rdtype: RdType) -> Answer:
        """The answer to one question."""
        return self.resolve(Question(name, rdtype)).answer

    async def many(self, questions: Sequence[Question]) -> list[Answer]:
        """The answers in the order of the questions."""
        return [self.resolve(question).answer for question in questions]

    def _know(self, name: str) -> None:
        key = key_of(name)
        self._records.setdefault(key, {})
        self._ancestors.update(_above(key))

    def _at(self, name: str, rdtype: RdType) -> tuple[Rcode, tuple[Record, ...], str | None]:
        """The rcode, the records, and the target if the name is an alias."""
        broken = self._broken.get((name, None)) or self._broken.get((name, rdtype))
        if broken is not None:
            return broken, (), None
        types = self._types(name)
        if types is None:
            return Rcode.NXDOMAIN, (), None
        if rdtype not in types and "CNAME" in types:
            return Rcode.NOERROR, (), str(types["CNAME"][0])
        return Rcode.NOERROR, types.get(rdtype, ()), None

    def _types(self, name: str) -> Mapping[RdType, tuple[Record, ...]] | None:
        if name in self._records:
            return self._records[name]
        if name in self._ancestors:
            return {}  # an empty non-terminal exists (RFC 8020 §2)
        # RFC 4592 §3.3.1: the wildcard is looked for at the closest name that exists, and nowhere else.
        encloser = next(name for name in _above(name) if name in self._records or name in self._ancestors)
        return self._records.get(f"*.{encloser}" if encloser else "*")


def _above(key: str) -> Iterable[str]:
    while key:
        _, _, key = key.partition(".")
        yield key


def _record(rdtype: RdType, value: Written) -> Record:
    if rdtype == "TXT":
        strings = [value] if isinstance(value, str | bytes) else value
        return b"".join(part if isinstance(part, bytes) else part.encode() for part in strings)
    if not isinstance(value, str):
        raise TypeError(f"a record of type {rdtype} is written as text, not {value!r}")
    if rdtype == "MX":
        preference, exchange = value.split()
        return Mx(int(preference), key_of(exchange))
    return value.removesuffix(".")
