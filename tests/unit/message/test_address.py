# SPDX-License-Identifier: Apache-2.0
"""Mailboxes by the letter, addresses as people write them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rejoinder.errors import AddressError
from rejoinder.message.address import (
    Address,
    Mailbox,
    a_label,
    author_domains,
    parse_address_list,
    parse_mailbox,
)
from rejoinder.message.headers import split


class TestMailbox:
    @pytest.mark.parametrize(
        ("mailbox", "text"),
        [
            (Mailbox("jane", "example.com"), "jane@example.com"),
            (Mailbox("jane doe", "example.com"), '"jane doe"@example.com'),
            (Mailbox('j"\\', "example.com"), '"j\\"\\\\"@example.com'),
            (Mailbox("", "example.com"), '""@example.com'),
            (Mailbox("a..b", "[192.0.2.1]"), '"a..b"@[192.0.2.1]'),
            (Mailbox("postmaster", ""), "postmaster"),
        ],
    )
    def test_is_written_with_the_quotes_it_needs(self, mailbox: Mailbox, text: str) -> None:
        assert str(mailbox) == text

    def test_domains_are_compared_as_a_labels_and_local_parts_byte_by_byte(self) -> None:
        assert Mailbox("jane", "BÜCHER.example").same_as(Mailbox("jane", "xn--bcher-kva.example."))
        assert not Mailbox("Jane", "example.com").same_as(Mailbox("jane", "example.com"))
        assert not Mailbox("jane", "example.com").same_as(Mailbox("jane", "example.org"))

    def test_what_idna_refuses_is_only_lower_cased(self) -> None:
        assert a_label("Ü..example") == "ü..example"


class TestRFC5321Mailbox:
    @pytest.mark.parametrize(
        ("text", "mailbox"),
        [
            ("jane@example.com", Mailbox("jane", "example.com")),
            ("j.d+tag@a-b.example", Mailbox("j.d+tag", "a-b.example")),
            ('"jane doe"@example.com', Mailbox("jane doe", "example.com")),
            ('"a\\"b@c"@example.com', Mailbox('a"b@c', "example.com")),
            ('""@example.com', Mailbox("", "example.com")),
            ("jane@[192.0.2.1]", Mailbox("jane", "[192.0.2.1]")),
            ("jane@[IPv6:2001:db8::1]", Mailbox("jane", "[IPv6:2001:db8::1]")),
            (f"{'a' * 64}@{'b' * 63}.example", Mailbox("a" * 64, f"{'b' * 63}.example")),
        ],
    )
    def test_a_mailbox_is_read(self, text: str, mailbox: Mailbox) -> None:
        assert parse_mailbox(text) == mailbox

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("jane", "it has no @"),
            ("", "it has no @"),
            ("jäne@example.com", "outside ASCII"),
            ("@example.com", "neither a dot-string nor a quoted string"),
            (".jane@example.com", "neither a dot-string"),
            ("jane doe@example.com", "neither a dot-string"),
            ('"jane@example.com', "neither a dot-string"),
            ("jane\n@example.com", "neither a dot-string"),
            (f"{'a' * 65}@example.com", "65 octets"),
            ("jane@", "label ''"),
            ("jane@example.com.", "label ''"),
            ("jane@-a.example", "label '-a'"),
            ("jane@a_b.example", "label 'a_b'"),
            (f"jane@{'b' * 64}.example", "1 to 63"),
            ("jane@" + "a." * 127 + "example", "octets"),
            ("jane@[192.0.2]", "no address literal"),
            ("jane@[192.0.2.1", "no address literal"),
            ("jane@[IPv6:::g]", "no address literal"),
            ("jane@[IPv6:fe80::1%eth0]", "no address literal"),
            ("jane@example.com\r\n", "label"),
        ],
    )
    def test_what_is_none_is_refused_with_its_reason(self, text: str, why: str) -> None:
        with pytest.raises(AddressError, match=why):
            parse_mailbox(text)


class TestRFC5322AddressList:
    @pytest.mark.parametrize(
        ("value", "addresses"),
        [
            ("jane@x.example", ["jane@x.example"]),
            ("Jane Doe <jane@x.example>", ["Jane Doe <jane@x.example>"]),
            ('"Doe, Jane" <jane@x.example>, b@y.example', ['"Doe, Jane" <jane@x.example>', "b@y.example"]),
            ('"Jane \\"J\\" Doe" <j@x.example>', ['Jane "J" Doe']),
            # Groups (§3.4) are flattened; their names are no addresses.
            (
                "Team: a@x.example, B <b@x.example>;, c@x.example",
                ["a@x.example", "B <b@x.example>", "c@x.example"],
            ),
            ("undisclosed-recipients:;", []),
            # The comments of appendix A.5.
            ("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", ["Pete <pete@silly.test>"]),
            ("jdoe@test   . example", ["jdoe@test.example"]),
            # Obsolete forms (§4.4, appendix A.6).
            ("Joe Q. Public <john.q.public@example.com>", ['"Joe Q. Public" <john.q.public@example.com>']),
            (
                "Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
                ["Mary Smith", "jdoe@test.example"],
            ),
            ("<@a.test,@b.test:c@d.example>", ["c@d.example"]),
            ("jane@x.example (Jane)", ["Jane <jane@x.example>"]),
            ('"" <jane@x.example>', ["jane@x.example"]),
            # What people write though no grammar has it.
            ("Jane Doe jane@x.example", ["Jane Doe <jane@x.example>"]),
            ("Jane jane.doe@x.example", ["Jane <jane.doe@x.example>"]),
            ("Doe, Jane <jane@x.example>", ["Jane <jane@x.example>"]),
            ("a@x.example; b@x.example", ["a@x.example", "b@x.example"]),
            ("mailto:jane@x.example", ["jane@x.example"]),
            ("<jane@x.example", ["jane@x.example"]),
            ("jane@x.example <jane@x.example>", ['"jane@x.example" <jane@x.example>']),
            ("<jane doe@x.example>", ['"jane doe"@x.example']),
            ("jane@[192.0.2.1]", ["jane@[192.0.2.1]"]),
            ('"a b"@x.example', ['"a b"@x.example']),
            # Encoded words in names, also with characters that would part addresses.
            ("=?utf-8?q?J=C3=BCrgen?= <j@x.example>", ["Jürgen <j@x.example>"]),
            ("=?utf-8?q?Doe,_J?= =?utf-8?q?ane?= <j@x.example>", ['"Doe, Jane" <j@x.example>']),
            ('"=?utf-8?q?J=C3=BCrgen?=" <j@x.example>', ["Jürgen <j@x.example>"]),
            # An address in an encoded word is a name, never an address.
            ("=?utf-8?q?ceo=40bank.example?= <x@evil.example>", ['"ceo@bank.example" <x@evil.example>']),
            ("=?utf-8?q?ceo=40bank.example?=", []),
        ],
    )
    def test_addresses_are_read(self, value: str, addresses: list[str]) -> None:
        found = parse_address_list(value)
        assert len(found) == len(addresses)
        for address, expected in zip(found, addresses, strict=True):
            assert str(address) == expected or address.display_name == expected

    @pytest.mark.parametrize(
        "value",
        ["", ",", ";", "jane", "<>", "MAILER-DAEMON <>", "a@b@c.example", "<a@b@c.example>", "@", "a@",
         "@b", "a@..",
         "a@.b", '"', "(", "<", "[", "\\", "a@b c", "a <b> c@d", "a@[", "a:b@c:d", '"a', ">a@b<"],
    )  # fmt: skip
    def test_what_is_no_address_is_left_out(self, value: str) -> None:
        assert parse_address_list(value) == []

    def test_no_more_are_read_than_asked_for(self) -> None:
        value = ", ".join(f"a{number}@x.example" for number in range(10_000))
        assert len(parse_address_list(value)) == 1_000
        assert len(parse_address_list(value, 10_000)) == 10_000

    @pytest.mark.parametrize(
        "piece",
        ["(", ")", '"', '\\"', "<", ">", "[", "]", "@", ",", ":", ";", "a@b,", "<@a,", "a ", ".",
         "=?", '"\\', "(\\",
         "=?a?q?", "a . ", "<@a:"],
    )  # fmt: skip
    def test_hostile_fields_are_read_once(
        self, piece: str, steps: Callable[[Callable[[int], object]], float]
    ) -> None:
        assert steps(lambda size: parse_address_list(piece * size)) < 4


class TestAuthorDomains:
    @pytest.mark.parametrize(
        ("raw", "domains"),
        [
            (b"From: a@X.example\r\n\r\n", {"x.example"}),
            (b"From: a@x.example, b@x.example\r\n\r\n", {"x.example"}),
            (b"From: a@x.example, b@y.example\r\n\r\n", {"x.example", "y.example"}),
            (b"From: a@x.example\r\nFrom: b@y.example\r\n\r\n", {"x.example", "y.example"}),
            ("From: a@bücher.example\r\n\r\n".encode(), {"xn--bcher-kva.example"}),
            (b"From: G: a@x.example;\r\n\r\n", {"x.example"}),
            (b"From: Doe, Jane <j@x.example>\r\n\r\n", {"x.example"}),
            (b"To: a@x.example\r\n\r\n", set()),
            (b"From:\r\n\r\n", set()),
            (b"From: jane\r\n\r\n", set()),
            (b"From: <>\r\n\r\n", set()),
            # One address that cannot be told makes the author unclear.
            (b"From: a@x.example, b@y@z.example\r\n\r\n", set()),
            (b"From: a@x.example, <ceo@bank.example\x00 @>\r\n\r\n", set()),
        ],
    )
    def test_all_mailboxes_of_all_from_fields_count(self, raw: bytes, domains: set[str]) -> None:
        assert author_domains(split(raw)[0]) == domains

    @pytest.mark.parametrize(("authors", "seen"), [(1_000, 1_000), (1_001, 0), (20_000, 0)])
    def test_a_thousand_authors_are_all_seen_and_more_are_unclear(self, authors: int, seen: int) -> None:
        value = b"From: " + b", ".join(b"a@d%d.e" % number for number in range(authors)) + b"\r\n\r\n"
        assert len(author_domains(split(value)[0])) == seen

    def test_the_authors_of_several_fields_are_counted_together(self) -> None:
        field = b"From: " + b", ".join(b"a@d%d.example" % number for number in range(600)) + b"\r\n"
        assert len(author_domains(split(field + b"\r\n")[0])) == 600
        assert author_domains(split(field * 2 + b"\r\n")[0]) == frozenset()

    @pytest.mark.parametrize("filler", [b"a ", b",", b"(a)", b'"a" ', b"a.", b"<"])
    def test_a_field_that_takes_long_to_read_is_unclear(self, filler: bytes) -> None:
        value = b"From: <a@b.example>, " + filler * 30_000 + b"<c@d.example>\r\n\r\n"
        assert author_domains(split(value)[0]) == frozenset()


def test_an_address_without_a_name_is_its_mailbox() -> None:
    assert str(Address("", Mailbox("a", "b.example"))) == "a@b.example"
    assert str(Address("A =?b", Mailbox("a", "b.example"))) == '"A =?b" <a@b.example>'
