# SPDX-License-Identifier: Apache-2.0
"""The routing table: forward-path in, target out, pure.

A mailbox at one of our domains is looked for in this order: exact address, subaddress
(``support+*@…``), pattern (any other ``*`` in the local-part), catch-all (``*@…``); within one of these
the first route as written wins. The surprise: ``bounces`` is never routed, and ``postmaster`` and
``abuse`` always exist and are taken by an exact route only, so that no catch-all worker answers them
(RFC 5321 §4.5.1, RFC 2142 §5). Local-parts are compared case-blind here: they are ours to interpret
(RFC 5321 §2.4).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from rejoinder.message.address import Mailbox, a_label
from rejoinder.routing.settings import DomainEntry, OnFailure, RouteEntry

_ALWAYS_THERE = frozenset({"postmaster", "abuse"})
_RETURN_PATH = "bounces"


class TargetKind(StrEnum):
    """What is done with the mail."""

    WORKER = "worker"
    STORE = "store"
    RETURN_PATH = "return-path"
    """Stored with a mark, routed nowhere, answered never."""


class Unroutable(StrEnum):
    """Why a forward-path has no target."""

    UNKNOWN_MAILBOX = "unknown-mailbox"
    RELAYING = "relaying"
    """Not a domain of ours."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a forward-path leads."""

    kind: TargetKind
    account: str
    domain: str
    """The receiving domain, as A-labels."""
    worker: str | None = None
    match: str | None = None
    """The route that won, as written."""
    on_failure: OnFailure = OnFailure.QUEUE


class _Rank(IntEnum):
    EXACT = 0
    SUBADDRESS = 1
    PATTERN = 2
    CATCH_ALL = 3


@dataclass(frozen=True, slots=True)
class _Route:
    rank: _Rank
    local_part: str
    pattern: re.Pattern[str] | None
    target: Target

    def takes(self, local_part: str) -> bool:
        return (
            self.local_part == local_part
            if self.pattern is None
            else bool(self.pattern.fullmatch(local_part))
        )


class Table:
    """The operator's domains and routes, made ready for look-ups."""

    def __init__(self, domains: Sequence[DomainEntry], routes: Sequence[RouteEntry]) -> None:
        self._accounts: Mapping[str, str] = {a_label(entry.name): entry.account for entry in domains}
        self._first_domain = a_label(domains[0].name) if domains else None
        self._routes: dict[str, list[_Route]] = {domain: [] for domain in self._accounts}
        for entry in routes:
            domain = a_label(entry.match.rpartition("@")[2])
            self._routes[domain].append(self._compiled(entry, domain))
        for compiled in self._routes.values():
            compiled.sort(key=lambda route: route.rank)

    def find(self, forward_path: Mailbox) -> Target | Unroutable:
        """The one target of a forward-path, or why there is none."""
        # RFC 5321 §4.5.1: postmaster without a domain is always accepted.
        domain = forward_path.host or (self._first_domain or "")
        if domain not in self._accounts:
            return Unroutable.RELAYING
        local_part = forward_path.local_part.casefold()
        account = self._accounts[domain]
        if local_part.partition("+")[0] == _RETURN_PATH:
            return Target(TargetKind.RETURN_PATH, account, domain)
        lowest = _Rank.EXACT if local_part in _ALWAYS_THERE else _Rank.CATCH_ALL
        for route in self._routes[domain]:
            if route.rank <= lowest and route.takes(local_part):
                return route.target
        if local_part in _ALWAYS_THERE:
            return Target(TargetKind.STORE, account, domain)
        return Unroutable.UNKNOWN_MAILBOX

    def account_of(self, domain: str) -> str | None:
        """The account of a domain of ours; None for any other."""
        return self._accounts.get(a_label(domain))

    def _compiled(self, entry: RouteEntry, domain: str) -> _Route:
        local_part = entry.match.rpartition("@")[0].casefold()
        target = Target(
            TargetKind.STORE if entry.worker is None else TargetKind.WORKER,
            self._accounts[domain],
            domain,
            entry.worker,
            entry.match,
            entry.on_failure,
        )
        if "*" not in local_part:
            return _Route(_Rank.EXACT, local_part, None, target)
        pattern = re.compile(".*".join(re.escape(piece) for piece in local_part.split("*")), re.DOTALL)
        return _Route(_rank(local_part), local_part, pattern, target)


def _rank(local_part: str) -> _Rank:
    if local_part == "*":
        return _Rank.CATCH_ALL
    if local_part.endswith("+*") and "*" not in local_part[:-1]:
        return _Rank.SUBADDRESS
    return _Rank.PATTERN
