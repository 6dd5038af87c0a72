# SPDX-License-Identifier: Apache-2.0
"""A town for the demonstration: a DNS zone, a customer who signs, their mail server; all on 127.0.0.1.

The zone is on the wire and authoritative for the root, so nobody here can reach the real DNS or a real
mail server. The town knows what a server must be told to live in it (``settings``) and starts none. The
surprise: for other people's mail the zone can vouch for the domains that RFC 2606 keeps for examples, and
then ``*.example`` speaks for names of any depth, ``_dmarc`` names included (RFC 4592 §2.1.3).
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rejoinder.clock import Clock
from rejoinder.dns import Resolver
from rejoinder.dns.live import LiveResolver
from rejoinder.dns.settings import DnsSettings
from rejoinder.dns.zone import Zone
from rejoinder.ids import Ids
from rejoinder.internet.person import Person
from rejoinder.internet.sink import Sink
from rejoinder.internet.zone_server import ZoneServer
from rejoinder.mailauth.dkim.key import make_key, public_record
from rejoinder.mailauth.dkim.sign import Signer
from rejoinder.message.address import Address, Mailbox
from rejoinder.outbound.pool import Pool, PoolSettings

CUSTOMER_HOST: Final = "mail.customer.example"
"""The customer's mail server: whom it greets as, and the MX of every domain that takes mail here but ours."""
DESK_HOST: Final = "mx.desk.example"
SUPPORT: Final = Mailbox("support", "desk.example")
"""The route that the worker answers for."""
BILLING: Final = Mailbox("billing", SUPPORT.domain)
"""The route where mail waits for somebody to answer it."""
SELECTOR: Final = "s1"

_LOOPBACK: Final = "127.0.0.1"
_SPF: Final = f"v=spf1 ip4:{_LOOPBACK} -all"
_VOUCHED: Final = ("example.com", "example.net", "example.org")
_VOUCHED_BELOW: Final = ("example", "test")


@dataclass(frozen=True, slots=True)
class Town:
    """Everything around the server; ``folder`` goes when the town is closed."""

    folder: Path
    zone: Zone
    resolver: Resolver
    resolver_address: str
    sink: Sink
    sink_address: tuple[str, int]
    pool: Pool
    clock: Clock
    alice: Person
    """The customer."""
    ceo: Person
    """Says ``bank.example`` in From, and signs with the only key there is: the customer's."""
    noel: Person
    """Of a domain with SPF and DKIM, but without a DMARC policy."""

    def settings(self, worker: Path, *, budgets: bool = True) -> Mapping[str, object]:
        """The configuration of a server that lives here; without ``budgets`` it answers without end."""
        return {
            "store": {"data_dir": self.folder / "data"},
            "ingress": {"hostname": DESK_HOST, "listen": [{"address": f"{_LOOPBACK}:0"}]},
            "http": {"listen": f"{_LOOPBACK}:0"},
            "dns": {"resolvers": [self.resolver_address]},
            "outbound": {"route": "direct", "mx_port": self.sink_address[1], "allow_private_mx": True},
            "replies": {} if budgets else {"per_correspondent": 0, "per_thread": 0},
            "domain": [
                {"name": SUPPORT.domain, "dkim_selector": SELECTOR, "dkim_key": _desk_key(self.folder)}
            ],
            "worker": [{"name": "tickets", "file": worker}],
            "route": [
                {"match": str(SUPPORT), "worker": "tickets"},
                {"match": str(BILLING), "store": True},
            ],
        }


@asynccontextmanager
async def open_town(clock: Clock, ids: Ids, *, vouching: bool = False) -> AsyncIterator[Town]:
    """A town; with ``vouching`` its zone vouches by SPF for the domains of examples (RFC 2606)."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rejoinder-demo-")))
        customer = Signer("customer.example", SELECTOR, make_key())
        zone = _zone(customer, Signer(SUPPORT.domain, SELECTOR, _made_desk_key(folder)))
        if vouching:
            _vouch(zone)
        server = ZoneServer(zone)
        host, port = await server.start()
        stack.push_async_callback(server.close)
        sink = Sink(clock, CUSTOMER_HOST)
        sink_address = await sink.start()
        stack.push_async_callback(sink.close)
        pool = Pool(PoolSettings(), clock)
        stack.push_async_callback(pool.close)
        address = f"{host}:{port}"
        yield Town(
            folder=folder,
            zone=zone,
            resolver=LiveResolver(DnsSettings(resolvers=(address,))),
            resolver_address=address,
            sink=sink,
            sink_address=sink_address,
            pool=pool,
            clock=clock,
            alice=_person("Alice Ampere", "alice@customer.example", customer, clock, ids),
            ceo=_person("The CEO", "ceo@bank.example", customer, clock, ids),
            noel=_person("Noel Nought", "noel@none.example", _of(customer, "none.example"), clock, ids),
        )


def _person(name: str, mailbox: str, signer: Signer, clock: Clock, ids: Ids) -> Person:
    local_part, _, domain = mailbox.partition("@")
    return Person(Address(name, Mailbox(local_part, domain)), signer, clock, ids)


def _of(signer: Signer, domain: str) -> Signer:
    """The same key for another domain."""
    return Signer(domain, signer.selector, signer.key)


def _desk_key(folder: Path) -> Path:
    return folder / "desk.example.pem"


def _made_desk_key(folder: Path) -> bytes:
    key = make_key()
    _desk_key(folder).write_bytes(key)
    return key


def _zone(customer: Signer, desk: Signer) -> Zone:
    zone = Zone()
    for name in (customer.domain, CUSTOMER_HOST):
        _inhabit(zone, name, CUSTOMER_HOST, customer, policy="reject")
    for name in (desk.domain, DESK_HOST):
        _inhabit(zone, name, DESK_HOST, desk, policy="reject")
    _inhabit(zone, "none.example", CUSTOMER_HOST, customer, policy=None)
    zone.add("bank.example", "TXT", "v=spf1 ip4:192.0.2.1 -all")
    zone.add("_dmarc.bank.example", "TXT", "v=DMARC1; p=reject")
    zone.add("elsewhere.example", "TXT", "v=spf1 ip4:192.0.2.2 -all")
    zone.add("elsewhere.example", "MX", f"10 {CUSTOMER_HOST}")
    return zone


def _inhabit(zone: Zone, name: str, mx: str, signer: Signer, *, policy: str | None) -> None:
    """A domain that sends and receives mail as it should; without a policy nobody can rely on it."""
    zone.add(name, "A", _LOOPBACK)
    zone.add(name, "MX", f"10 {mx}")
    zone.add(name, "TXT", _SPF)
    zone.add(f"{signer.selector}._domainkey.{name}", "TXT", public_record(signer.key))
    if policy is not None:
        zone.add(f"_dmarc.{name}", "TXT", f"v=DMARC1; p={policy}")


def _vouch(zone: Zone) -> None:
    """Let whoever sends from here speak for the domains that are nobody's (RFC 2606)."""
    policy = "v=DMARC1; p=none"
    for name in _VOUCHED:
        zone.add(name, "MX", f"10 {CUSTOMER_HOST}")
        zone.add(name, "TXT", _SPF)
        zone.add(f"_dmarc.{name}", "TXT", policy)
    for name in _VOUCHED_BELOW:
        zone.add(f"*.{name}", "MX", f"10 {CUSTOMER_HOST}")
        zone.add(f"*.{name}", "TXT", _SPF, policy)
        # Without this name the wildcard would publish a policy for the whole of .example, and every two
        # domains in it would be of one organization (RFC 9989 §4.10.2).
        zone.add(f"_dmarc.{name}", "TXT")
