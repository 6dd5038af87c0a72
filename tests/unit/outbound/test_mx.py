# SPDX-License-Identifier: Apache-2.0
"""Where mail for a domain goes, for every answer of the DNS."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rejoinder.dns import Rcode
from rejoinder.dns.zone import Zone
from rejoinder.outbound.connection import NextHop
from rejoinder.outbound.mx import Unreachable, listens_at, next_hops

pytestmark = pytest.mark.anyio

ONE, TWO, SIX = "9.9.9.1", "9.9.9.2", "2620:fe::9"
"""Public addresses that no test ever dials."""
OWN = [("9.9.9.9", 25)]
"""Where we listen."""


def zone(*mxs: str) -> Zone:
    return Zone(
        {
            "c.example": {"MX": mxs} if mxs else {},
            "mx1.c.example": {"A": [ONE]},
            "mx2.c.example": {"A": [TWO], "AAAA": [SIX]},
            "inner.c.example": {"A": ["10.0.0.1"], "AAAA": ["::1"]},
            "empty.c.example": {},
        }
    )


async def hops(
    resolver: Zone, domain: str = "c.example", *, allow_private: bool = False
) -> Sequence[NextHop] | Unreachable:
    return await next_hops(
        domain,
        resolver,
        port=25,
        allow_private=allow_private,
        is_ours=lambda hop: listens_at(OWN, hop),
        shuffle=lambda names: names.reverse(),
    )


async def addresses(resolver: Zone, domain: str = "c.example", *, allow_private: bool = False) -> list[str]:
    found = await hops(resolver, domain, allow_private=allow_private)
    assert not isinstance(found, Unreachable), found
    return [hop.address for hop in found]


async def failure(resolver: Zone, domain: str = "c.example") -> tuple[bool, str]:
    found = await hops(resolver, domain)
    assert isinstance(found, Unreachable), found
    return found.permanent, found.status


async def test_the_exchangers_are_tried_by_preference() -> None:
    found = await hops(zone("20 mx1.c.example", "10 mx2.c.example"))
    assert found == [
        NextHop("mx2.c.example", SIX, 25),
        NextHop("mx2.c.example", TWO, 25),
        NextHop("mx1.c.example", ONE, 25),
    ]


async def test_equal_preferences_are_shuffled_and_unequal_ones_are_not() -> None:
    mail = zone("10 mx1.c.example", "10 mx2.c.example", "5 inner.c.example")
    found = await addresses(mail, allow_private=True)
    assert found == ["::1", "10.0.0.1", SIX, TWO, ONE]


async def test_without_mx_the_domain_itself_takes_the_mail() -> None:
    mail = Zone({"c.example": {"A": [ONE], "AAAA": [SIX]}})
    assert await addresses(mail) == [SIX, ONE]


async def test_an_alias_is_followed() -> None:
    mail = zone("10 mx1.c.example")
    mail.add("alias.example", "CNAME", "c.example")
    assert await addresses(mail, "alias.example") == [ONE]


@pytest.mark.parametrize("domain", ["[9.9.9.1]", "[IPv6:2620:fe::9]", "[ipv6:2620:fe::9]"])
async def test_an_address_literal_is_dialled_without_asking(domain: str) -> None:
    mail = zone()
    (address,) = await addresses(mail, domain)
    assert address in (ONE, SIX)
    assert mail.asked == []


async def test_a_private_literal_is_refused_or_allowed() -> None:
    assert await failure(zone(), "[127.0.0.1]") == (True, "5.4.4")
    assert await addresses(zone(), "[127.0.0.1]", allow_private=True) == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("mail", "found"),
    [
        (Zone(), (True, "5.1.2")),
        (zone("0 ."), (True, "5.1.10")),
        (zone(), (True, "5.4.4")),
        (zone("10 empty.c.example"), (True, "5.4.4")),
        (zone("10 gone.c.example"), (True, "5.4.4")),
        (zone("10 inner.c.example"), (True, "5.4.4")),
    ],
    ids=["NXDOMAIN", "null MX", "no address", "MX without address", "MX does not exist", "MX not public"],
)
async def test_what_will_not_change_is_a_failure_for_good(mail: Zone, found: tuple[bool, str]) -> None:
    assert await failure(mail) == found


@pytest.mark.parametrize("rcode", [Rcode.SERVFAIL, Rcode.TIMEOUT])
@pytest.mark.parametrize(
    ("name", "mxs"),
    [
        ("c.example", ["10 mx1.c.example"]),
        ("mx1.c.example", ["10 mx1.c.example", "20 empty.c.example"]),
        # The one that the DNS kept from us may be public.
        ("mx1.c.example", ["10 mx1.c.example", "20 inner.c.example"]),
    ],
)
async def test_what_the_dns_did_not_say_is_a_failure_for_now(rcode: Rcode, name: str, mxs: list[str]) -> None:
    mail = zone(*mxs)
    mail.breaks(name, rcode)
    assert await failure(mail) == (False, "4.4.3")


async def test_one_exchanger_that_the_dns_knows_is_enough() -> None:
    mail = zone("10 mx1.c.example", "20 mx2.c.example")
    mail.breaks("mx1.c.example", Rcode.SERVFAIL)
    assert await addresses(mail) == [SIX, TWO]


async def test_a_null_mx_beside_others_is_passed_over() -> None:
    # RFC 7505 §3 forbids it; who has an exchanger takes mail.
    assert await addresses(zone("0 .", "10 mx1.c.example")) == [ONE]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "ff02::1",
        # What leads to an IPv4 address is judged by that.
        "::127.0.0.1",
        "::10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::909:901",
        "2002:7f00:1::",
        "2002:a00:1::1",
    ],
)
async def test_nobody_makes_us_talk_to_our_own_network(address: str) -> None:
    mail = Zone({"c.example": {"AAAA" if ":" in address else "A": [address]}})
    refused = await hops(mail)
    assert isinstance(refused, Unreachable)
    assert refused.permanent
    assert refused.reason.startswith("mx-not-public: ")
    assert address in refused.reason
    assert await addresses(mail, allow_private=True) == [address]


@pytest.mark.parametrize("address", ["64:ff9b::909:901", "2002:909:901::1", "::ffff:9.9.9.1", "2620:fe::9"])
async def test_what_leads_to_a_public_address_is_tried(address: str) -> None:
    assert await addresses(Zone({"c.example": {"AAAA": [address]}})) == [address]


async def test_nobody_makes_us_talk_to_ourselves() -> None:
    own = Zone({"c.example": {"MX": ["1 own.c.example", "2 mx1.c.example"]}, "mx1.c.example": {"A": [ONE]}})
    own.add("own.c.example", "A", OWN[0][0])
    assert await addresses(own) == [ONE]
    own.remove("mx1.c.example")
    assert await failure(own) == (True, "5.4.4")
    assert await addresses(own, allow_private=True) == [OWN[0][0]]


@pytest.mark.parametrize(
    ("listener", "address", "is_ours"),
    [
        (("127.0.0.1", 25), "127.0.0.1", True),
        (("127.0.0.1", 2525), "127.0.0.1", False),
        (("127.0.0.2", 25), "127.0.0.1", False),
        # Who listens everywhere listens at all addresses of the machine, and at no others.
        (("0.0.0.0", 25), "127.0.0.1", True),
        (("0.0.0.0", 25), ONE, False),
        (("0.0.0.0", 2525), "127.0.0.1", False),
    ],
)
def test_we_are_where_we_listen(listener: tuple[str, int], address: str, is_ours: bool) -> None:
    assert listens_at([listener], NextHop("c.example", address, 25)) is is_ours


async def test_only_what_is_public_is_tried_beside_it() -> None:
    assert await addresses(zone("10 inner.c.example", "20 mx1.c.example")) == [ONE]
