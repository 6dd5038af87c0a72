# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from rejoinder.errors import AddressError, SmtpError, SmtpParameterUnknown
from rejoinder.message.address import Mailbox
from rejoinder.smtp.grammar import (
    Command,
    MailArguments,
    read_command,
    read_helo,
    read_mail,
    read_mailbox,
    read_rcpt,
    write_path,
)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"QUIT", Command("QUIT", "")),
        (b"noop  x y ", Command("NOOP", "x y")),
        (b"RSET \t ", Command("RSET", "")),
        (b"", Command("", "")),
        (b" NOOP", Command("", "NOOP")),
    ],
)
def test_a_command_is_a_verb_and_an_argument(line: bytes, command: Command) -> None:
    assert read_command(line) == command


@pytest.mark.parametrize(
    "line", [b"NO\0OP", b"NOOP\r", b"\nNOOP", b"NOOP a\tb", b"NOOP \x7f", b"NOOP \xc3\xa9"]
)
def test_a_command_is_printable(line: bytes) -> None:
    with pytest.raises(SmtpError):
        read_command(line)


@pytest.mark.parametrize("name", ["c.example", "[192.0.2.1]", "[IPv6:2001:db8::1]", "localhost", "my_pc"])
def test_a_client_may_call_itself(name: str) -> None:
    assert read_helo(name) == name


@pytest.mark.parametrize("name", ["", "a b", "x" * 256, "a(b)", 'a"b', "a;b"])
def test_a_client_may_not_call_itself(name: str) -> None:
    with pytest.raises(SmtpError):
        read_helo(name)


@pytest.mark.parametrize(
    ("text", "mailbox"),
    [
        ("a@b.example", Mailbox("a", "b.example")),
        ("o'neil+tag=x/y@b.example", Mailbox("o'neil+tag=x/y", "b.example")),
        ('"a b"@b.example', Mailbox("a b", "b.example")),
        (r'"a\"\\\@b"@b.example', Mailbox('a"\\@b', "b.example")),
        # The quoted at-sign is no divider; neither are angle brackets inside quotes.
        ('"a@b>c"@d.example', Mailbox("a@b>c", "d.example")),
        ('""@b.example', Mailbox("", "b.example")),
        ("a@[192.0.2.1]", Mailbox("a", "[192.0.2.1]")),
        ("a@[IPv6:2001:DB8::1]", Mailbox("a", "[IPv6:2001:DB8::1]")),
        ("a@under_score.example", Mailbox("a", "under_score.example")),
        ("a@localhost", Mailbox("a", "localhost")),
        # Longer than the 64 octets of §4.5.3.1.1, as bounce addresses are.
        ("b" * 200 + "@c.example", Mailbox("b" * 200, "c.example")),
    ],
)
def test_a_mailbox_is_read(text: str, mailbox: Mailbox) -> None:
    assert read_mailbox(text) == mailbox
    assert read_rcpt(f"TO:<{text}>") == mailbox
    assert read_mail(f"from:<{text}>").reverse_path == mailbox


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a@",
        "@b.example",
        "a..b@c.example",
        ".a@c.example",
        "a.@c.example",
        "a b@c.example",
        "a@b@c.example",
        "a@-c.example",
        "a@c-.example",
        "a@c..example",
        "a@c.example.",
        "a@[192.0.2.256]",
        "a@[IPv6:fe80::1%eth0]",
        "a@[tag:content]",
        "a@[]",
        "a@[192.0.2.1",
        '"a@c.example',
        '"a"b"@c.example',
        '"a\\"@c.example',
        '"a\r\nb"@c.example',
        '"é"@c.example',
        "é@c.example",
        "a@é.example",
        "a" * 256 + "@c.example",
        "a@" + "c." * 130 + "example",
    ],
)
def test_a_mailbox_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        read_mailbox(text)


def test_a_source_route_is_ignored() -> None:
    assert read_rcpt("TO:<@one.example,@two.example:a@b.example>") == Mailbox("a", "b.example")
    with pytest.raises(AddressError):
        read_rcpt("TO:<@one.example;a@b.example>")


def test_postmaster_needs_no_domain_as_recipient_only() -> None:
    assert read_rcpt("TO:<Postmaster>") == Mailbox("Postmaster", "")
    with pytest.raises(AddressError):
        read_mail("FROM:<postmaster>")


@pytest.mark.parametrize(
    ("argument", "arguments"),
    [
        ("FROM:<>", MailArguments(None, None, "7BIT")),
        ("FROM: <> SIZE=10", MailArguments(None, 10, "7BIT")),
        ("FROM:<>  body=8bitmime  Size=0", MailArguments(None, 0, "8BITMIME")),
        ("FROM:<> BODY=7BIT", MailArguments(None, None, "7BIT")),
    ],
)
def test_the_parameters_of_mail_are_read(argument: str, arguments: MailArguments) -> None:
    assert read_mail(argument) == arguments


@pytest.mark.parametrize(
    "argument",
    [
        "",
        "TO:<a@b.example>",
        "FROM:",
        "FROM:a@b.example",
        "FROM:<a@b.example",
        "FROM:<a@b.example>SIZE=1",
        "FROM:<<a@b.example>>",
        "FROM:<a@b.example> SIZE",
        "FROM:<a@b.example> SIZE=",
        "FROM:<a@b.example> SIZE=-1",
        "FROM:<a@b.example> SIZE=" + "1" * 21,
        "FROM:<a@b.example> SIZE=1 SIZE=1",
        "FROM:<a@b.example> BODY",
        "FROM:<a@b.example> BODY=BINARYMIME",
        "FROM:<a@b.example> =x",
        "FROM:<a@b.example> A=b=c",
    ],
)
def test_malformed_arguments_of_mail_are_refused(argument: str) -> None:
    with pytest.raises(SmtpError):
        read_mail(argument)


def test_a_parameter_that_was_not_offered_has_its_own_error() -> None:
    with pytest.raises(SmtpParameterUnknown) as refused:
        read_mail("FROM:<> RET=HDRS")
    assert refused.value.smtp_reply == (555, "5.5.4")
    with pytest.raises(SmtpParameterUnknown):
        read_rcpt("TO:<a@b.example> SIZE=1")


@pytest.mark.parametrize(
    ("mailbox", "path"),
    [
        (None, "<>"),
        (Mailbox("a", "B.example"), "<a@B.example>"),
        (Mailbox("a b", "b.example"), '<"a b"@b.example>'),
        (Mailbox("a", "b.example."), "<a@b.example>"),
        (Mailbox("a", "bücher.example"), "<a@xn--bcher-kva.example>"),
        (Mailbox("postmaster", ""), "<postmaster>"),
    ],
)
def test_a_path_is_written(mailbox: Mailbox | None, path: str) -> None:
    assert write_path(mailbox) == path


@pytest.mark.parametrize(
    "mailbox",
    [
        Mailbox("é", "b.example"),
        Mailbox("a\r\nRCPT TO:<x@y.example>", "b.example"),
        Mailbox("a", "b.example> SIZE=1"),
        Mailbox("a", ""),
        Mailbox("a", "b\r\n.example"),
    ],
)
def test_a_path_that_could_end_its_command_is_not_written(mailbox: Mailbox) -> None:
    with pytest.raises(AddressError):
        write_path(mailbox)
