# SPDX-License-Identifier: Apache-2.0
"""The grammar of commands: verbs, paths and parameters (RFC 5321 §4.1.2), read and written.

Strict where a lenient reader would let two servers disagree about what was said: a command is one line
of printable US-ASCII, a path stands in angle brackets. Lenient where nothing can go wrong: a blank after
``FROM:`` is taken, and lengths beyond §4.5.3.1 are too, because long reverse-paths are everyday life and
§4.5.3.1 asks for no limits where there need be none. The surprise: a source route is read and ignored
(§4.1.1.3).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rejoinder.errors import AddressError, SmtpError, SmtpParameterUnknown
from rejoinder.message.address import Mailbox
from rejoinder.smtp.envelope import Body

_MAX_PART: Final = 255
"""Octets of a local-part and of a domain: a domain has no more (RFC 1035 §2.3.4)."""

_UNPRINTABLE: Final = re.compile(rb"[^\x20-\x7e]")
_ATEXT: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOT_STRING: Final = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*")
_QUOTED_STRING: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_PATH: Final = re.compile(r'<((?:"(?:[^"\\]|\\.)*"|[^"<>])*)>(?: +(.*))?')
# Underscores are no part of a host name, but they are out there.
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_SOURCE_ROUTE: Final = re.compile(rf"@{_DOMAIN.pattern}(?:,@{_DOMAIN.pattern})*:")
_PARAMETER: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~]+))?")
_HELO: Final = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,255}")
_SIZE: Final = re.compile(r"[0-9]{1,20}")  # RFC 1870 §3
_BODIES: Final[Mapping[str, Body]] = {"7BIT": "7BIT", "8BITMIME": "8BITMIME"}  # RFC 6152 §2


@dataclass(frozen=True, slots=True)
class Command:
    """A verb in upper case and what stands behind it, without blanks at either end."""

    verb: str
    argument: str


def read_command(line: bytes) -> Command:
    """Read one command line, given without its CRLF.

    Raises:
        SmtpError: an octet that is no printable US-ASCII, among them a bare CR or LF, NUL and TAB.
    """
    line = line.rstrip(b" \t")  # RFC 5321 §4.1.1: white space before the CRLF is tolerated
    if _UNPRINTABLE.search(line) is not None:
        raise SmtpError("a command has only printable US-ASCII characters (RFC 5321 §2.4)")
    verb, _, argument = line.decode("ascii").partition(" ")
    return Command(verb.upper(), argument.strip(" "))


def read_helo(argument: str) -> str:
    """The name that a client gives itself, which proves nothing.

    Characters with a meaning in header fields are refused, because the name goes into our Received field.

    Raises:
        SmtpError: no name, or one with other characters than names and address literals have.
    """
    if _HELO.fullmatch(argument) is None:
        raise SmtpError("HELO and EHLO need one domain name or address literal (RFC 5321 §4.1.1.1)")
    return argument


@dataclass(frozen=True, slots=True)
class MailArguments:
    """What stands behind MAIL: the reverse-path (None for ``<>``), SIZE in octets, BODY."""

    reverse_path: Mailbox | None
    size: int | None
    body: Body


def read_mail(argument: str) -> MailArguments:
    """Read what stands behind ``MAIL``.

    Raises:
        SmtpError: not ``FROM:<path>``, or a parameter that is doubled or malformed.
        SmtpParameterUnknown: a parameter that is neither SIZE nor BODY.
        AddressError: a path with no valid mailbox in it.
    """
    path, parameters = _split(argument, "FROM:", ("SIZE", "BODY"))
    reverse_path = None if path == "" else _read_path(path)
    return MailArguments(reverse_path, _read_size(parameters), _read_body(parameters))


def read_rcpt(argument: str) -> Mailbox:
    """Read what stands behind ``RCPT``: the forward-path; ``<postmaster>`` has an empty domain.

    Raises:
        SmtpError: not ``TO:<path>``.
        SmtpParameterUnknown: any parameter.
        AddressError: a path with no valid mailbox in it.
    """
    path, _ = _split(argument, "TO:", ())
    if path.lower() == "postmaster":  # RFC 5321 §4.1.1.3
        return Mailbox(path, "")
    return _read_path(path)


def read_mailbox(text: str) -> Mailbox:
    """Read ``local-part@domain`` (RFC 5321 §4.1.2) as it stands in a path.

    Raises:
        AddressError: the text is no Mailbox.
    """
    local, _, domain = text.rpartition("@")
    return Mailbox(_read_local_part(local), _read_domain(domain))


def write_path(mailbox: Mailbox | None) -> str:
    """The path in angle brackets, a domain beyond US-ASCII as A-labels.

    What is written is what ``read_mailbox`` reads.

    Raises:
        AddressError: the mailbox cannot be written in US-ASCII, or could end the command it stands in.
    """
    if mailbox is None:
        return "<>"
    domain = mailbox.domain.removesuffix(".") if mailbox.domain.isascii() else mailbox.host
    text = str(Mailbox(mailbox.local_part, domain))
    if mailbox.domain or text.lower() != "postmaster":
        read_mailbox(text)
    return f"<{text}>"


def _split(argument: str, keyword: str, allowed: tuple[str, ...]) -> tuple[str, dict[str, str | None]]:
    if argument[: len(keyword)].upper() != keyword:
        raise SmtpError(f"expected {keyword}<path>, not {argument[:80]!r} (RFC 5321 §4.1.1)")
    match = _PATH.fullmatch(argument[len(keyword) :].lstrip(" "))
    if match is None:
        raise SmtpError(f"the path behind {keyword} does not stand in <> alone (RFC 5321 §4.1.2)")
    return match[1], _read_parameters(match[2], allowed) if match[2] else {}


def _read_parameters(text: str, allowed: tuple[str, ...]) -> dict[str, str | None]:
    parameters: dict[str, str | None] = {}
    for word in text.split():
        match = _PARAMETER.fullmatch(word)
        if match is None or match[1].upper() in parameters:
            raise SmtpError(f"the parameter {word[:80]!r} is malformed or doubled (RFC 5321 §4.1.2)")
        if match[1].upper() not in allowed:
            raise SmtpParameterUnknown(f"the parameter {word[:80]!r} was not offered (RFC 5321 §4.1.1.11)")
        parameters[match[1].upper()] = match[2]
    return parameters


def _read_size(parameters: Mapping[str, str | None]) -> int | None:
    if "SIZE" not in parameters:
        return None
    value = parameters["SIZE"] or ""
    if _SIZE.fullmatch(value) is None:
        raise SmtpError(f"SIZE={value[:80]} is no number of octets (RFC 1870 §3)")
    return int(value)


def _read_body(parameters: Mapping[str, str | None]) -> Body:
    if "BODY" not in parameters:
        return "7BIT"
    body = _BODIES.get((parameters["BODY"] or "").upper())
    if body is None:
        raise SmtpError("BODY is 7BIT or 8BITMIME (RFC 6152 §2)")
    return body


def _read_path(path: str) -> Mailbox:
    if path.startswith("@") and (route := _SOURCE_ROUTE.match(path)):
        path = path[route.end() :]
    return read_mailbox(path)


def _read_local_part(text: str) -> str:
    if len(text) <= _MAX_PART:
        if _DOT_STRING.fullmatch(text):
            return text
        # RFC 5321 §4.1.2: a quoted-string means what stands between its quotes, without the escapes.
        if (match := _QUOTED_STRING.fullmatch(text)) and text.isascii() and text.isprintable():
            return re.sub(r"\\(.)", r"\1", match[1])
    raise AddressError(f"{text[:80]!r} is no local-part (RFC 5321 §4.1.2)")


def _read_domain(text: str) -> str:
    if len(text) <= _MAX_PART:
        if _DOMAIN.fullmatch(text):
            return text
        if text[:1] == "[" and text[-1:] == "]" and _is_ip_address(text[1:-1]):
            return text
    raise AddressError(f"{text[:80]!r} is no domain or address literal (RFC 5321 §4.1.2, §4.1.3)")


def _is_ip_address(text: str) -> bool:
    try:
        if text[:5].upper() == "IPV6:":
            ipaddress.IPv6Address(text[5:])
        else:
            ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return "%" not in text  # a zone is no part of §4.1.3
