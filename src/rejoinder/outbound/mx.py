# SPDX-License-Identifier: Apache-2.0
"""Where mail for a domain is delivered: its MX records, in the order to be tried (RFC 5321 §5.1).

Values come back, nothing is raised: next hops, or a failure that says for good or for now in the words of
RFC 3463. The surprise: an MX at a loopback or private address is a failure for good unless the operator
allows it, because whoever can publish an MX could otherwise make us talk to our own network.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from rejoinder.dns import Answer, Mx, Question, Rcode, Resolver
from rejoinder.outbound.connection import NextHop

Shuffle = Callable[[list[str]], None]
"""Shuffles in place: equal preferences are tried in random order."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Why a domain has no next hop."""

    permanent: bool
    status: str
    """Enhanced status code (RFC 3463)."""
    reason: str


async def next_hops(
    domain: str, resolver: Resolver, *, port: int, allow_private: bool, shuffle: Shuffle
) -> Sequence[NextHop] | Unreachable:
    """The addresses to try for a domain, best first; ``domain`` is in A-labels or an address literal."""
    if domain.startswith("["):
        return _public(_literal(domain, port), allow_private)
    answer = await resolver.query(domain, "MX")
    exchanges = _exchanges(domain, answer, shuffle)
    if isinstance(exchanges, Unreachable):
        return exchanges
    hops = await _addresses(exchanges, resolver, port)
    return hops if isinstance(hops, Unreachable) else _public(hops, allow_private)


def _exchanges(domain: str, answer: Answer, shuffle: Shuffle) -> list[str] | Unreachable:
    if answer.rcode is Rcode.NXDOMAIN:
        return Unreachable(True, "5.1.2", f"the domain {domain} does not exist")
    if answer.failed:
        return Unreachable(False, "4.4.3", f"the DNS did not answer for the MX of {domain} ({answer.rcode})")
    if not answer.mxs:
        return [domain]  # RFC 5321 §5.1: without MX the domain itself, as if with preference 0.
    if _is_null(answer.mxs):
        return Unreachable(True, "5.1.10", f"{domain} says that it takes no mail (null MX, RFC 7505)")
    ordered: list[str] = []
    by_preference = sorted(answer.mxs, key=lambda mx: mx.preference)
    for _, group in groupby(by_preference, key=lambda mx: mx.preference):
        names = [mx.exchange for mx in group]
        shuffle(names)
        ordered += names
    return ordered


def _is_null(mxs: Sequence[Mx]) -> bool:
    return len(mxs) == 1 and mxs[0].exchange in ("", ".")


async def _addresses(exchanges: Sequence[str], resolver: Resolver, port: int) -> list[NextHop] | Unreachable:
    answers = await resolver.many(
        [Question(name, rdtype) for name in exchanges for rdtype in ("AAAA", "A")],
    )
    hops = [NextHop(answer.question.name, host, port) for answer in answers for host in answer.hosts]
    if hops:
        return hops
    if any(answer.failed for answer in answers):
        return Unreachable(False, "4.4.3", f"the DNS did not answer for the address of {exchanges[0]}")
    return Unreachable(True, "5.4.4", f"no mail exchanger of {', '.join(exchanges)} has an address")


def _literal(domain: str, port: int) -> list[NextHop]:
    address = domain.strip("[]").removeprefix("IPv6:").removeprefix("ipv6:")
    return [NextHop(domain, address, port)]


def _public(hops: list[NextHop], allow_private: bool) -> list[NextHop] | Unreachable:
    public = [hop for hop in hops if allow_private or ipaddress.ip_address(hop.address).is_global]
    if public:
        return public
    return Unreachable(
        True,
        "5.4.4",
        f"mx-not-public: the only next hop is {hops[0].name} at {hops[0].address}, which is not a "
        "public address; set outbound.allow_private_mx = true if it is meant",
    )
