# SPDX-License-Identifier: Apache-2.0
"""A whole server on loopback, with a zone in memory and a sink as the rest of the world."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from rejoinder.app import Server, Surroundings
from rejoinder.clock import Clock
from rejoinder.clock.live import LiveClock
from rejoinder.clock.manual import ManualClock
from rejoinder.config import Config
from rejoinder.dns.zone import Zone
from rejoinder.ids import Ids
from rejoinder.internet.person import Person
from rejoinder.internet.sink import Sink
from rejoinder.mailauth.dkim.key import make_key, public_record
from rejoinder.mailauth.dkim.sign import Signer
from rejoinder.message.address import Address, Mailbox
from rejoinder.outbound.pool import Pool, PoolSettings
from tests.acceptance.house import ECHO, House, Open, worker_file


@pytest.fixture
async def open_house(tmp_path: Path, customer_key: Signer, desk_key: Path) -> AsyncIterator[Open]:
    """Opens a house whose route ``support@desk.example`` leads to a worker with the given code."""
    async with AsyncExitStack() as stack:

        async def open_(code: str = ECHO, *, clock: Clock | None = None, **sections: object) -> House:
            clock = clock or LiveClock()
            sink = Sink(clock, "mail.customer.example")
            _, port = await sink.start()
            stack.push_async_callback(sink.close)
            zone = Zone(
                {
                    "customer.example": {
                        "A": ["127.0.0.1"],
                        "MX": ["10 mail.customer.example"],
                        "TXT": ["v=spf1 ip4:127.0.0.1 -all"],
                    },
                    "mail.customer.example": {"A": ["127.0.0.1"]},
                    "s1._domainkey.customer.example": {"TXT": [public_record(customer_key.key)]},
                    "_dmarc.customer.example": {"TXT": ["v=DMARC1; p=reject"]},
                }
            )
            config = Config.model_validate(
                {
                    "store": {"data_dir": tmp_path / "data"},
                    "ingress": {
                        "hostname": "mx.desk.example",
                        "listen": [{"kind": "mx", "address": "127.0.0.1:0"}],
                    },
                    "http": {"listen": "127.0.0.1:0"},
                    "outbound": {"mx_port": port, "allow_private_mx": True},
                    "domain": [{"name": "desk.example", "dkim_key": desk_key}],
                    "worker": [{"name": "desk", "file": worker_file(tmp_path, code)}],
                    "route": [{"match": "support@desk.example", "worker": "desk"}],
                }
                | sections
            )
            server = await Server.start(config, Surroundings(clock, os.urandom, zone))
            stack.push_async_callback(_stop, server, clock)
            pool = Pool(PoolSettings(), clock)
            stack.push_async_callback(pool.close)
            alice = Person(
                Address("Alice", Mailbox("alice", "customer.example")), customer_key, clock, Ids(os.urandom)
            )
            return House(server, sink, zone, alice, pool)

        yield open_


async def _stop(server: Server, clock: Clock) -> None:
    """Stop the server; on a clock that stands still, let time pass until it has stopped."""
    stopping = asyncio.create_task(server.stop(1.0))
    while isinstance(clock, ManualClock) and not stopping.done():
        await clock.advance(1)
    await stopping


@pytest.fixture(scope="session")
def customer_key() -> Signer:
    """The key of customer.example."""
    return Signer("customer.example", "s1", make_key())


@pytest.fixture(scope="session")
def desk_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key file of desk.example; making one takes longer than most tests."""
    path = tmp_path_factory.mktemp("keys") / "desk.pem"
    path.write_bytes(make_key())
    return path
