# SPDX-License-Identifier: Apache-2.0
"""What the zone server puts on the wire; the live resolver's tests show that it is understood."""

from __future__ import annotations

import asyncio

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from rejoinder.dns import Rcode
from rejoinder.dns.zone import Zone
from rejoinder.internet.zone_server import ZoneServer, respond

pytestmark = pytest.mark.anyio


def asked(zone: Zone, query: dns.message.Message, limit: int | None = None) -> dns.message.Message:
    wire = respond(zone, query.to_wire(), limit)
    assert wire is not None
    return dns.message.from_wire(wire)


def test_what_it_does_not_hold_does_not_exist_and_may_be_remembered() -> None:
    response = asked(Zone(), dns.message.make_query("example.com", "TXT"))
    assert response.rcode() == dns.rcode.NXDOMAIN
    assert response.flags & dns.flags.AA
    assert [rrset.rdtype for rrset in response.authority] == [dns.rdatatype.SOA]


def test_aliases_are_shown() -> None:
    zone = Zone({"a.example": {"CNAME": ["b.example"]}, "b.example": {"A": ["192.0.2.1"]}})
    response = asked(zone, dns.message.make_query("a.example", "A"))
    assert [str(rrset).split()[0] for rrset in response.answer] == ["a.example.", "b.example."]


@pytest.mark.parametrize(("payload", "limit"), [(None, 512), (1232, 1232)])
def test_what_does_not_fit_is_marked_as_truncated(payload: int | None, limit: int) -> None:
    zone = Zone({"big.example": {"TXT": [f"{number}" + "x" * 200 for number in range(20)]}})
    query = dns.message.make_query("big.example", "TXT", payload=payload)
    wire = respond(zone, query.to_wire(), None)
    assert wire is not None
    assert len(wire) <= limit
    assert dns.message.from_wire(wire).flags & dns.flags.TC
    assert not asked(zone, query, 65_535).flags & dns.flags.TC


def test_types_that_a_zone_cannot_hold_have_no_records() -> None:
    response = asked(Zone({"a.example": {}}), dns.message.make_query("a.example", "TLSA"))
    assert (response.rcode(), response.answer) == (dns.rcode.NOERROR, [])


def test_rubbish_and_broken_names_are_met_with_silence() -> None:
    zone = Zone()
    zone.breaks("silent.example", Rcode.TIMEOUT)
    assert respond(zone, b"", None) is None
    assert respond(zone, b"\x00" * 12 + b"rubbish", None) is None
    assert respond(zone, dns.message.make_query("silent.example", "A").to_wire(), None) is None
    assert respond(zone, dns.message.make_response(dns.message.make_query("a", "A")).to_wire(), None) is None


def test_a_message_without_a_question_is_a_format_error() -> None:
    assert asked(Zone(), dns.message.QueryMessage()).rcode() == dns.rcode.FORMERR


async def test_it_serves_udp_and_tcp_on_one_port_and_lets_go_of_it() -> None:
    server = ZoneServer(Zone({"a.example": {"A": ["192.0.2.1"]}}))
    host, port = await server.start()
    assert host == "127.0.0.1"
    query = dns.message.make_query("a.example", "A")
    for ask in (dns.asyncquery.udp, dns.asyncquery.tcp):
        response = await ask(query, host, port=port, timeout=5)
        assert "192.0.2.1" in str(response.answer[0])
    await server.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, port)


async def test_a_client_that_stays_connected_does_not_keep_it_from_closing() -> None:
    server = ZoneServer(Zone())
    host, port = await server.start()
    reader, writer = await asyncio.open_connection(host, port)
    query = dns.message.make_query("a.example", "A").to_wire()
    writer.write(len(query).to_bytes(2, "big") + query)
    assert await reader.readexactly(2)
    async with asyncio.timeout(5):
        await server.close()
    writer.close()
