# SPDX-License-Identifier: Apache-2.0
"""Writing fields: folded, encoded, and never more than one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rejoinder.errors import HeaderInjection, MessageError
from rejoinder.message.address import Address, Mailbox
from rejoinder.message.encode import address_field, field, ids_field, parameter, structured
from rejoinder.message.headers import split
from rejoinder.message.parameters import parse_parameters

JANE = Address("Jane", Mailbox("jane", "x.example"))


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        ("hello", b"Subject: hello\r\n"),
        ("", b"Subject: \r\n"),
        ("  a\tb ", b"Subject: a b\r\n"),
        ("Re: grün", b"Subject: Re: =?utf-8?q?gr=C3=BCn?=\r\n"),
        ("Re: 日本", b"Subject: Re: =?utf-8?b?5pel5pys?=\r\n"),
        # Only what must be is encoded; what stands around it stays legible.
        ("Re: ein grüner Satz [4711]", b"Subject: Re: ein =?utf-8?q?gr=C3=BCner?= Satz [4711]\r\n"),
        # What looks like an encoded word is none.
        ("=?utf-8?q?a?=", b"Subject: =?utf-8?q?=3D=3Futf-8=3Fq=3Fa=3F=3D?=\r\n"),
        ("a" * 100, b"Subject: " + b"a" * 100 + b"\r\n"),
        ("a " * 50 + "b", b"Subject: " + b"a " * 34 + b"a\r\n " + b"a " * 15 + b"b\r\n"),
    ],
)  # fmt: skip
def test_text_is_written(value: str, raw: bytes) -> None:
    assert field("Subject", value) == raw


@pytest.mark.parametrize(
    "value",
    [
        "x" * 5_000,
        "ü" * 5_000,
        "a  b   c" * 200,
        "Re: " + "日本語 " * 300,
        "\ud800",
        "a" * 90 + " ü",
        "=?" * 600,
    ],
)
def test_lines_are_short_and_say_the_same(value: str) -> None:
    raw = field("Subject", value)
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    (found,) = split(raw)[0]
    assert found.decoded == value.strip().replace("\ud800", "?")


@pytest.mark.parametrize(
    "control", ["\r\n", "\n", "\r", "\0", "\x0b", "\x0c", "\x1b", "\x7f", "\x85", "\u2028", "\u2029"]
)
def test_no_control_character_is_written_anywhere(control: str) -> None:
    evil = f"a{control}Bcc: v@x.example"
    writers: list[Callable[[], object]] = [
        lambda: field("Subject", evil),
        lambda: field(evil, "a"),
        lambda: field("Subject", f"ü{evil}"),
        lambda: address_field("To", [Address(evil, JANE.mailbox)]),
        lambda: address_field("To", [Address("", Mailbox(evil, "x.example"))]),
        lambda: address_field("To", [Address("", Mailbox("a", evil))]),
        lambda: parameter("filename", evil),
        lambda: structured("Received", [evil]),
    ]
    for write in writers:
        with pytest.raises(HeaderInjection, match="control character"):
            write()
    with pytest.raises(MessageError):
        ids_field("References", [f"<a{control}@x>"])
    with pytest.raises(MessageError):
        ids_field(f"References{control}", ["<a@x>"])


@pytest.mark.parametrize("name", ["", "a b", "a:b", "ü", "x" * 77])
def test_what_is_no_name_is_refused(name: str) -> None:
    writers: list[Callable[[], object]] = [
        lambda: field(name, "a"),
        lambda: field(name, "a" * 99),
        lambda: ids_field(name, []),
    ]
    for write in writers:
        with pytest.raises(MessageError, match="no name of a header field"):
            write()


class TestAddressField:
    @pytest.mark.parametrize(
        ("address", "raw"),
        [
            (Address("", Mailbox("a", "x.example")), b"To: a@x.example\r\n"),
            (Address("Jane Doe", Mailbox("a", "x.example")), b"To: Jane Doe <a@x.example>\r\n"),
            (Address("Doe, J. \\", Mailbox("a", "x.example")), b'To: "Doe, J. \\\\" <a@x.example>\r\n'),
            (Address("Jürgen", Mailbox("a", "x.example")), b"To: =?utf-8?q?J=C3=BCrgen?= <a@x.example>\r\n"),
            (Address("", Mailbox("a b", "Bücher.example")), b'To: "a b"@xn--bcher-kva.example\r\n'),
            (Address("", Mailbox("a", "[192.0.2.1]")), b"To: a@[192.0.2.1]\r\n"),
        ],
    )
    def test_an_address_is_written(self, address: Address, raw: bytes) -> None:
        assert address_field("To", [address]) == raw

    def test_many_are_folded_between_addresses(self) -> None:
        raw = address_field("To", [JANE] * 10)
        assert raw.count(b"jane@x.example") == 10
        assert max(map(len, raw.split(b"\r\n"))) <= 78

    @pytest.mark.parametrize(
        "domain", ["", "x>, <v@y.example", "x.example, v@y", "a..b", "x y", "[a]b", "x@y"]
    )
    def test_no_domain_adds_a_recipient(self, domain: str) -> None:
        with pytest.raises(MessageError, match="neither a domain nor an address literal"):
            address_field("To", [Address("", Mailbox("a", domain))])

    def test_no_address_is_no_field(self) -> None:
        with pytest.raises(MessageError, match="would hold no address"):
            address_field("To", [])

    def test_a_local_part_outside_ascii_is_refused(self) -> None:
        with pytest.raises(MessageError, match="RFC 6531"):
            address_field("To", [Address("", Mailbox("jäne", "x.example"))])


class TestIdsField:
    def test_identifiers_are_folded(self) -> None:
        raw = ids_field("References", [f"<{number:030d}@x.example>" for number in range(9)])
        assert raw.startswith(b"References: <000")
        assert max(map(len, raw.split(b"\r\n"))) <= 78

    def test_an_identifier_that_fills_more_than_a_line_is_refused(self) -> None:
        with pytest.raises(MessageError, match="cannot be folded"):
            ids_field("References", [f"<{'a' * 1_000}@x>"])

    @pytest.mark.parametrize("msg_id", ["a@x", "<a@x> <b@x>", "<a b@x>", "<ü@x>", "<>", ""])
    def test_what_is_no_identifier_is_refused(self, msg_id: str) -> None:
        with pytest.raises(MessageError, match="no message identifier"):
            ids_field("References", [msg_id])


class TestRFC2231Parameter:
    @pytest.mark.parametrize(
        ("value", "parts"),
        [
            ("a.txt", ["filename=a.txt"]),
            ('a "b".txt', ['filename="a \\"b\\".txt"']),
            ("ü.txt", ["filename*=utf-8''%C3%BC.txt"]),
        ],
    )
    def test_a_value_is_written(self, value: str, parts: list[str]) -> None:
        assert parameter("filename", value) == parts

    @pytest.mark.parametrize("value", ["Grüße " * 30, "a" * 61, "a'b''c ü", "100 % ü", "\ud800"])
    def test_a_long_value_is_continued_and_read_back(self, value: str) -> None:
        parts = parameter("filename", value)
        assert all(len(part) < 78 for part in parts)
        assert parse_parameters("attachment; " + "; ".join(parts))[1] == {
            "filename": value.replace("\ud800", "?")
        }
