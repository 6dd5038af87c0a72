# SPDX-License-Identifier: Apache-2.0
"""What the zone of the town holds, asked over the wire."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rejoinder.clock.live import LiveClock
from rejoinder.config import Config
from rejoinder.dns import Rcode
from rejoinder.ids import Ids
from rejoinder.internet.town import CUSTOMER_HOST, DESK_HOST, SELECTOR, Town, open_town

pytestmark = pytest.mark.anyio


async def texts(town: Town, name: str) -> tuple[bytes, ...]:
    return (await town.resolver.query(name, "TXT")).texts


async def test_both_domains_and_both_hosts_have_everything() -> None:
    async with open_town(LiveClock(), Ids(os.urandom)) as town:
        for name in ("customer.example", "desk.example", CUSTOMER_HOST, DESK_HOST):
            assert (await town.resolver.query(name, "A")).hosts == ("127.0.0.1",)
            assert (await town.resolver.query(name, "MX")).mxs[0].exchange in (CUSTOMER_HOST, DESK_HOST)
            assert await texts(town, name) == (b"v=spf1 ip4:127.0.0.1 -all",)
            assert (await texts(town, f"{SELECTOR}._domainkey.{name}"))[0].startswith(b"v=DKIM1;")
            assert await texts(town, f"_dmarc.{name}") == (b"v=DMARC1; p=reject",)


async def test_what_the_zone_does_not_hold_does_not_exist() -> None:
    async with open_town(LiveClock(), Ids(os.urandom)) as town:
        for name in ("example.com", "_dmarc.none.example", "other.example", "x.test", "org"):
            assert (await town.resolver.query(name, "TXT")).rcode is Rcode.NXDOMAIN


@pytest.mark.parametrize("name", ["example.com", "example.org", "example.net", "x.test", "a.b.c.example"])
async def test_a_vouching_zone_speaks_for_examples_of_any_depth(name: str) -> None:
    async with open_town(LiveClock(), Ids(os.urandom), vouching=True) as town:
        assert b"v=spf1 ip4:127.0.0.1 -all" in await texts(town, name)
        assert b"v=DMARC1; p=none" in await texts(town, f"_dmarc.{name}")
        assert (await town.resolver.query(name, "MX")).mxs[0].exchange == CUSTOMER_HOST


@pytest.mark.parametrize("name", ["_dmarc.example", "_dmarc.test", "_dmarc.org", "sub.example.com"])
async def test_a_vouching_zone_makes_no_organization_of_all_examples(name: str) -> None:
    async with open_town(LiveClock(), Ids(os.urandom), vouching=True) as town:
        assert await texts(town, name) == ()


async def test_a_server_for_the_town_can_be_configured_and_the_folder_goes() -> None:
    async with open_town(LiveClock(), Ids(os.urandom)) as town:
        config = Config.model_validate(town.settings(Path("worker.py"), budgets=False))
        assert (config.replies.per_correspondent, config.replies.per_thread) == (0, 0)
        assert config.dns.resolvers == (town.resolver_address,)
    assert not town.folder.exists()
