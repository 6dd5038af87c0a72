# SPDX-License-Identifier: Apache-2.0
"""Where mail for a domain is delivered: its MX records, in the order to be tried (RFC 5321 §5.1).

Values come back, nothing is raised: next hops, or a failure that says for good or for now in the words of
RFC 3463. The surprise: an MX at a loopback or private address, or where we listen ourselves, is a failure
for good unless the operator allows it, because whoever can publish an MX could otherwise make us talk to our
own network, or to ourselves without an end.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from itertools import groupby
from typing import Final

from rejoinder.dns import Answer, Question, Rcode, Resolver
from rejoinder.outbound.connection import NextHop

Shuffle = Callable[[list[str]], None]
"""Shuffles in place: equal preferences are tried in random order."""


IsOurs = Callable[[NextHop], bool]
"""Whether a next hop is ourselves."""

# Addresses that lead to the IPv4 address within them, and how many bits stand behind it: IPv4-compatible and
# IPv4-mapped (RFC 4291 §2.5.5), NAT64 (RFC 6052 §2.1), 6to4 (RFC 3056 §2).
_HOLDING_IPV4: Final = (
    (IPv6Network("::/96"), 0),
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("2002::/16"), 80),
)
_LOCAL_NAT64: Final = IPv6Network("64:ff9b:1::/48")  # RFC 8215


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Why a domain has no next hop."""

    permanent: bool
    status: str
    """Enhanced status code (RFC 3463)."""
    reason: str


async def next_hops(
    domain: str,
    resolver: Resolver,
    *,
    port: int,
    allow_private: bool,
    is_ours: IsOurs,
    shuffle: Shuffle,
) -> Sequence[NextHop] | Unreachable:
    """The addresses to try for a domain, best first; ``domain`` is in A-labels or an address literal."""
    if domain.startswith("["):
        hop = _literal(domain, port)
        return [hop] if allow_private or _may_be_dialled(hop, is_ours) else _not_public(hop)
    answer = await resolver.query(domain, "MX")
    exchanges = _exchanges(domain, answer, shuffle)
    if isinstance(exchanges, Unreachable):
        return exchanges
    answers = await addresses(exchanges, resolver)
    hops = [NextHop(each.question.name, host, port) for each in answers for host in each.hosts]
    allowed = [hop for hop in hops if allow_private or _may_be_dialled(hop, is_ours)]
    return allowed or _none(exchanges, answers, hops)


async def addresses(names: Sequence[str], resolver: Resolver) -> Sequence[Answer]:
    """The answers for the IPv6 and IPv4 addresses of the names, in their order."""
    return await resolver.many([Question(name, rdtype) for name in names for rdtype in ("AAAA", "A")])


def _exchanges(domain: str, answer: Answer, shuffle: Shuffle) -> list[str] | Unreachable:
    if answer.rcode is Rcode.NXDOMAIN:
        return Unreachable(True, "5.1.2", f"the domain {domain} does not exist")
    if answer.failed:
        return Unreachable(False, "4.4.3", f"the DNS did not answer for the MX of {domain} ({answer.rcode})")
    if not answer.mxs:
        return [domain]  # RFC 5321 §5.1: without MX the domain itself, as if with preference 0.
    mxs = [mx for mx in answer.mxs if mx.exchange not in ("", ".")]
    if not mxs:
        return Unreachable(True, "5.1.10", f"{domain} says that it takes no mail (null MX, RFC 7505)")
    ordered: list[str] = []
    by_preference = sorted(mxs, key=lambda mx: mx.preference)
    for _, group in groupby(by_preference, key=lambda mx: mx.preference):
        names = [mx.exchange for mx in group]
        shuffle(names)
        ordered += names
    return ordered


def _none(exchanges: Sequence[str], answers: Sequence[Answer], hops: Sequence[NextHop]) -> Unreachable:
    """Why nobody can be tried; as long as the DNS keeps one of them from us, only for now."""
    failed = [answer.question.name for answer in answers if answer.failed]
    if failed:
        return Unreachable(False, "4.4.3", f"the DNS did not answer for the address of {failed[0]}")
    if hops:
        return _not_public(hops[0])
    return Unreachable(True, "5.4.4", f"no mail exchanger of {', '.join(exchanges)} has an address")


def _literal(domain: str, port: int) -> NextHop:
    address = domain.strip("[]").removeprefix("IPv6:").removeprefix("ipv6:")
    return NextHop(domain, address, port)


def _may_be_dialled(hop: NextHop, is_ours: IsOurs) -> bool:
    address = _meant(ip_address(hop.address))
    return address.is_global and not address.is_multicast and address not in _LOCAL_NAT64 and not is_ours(hop)


def _meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The address that is reached in the end."""
    for network, bits in _HOLDING_IPV4:
        if address in network:
            return IPv4Address(int(address) >> bits & 0xFFFFFFFF)
    return address


def listens_at(listeners: Iterable[tuple[str, int]], hop: NextHop) -> bool:
    """Whether one of these listeners, as address and port, is where the next hop is."""
    found = {address for address, port in listeners if port == hop.port}
    listens_everywhere = any(ip_address(address).is_unspecified for address in found)
    return hop.address in found or (listens_everywhere and _is_of_this_machine(hop.address))


def _is_of_this_machine(address: str) -> bool:
    # Nobody else's address can be bound.
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _not_public(hop: NextHop) -> Unreachable:
    return Unreachable(
        True,
        "5.4.4",
        f"mx-not-public: the only next hop is {hop.name} at {hop.address}, which is not a public address, or "
        "our own; set outbound.allow_private_mx = true if it is meant",
    )
