# SPDX-License-Identifier: Apache-2.0
"""A Zone on the wire: UDP and TCP on one free port of 127.0.0.1, authoritative for the root.

For the demo and for tests of the live resolver. It never forwards a question, so whoever is configured
to ask it cannot reach the real DNS. A name marked TIMEOUT in the zone is met with silence.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final, cast, get_args

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from rejoinder.dns import Answer, Mx, Question, Rcode, RdType, Record
from rejoinder.dns.zone import Zone

_TTL: Final = 300
_SOA: Final = f"ns.invalid. hostmaster.invalid. 1 3600 600 86400 {_TTL}"
_RCODES: Final = {
    Rcode.NOERROR: dns.rcode.NOERROR,
    Rcode.NXDOMAIN: dns.rcode.NXDOMAIN,
    Rcode.SERVFAIL: dns.rcode.SERVFAIL,
}
_LARGEST: Final = 65_535


class ZoneServer:
    """Serves a zone until it is closed; the zone may change meanwhile."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    async def start(self) -> tuple[str, int]:
        """Listen; returns the address, the same for UDP and TCP."""
        udp, tcp = _sockets()
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self._zone), sock=udp)
        self._tcp = await asyncio.start_server(self._connection, sock=tcp)
        host, port = udp.getsockname()
        return str(host), int(port)

    async def close(self) -> None:
        """Stop listening and drop what is connected."""
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
        for writer in self._connections:
            writer.close()
        if self._tcp is not None:
            await self._tcp.wait_closed()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(2), "big")
                answer = respond(self._zone, await reader.readexactly(length), _LARGEST)
                if answer is not None:
                    writer.write(len(answer).to_bytes(2, "big") + answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = respond(self._zone, data, None)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)


def respond(zone: Zone, wire: bytes, limit: int | None) -> bytes | None:
    """The response to one query on the wire; None where silence is the answer.

    Args:
        zone: what is known.
        wire: the query.
        limit: the largest response in octets; None: what the query allows over UDP (512 without EDNS).
    """
    try:
        query = dns.message.from_wire(wire)
        response = dns.message.make_response(query, recursion_available=True)
    except dns.exception.DNSException:
        return None
    response.flags |= dns.flags.AA
    if not _fill(response, zone):
        return None
    allowed = limit if limit is not None else max(512, query.payload)
    try:
        return response.to_wire(max_size=allowed)
    except dns.exception.TooBig:
        return _truncated(query).to_wire()


def _fill(response: dns.message.Message, zone: Zone) -> bool:
    """Add what the zone says; False for silence."""
    if len(response.question) != 1:
        response.set_rcode(dns.rcode.FORMERR)
        return True
    asked = response.question[0]
    rdtype = dns.rdatatype.to_text(asked.rdtype)
    if rdtype not in get_args(RdType):
        return True  # the zone has no such records; the name is taken to exist
    resolved = zone.resolve(Question(asked.name.to_text(omit_final_dot=True), cast(RdType, rdtype)))
    if resolved.answer.rcode is Rcode.TIMEOUT:
        return False
    response.set_rcode(_RCODES[resolved.answer.rcode])
    owner = asked.name
    for _, target in resolved.aliases:
        response.answer.append(_rrset(owner, "CNAME", (target,)))
        owner = dns.name.from_text(target)
    _add_records(response, owner, rdtype, resolved.answer)
    return True


def _add_records(response: dns.message.Message, owner: dns.name.Name, rdtype: str, answer: Answer) -> None:
    if answer.records:
        response.answer.append(_rrset(owner, rdtype, answer.records))
    elif answer.rcode is not Rcode.SERVFAIL:
        response.authority.append(dns.rrset.from_text(".", _TTL, "IN", "SOA", _SOA))  # RFC 2308 §3


def _truncated(query: dns.message.Message) -> dns.message.Message:
    response = dns.message.make_response(query, recursion_available=True)
    response.flags |= dns.flags.AA | dns.flags.TC
    return response


def _rrset(owner: dns.name.Name, rdtype: str, records: tuple[Record, ...]) -> dns.rrset.RRset:
    return dns.rrset.from_text(owner, _TTL, "IN", rdtype, *(_text(record, rdtype) for record in records))


def _text(record: Record, rdtype: str) -> str:
    match record:
        case Mx(preference, exchange):
            return f"{preference} {exchange}."
        case bytes():
            return " ".join(_quoted(record[at : at + 255]) for at in range(0, max(1, len(record)), 255))
        case str():
            return record if rdtype in ("A", "AAAA") else f"{record}."


def _quoted(chunk: bytes) -> str:
    # RFC 1035 §5.1: any octet as \DDD
    return '"' + "".join(chr(o) if 32 <= o < 127 and o not in b'"\\' else f"\\{o:03d}" for o in chunk) + '"'


def _sockets() -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket on one free port."""
    for _ in range(20):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            tcp.bind(udp.getsockname())
        except OSError:  # somebody has that port for TCP
            udp.close()
            tcp.close()
            continue
        udp.setblocking(False)
        tcp.setblocking(False)
        return udp, tcp
    raise OSError("no port of 127.0.0.1 is free for both UDP and TCP")
