# SPDX-License-Identifier: Apache-2.0
"""The live resolver against the zone server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dns.resolver
import pytest

from rejoinder.dns import Mx, Question, Rcode, RdType
from rejoinder.dns.live import LiveResolver
from rejoinder.dns.settings import DnsSettings
from rejoinder.dns.zone import Zone
from rejoinder.errors import ConfigError
from rejoinder.internet.zone_server import ZoneServer

pytestmark = pytest.mark.anyio

ZONE = {
    "example.com": {
        "A": ["192.0.2.1"],
        "AAAA": ["2001:db8::1"],
        "MX": ["10 mx.example.com", "0 ."],
        "TXT": ["one"],
    },
    "alias.example.com": {"CNAME": ["hop.example.com"]},
    "hop.example.com": {"CNAME": ["example.com"]},
    "1.2.0.192.in-addr.arpa": {"PTR": ["mx.example.com"]},
    "odd.example.com": {"TXT": [b'quote " backslash \\ byte \xff semicolon ;', b"", b"x" * 700]},
    "many.example.com": {"TXT": [f"record {number} " + "x" * 200 for number in range(250)]},
    "*.wild.example": {"TXT": ["wild"]},
}


@asynccontextmanager
async def serving(zone: Zone, timeout: float = 5.0, cache_size: int = 100) -> AsyncIterator[LiveResolver]:
    server = ZoneServer(zone)
    host, port = await server.start()
    try:
        settings = DnsSettings(resolvers=(f"{host}:{port}",), timeout=timeout, cache_size=cache_size)
        yield LiveResolver(settings)
    finally:
        await server.close()


@pytest.mark.parametrize(
    ("name", "rdtype"),
    [
        ("example.com", "A"),
        ("Example.COM.", "AAAA"),
        ("example.com", "MX"),
        ("example.com", "TXT"),
        ("example.com", "CNAME"),
        ("alias.example.com", "A"),
        ("alias.example.com", "CNAME"),
        ("1.2.0.192.in-addr.arpa", "PTR"),
        ("odd.example.com", "TXT"),
        ("many.example.com", "TXT"),  # 50 KiB, so over TCP
        ("x.wild.example", "TXT"),
        ("absent.example.com", "TXT"),
        ("org", "A"),
    ],
)
async def test_it_answers_as_the_zone_does(name: str, rdtype: RdType) -> None:
    zone = Zone(ZONE)  # type: ignore[arg-type]
    async with serving(zone) as resolver:
        answer = await resolver.query(name, rdtype)
    expected = await zone.query(name, rdtype)
    assert answer.rcode is expected.rcode
    assert sorted(answer.records, key=str) == sorted(expected.records, key=str)


async def test_typed_records_arrive() -> None:
    async with serving(Zone(ZONE)) as resolver:  # type: ignore[arg-type]
        assert set((await resolver.query("example.com", "MX")).mxs) == {Mx(10, "mx.example.com"), Mx(0, "")}
        assert (await resolver.query("alias.example.com", "A")).hosts == ("192.0.2.1",)


async def test_trouble_is_an_answer() -> None:
    zone = Zone(ZONE)  # type: ignore[arg-type]
    zone.breaks("servfail.example", Rcode.SERVFAIL)
    zone.breaks("silent.example", Rcode.TIMEOUT)
    async with serving(zone, timeout=0.05) as resolver:
        answers = await resolver.many(
            [Question("servfail.example", "TXT"), Question("silent.example", "TXT")]
        )
    assert [answer.rcode for answer in answers] == [Rcode.SERVFAIL, Rcode.TIMEOUT]
    assert all(answer.failed for answer in answers)


async def test_nobody_listening_is_an_answer() -> None:
    async with serving(Zone(), timeout=0.05) as resolver:
        pass
    assert (await resolver.query("example.com", "A")).failed


@pytest.mark.parametrize(
    "name",
    [
        "a..b",
        ".example",
        "x" * 64 + ".example",
        ".".join(["x" * 60] * 5),
        "a\\",
        "\\300.example",
        "xn--\ud800.example",
    ],
)
async def test_a_name_that_cannot_be_does_not_exist(name: str) -> None:
    zone = Zone()
    async with serving(zone) as resolver:
        assert (await resolver.query(name, "A")).rcode is Rcode.NXDOMAIN
    assert zone.asked == []


async def test_answers_are_kept_until_their_time_is_over() -> None:
    zone = Zone(ZONE)  # type: ignore[arg-type]
    async with serving(zone) as resolver:
        for _ in range(3):
            await resolver.query("example.com", "TXT")
            await resolver.query("absent.example.com", "TXT")
            await resolver.query("example.com", "CNAME")
    assert len(zone.asked) == 3


async def test_without_a_cache_each_question_is_asked() -> None:
    zone = Zone(ZONE)  # type: ignore[arg-type]
    async with serving(zone, cache_size=0) as resolver:
        for _ in range(3):
            await resolver.query("example.com", "TXT")
    assert len(zone.asked) == 3


async def test_equal_questions_at_once_are_asked_once() -> None:
    zone = Zone(ZONE)  # type: ignore[arg-type]
    async with serving(zone, cache_size=0) as resolver:
        answers = await resolver.many([Question("example.com", "TXT")] * 20 + [Question("example.com", "A")])
    assert len(zone.asked) == 2
    assert {answer.texts for answer in answers[:20]} == {(b"one",)}
    assert answers[20].hosts == ("192.0.2.1",)


async def test_a_cancelled_caller_does_not_take_the_answer_from_others() -> None:
    async with serving(Zone(ZONE)) as resolver:  # type: ignore[arg-type]
        gone = asyncio.create_task(resolver.query("example.com", "TXT"))
        stays = asyncio.create_task(resolver.query("example.com", "TXT"))
        await asyncio.sleep(0)
        gone.cancel()
        assert (await stays).texts == (b"one",)
        with pytest.raises(asyncio.CancelledError):
            await gone


async def test_a_system_without_resolvers_is_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_self: dns.resolver.BaseResolver, _path: str) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.resolver.BaseResolver, "read_resolv_conf", none)
    with pytest.raises(ConfigError, match=r"set dns\.resolvers"):
        LiveResolver(DnsSettings())
