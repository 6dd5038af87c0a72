# SPDX-License-Identifier: Apache-2.0
"""The Authentication-Results field: its form, and that nothing from outside gets out of its place."""

from __future__ import annotations

import re

import pytest

from rejoinder.mailauth.results import authentication_results
from rejoinder.mailauth.verdict import (
    DkimResult,
    DkimVerdict,
    DmarcResult,
    DmarcVerdict,
    Policy,
    SpfResult,
    SpfVerdict,
    Verdict,
)
from rejoinder.message.address import Mailbox
from rejoinder.message.headers import split

NOTHING = Verdict(
    SpfVerdict(SpfResult.NONE), (), DmarcVerdict(DmarcResult.PERMERROR, reason="no author domain")
)


def test_each_result_has_its_line() -> None:
    verdict = Verdict(
        SpfVerdict(SpfResult.PASS, "customer.example"),
        (
            DkimVerdict(DkimResult.PASS, "customer.example", "sel", "@customer.example", "rsa-sha256"),
            DkimVerdict(DkimResult.FAIL, "list.example", "s", "", "rsa-sha256", "body hash did not verify"),
        ),
        DmarcVerdict(DmarcResult.PASS, Policy.REJECT, "customer.example", "customer.example", ("dkim=x",)),
    )
    field = authentication_results(
        verdict, "mx.desk.example", Mailbox("ann", "customer.example"), "mail.example"
    )
    assert field.decode() == (
        "Authentication-Results: mx.desk.example;\r\n"
        "\tspf=pass smtp.mailfrom=ann@customer.example;\r\n"
        "\tdkim=pass header.d=customer.example header.s=sel header.i=@customer.example\r\n"
        "\t\theader.a=rsa-sha256;\r\n"
        '\tdkim=fail reason="body hash did not verify" header.d=list.example header.s=s\r\n'
        "\t\theader.a=rsa-sha256;\r\n"
        "\tdmarc=pass header.from=customer.example polrec.p=reject\r\n"
        "\t\tpolrec.domain=customer.example\r\n"
    )


def test_a_null_reverse_path_shows_the_helo_name_and_no_signature_is_said() -> None:
    field = authentication_results(NOTHING, "mx.desk.example", None, "mail.example")
    assert field.decode() == (
        "Authentication-Results: mx.desk.example;\r\n"
        "\tspf=none smtp.helo=mail.example;\r\n"
        "\tdkim=none;\r\n"
        '\tdmarc=permerror reason="no author domain"\r\n'
    )


@pytest.mark.parametrize(
    "hostile",
    [
        "x\r\nSubject: forged",
        "x; dkim=pass header.d=bank.example",
        'x" ; dmarc=pass',
        "x\\",
        "x (comment",
        "\x00\x1b[2J",
        "ünï.example",
        "y" * 5_000,
        "",
    ],
)
def test_no_value_leaves_its_place(hostile: str) -> None:
    verdict = Verdict(
        SpfVerdict(SpfResult.FAIL, hostile, explanation=hostile),
        (DkimVerdict(DkimResult.PERMERROR, hostile, hostile, hostile, hostile, hostile),),
        DmarcVerdict(DmarcResult.FAIL, Policy.NONE, hostile or "x", hostile, reason=hostile),
    )
    field = authentication_results(verdict, hostile, Mailbox(hostile, hostile), hostile)
    headers, _ = split(field)
    assert [header.name for header in headers] == ["Authentication-Results"]
    assert field.isascii()
    assert max(map(len, field.split(b"\r\n"))) < 998
    outside = re.sub(r"\\.", "", field.decode()).split('"')[::2]
    # Outside quoted strings there are only our own semicolons: one behind each of the first three parts.
    assert "".join(outside).count(";") == 3
    assert b"\n" not in field.replace(b"\r\n\t", b"").removesuffix(b"\r\n")
