# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from rejoinder.dns import Answer, Mx, Question, Rcode, RdType
from rejoinder.dns.zone import Zone

pytestmark = pytest.mark.anyio


@pytest.fixture
def zone() -> Zone:
    return Zone(
        {
            "example.com": {
                "A": ["192.0.2.1", "192.0.2.2"],
                "MX": ["10 mx.example.com.", "0 ."],
                "TXT": ["v=x"],
            },
            "split.example.com": {"TXT": [["v=DMARC1; p=", "reject"], b"\xff"]},
            "a.b.example.com": {"AAAA": ["2001:db8::1"]},
            "alias.example.com": {"CNAME": ["example.com."]},
            "dangling.example.com": {"CNAME": ["nowhere.example"]},
            "loop.example.com": {"CNAME": ["loop2.example.com"]},
            "loop2.example.com": {"CNAME": ["loop.example.com"]},
            "1.2.0.192.in-addr.arpa": {"PTR": ["mx.example.com"]},
            "*.wild.example": {"TXT": ["wild"], "MX": ["5 mx.wild.example"]},
            "here.wild.example": {"A": ["192.0.2.3"]},
            "*.alias.example": {"CNAME": ["example.com"]},
            "empty.example": {},
        }
    )


@pytest.mark.parametrize(
    ("name", "rdtype", "rcode", "records"),
    [
        ("example.com", "A", Rcode.NOERROR, ("192.0.2.1", "192.0.2.2")),
        ("EXAMPLE.com.", "MX", Rcode.NOERROR, (Mx(10, "mx.example.com"), Mx(0, ""))),
        ("example.com", "AAAA", Rcode.NOERROR, ()),
        ("split.example.com", "TXT", Rcode.NOERROR, (b"v=DMARC1; p=reject", b"\xff")),
        ("1.2.0.192.in-addr.arpa", "PTR", Rcode.NOERROR, ("mx.example.com",)),
        # The zone is authoritative for the root: what it does not hold does not exist.
        ("example.org", "A", Rcode.NXDOMAIN, ()),
        ("x.example.com", "A", Rcode.NXDOMAIN, ()),
        ("", "A", Rcode.NOERROR, ()),
        # An empty non-terminal exists (RFC 8020), and so does a name without records.
        ("b.example.com", "A", Rcode.NOERROR, ()),
        ("com", "TXT", Rcode.NOERROR, ()),
        ("empty.example", "A", Rcode.NOERROR, ()),
        ("alias.example.com", "A", Rcode.NOERROR, ("192.0.2.1", "192.0.2.2")),
        ("alias.example.com", "CNAME", Rcode.NOERROR, ("example.com",)),
        ("dangling.example.com", "A", Rcode.NXDOMAIN, ()),
        ("loop.example.com", "A", Rcode.SERVFAIL, ()),
        ("x.wild.example", "TXT", Rcode.NOERROR, (b"wild",)),
        ("x.y.wild.example", "MX", Rcode.NOERROR, (Mx(5, "mx.wild.example"),)),
        ("x.wild.example", "A", Rcode.NOERROR, ()),
        # RFC 4592 §2.2.1: a name that exists, and everything below it, is out of the wildcard's reach.
        ("here.wild.example", "TXT", Rcode.NOERROR, ()),
        ("x.here.wild.example", "TXT", Rcode.NXDOMAIN, ()),
        ("x.alias.example", "A", Rcode.NOERROR, ("192.0.2.1", "192.0.2.2")),
    ],
)
async def test_answers(
    zone: Zone, name: str, rdtype: RdType, rcode: Rcode, records: tuple[object, ...]
) -> None:
    answer = await zone.query(name, rdtype)
    assert (answer.rcode, answer.records) == (rcode, records)
    assert answer.question == Question(name, rdtype)


async def test_a_name_can_be_broken_for_one_type_or_for_all(zone: Zone) -> None:
    zone.breaks("Example.COM", Rcode.TIMEOUT, "TXT")
    zone.breaks("nowhere.example", Rcode.SERVFAIL)
    answers = await zone.many(
        [
            Question("example.com", "TXT"),
            Question("example.com", "A"),
            Question("alias.example.com", "TXT"),
            Question("dangling.example.com", "A"),
        ]
    )
    assert [answer.rcode for answer in answers] == ["timeout", "noerror", "timeout", "servfail"]
    assert [answer.failed for answer in answers] == [True, False, True, True]


async def test_records_can_be_added_and_forgotten(zone: Zone) -> None:
    zone.add("new.example.net", "MX", "10 mx.example.net")
    zone.add("new.example.net", "MX", "20 mx2.example.net")
    assert (await zone.query("new.example.net", "MX")).mxs == (
        Mx(10, "mx.example.net"),
        Mx(20, "mx2.example.net"),
    )
    zone.remove("new.example.net")
    assert (await zone.query("new.example.net", "MX")).rcode is Rcode.NXDOMAIN


async def test_it_keeps_count_of_what_it_was_asked(zone: Zone) -> None:
    await zone.many([Question("a.example", "A"), Question("b.example", "TXT")])
    assert zone.asked == [Question("a.example", "A"), Question("b.example", "TXT")]


def test_an_answer_gives_its_records_by_kind() -> None:
    answer = Answer(Question("x", "TXT"), Rcode.NOERROR, (b"text", "host", Mx(1, "mx")))
    assert answer.texts == (b"text",)
    assert answer.hosts == ("host",)
    assert answer.mxs == (Mx(1, "mx"),)


def test_an_address_is_written_as_text() -> None:
    with pytest.raises(TypeError, match="type A is written as text"):
        Zone({"example.com": {"A": [["192.0.2.1"]]}})
