# SPDX-License-Identifier: Apache-2.0
"""Mailboxes and addresses: what stands in an envelope path or an address field.

``parse_mailbox`` is strict, for what we act on (RFC 5321 §4.1.2). ``parse_address_list`` is tolerant,
for what others wrote (RFC 5322 §3.4, §4.4): it never raises and is linear. The surprise: a From field
in which one address cannot be told makes ``author_domains`` empty, because a reader's mail program may
show just that one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from itertools import islice
from typing import Final, NamedTuple

import idna

from rejoinder.errors import AddressError
from rejoinder.message.encoded_word import decode_words
from rejoinder.message.headers import Headers

_DOT_ATOM: Final = re.compile(r"[^\x00-\x20\x7f()<>@,;:\\\".\[\]]+(?:\.[^\x00-\x20\x7f()<>@,;:\\\".\[\]]+)*")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An addr-spec (RFC 5321 §4.1.2, RFC 5322 §3.4.1).

    ``local_part`` is without quotes and escapes; ``domain`` is as written, an address literal with its
    brackets, empty only for the bare ``postmaster`` of RFC 5321 §4.5.1.
    """

    local_part: str
    domain: str

    def __str__(self) -> str:
        local = self.local_part
        if not _DOT_ATOM.fullmatch(local):
            local = '"' + re.sub(r'(["\\])', r"\\\1", local) + '"'
        return f"{local}@{self.domain}" if self.domain else local

    @property
    def host(self) -> str:
        """The domain as lower-case A-labels, the form in which domains are compared."""
        return a_label(self.domain)

    def same_as(self, other: Mailbox) -> bool:
        """Equal mailboxes: the domain case-blind as A-labels, the local-part byte by byte (RFC 5321 §2.4)."""
        return self.local_part == other.local_part and self.host == other.host


def a_label(domain: str) -> str:
    """A domain in lower-case A-labels, without a final dot; what IDNA refuses is only lower-cased."""
    domain = domain.removesuffix(".")
    if domain.isascii():
        return domain.lower()
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return domain.lower()


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox with the name shown beside it; ``display_name`` is decoded text, empty if there is none."""

    display_name: str
    mailbox: Mailbox

    def __str__(self) -> str:
        if not self.display_name:
            return str(self.mailbox)
        name = self.display_name
        if _PHRASE_SPECIAL.search(name):
            name = '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'
        return f"{name} <{self.mailbox}>"


_PHRASE_SPECIAL: Final = re.compile(r'[()<>@,;:\\".\[\]]|=\?')

# --- strict: RFC 5321 ---------------------------------------------------------------------------------

_ATEXT: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOT_STRING: Final = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*")
_QUOTED_STRING: Final = re.compile(r'"((?:[ !#-\[\]-~]|\\[ -~])*)"')
_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


def parse_mailbox(text: str) -> Mailbox:
    """A mailbox by the letter of RFC 5321 §4.1.2, ASCII only.

    Raises:
        AddressError: it is none; the text names the part and the rule.
    """
    local, at, domain = text.rpartition("@")
    if not at:
        raise AddressError(f"{text!r} is no mailbox: it has no @ (RFC 5321 §4.1.2); write local-part@domain")
    if not text.isascii():
        raise AddressError(
            f"{text!r} has characters outside ASCII (RFC 5321 §4.1.2); write its domain in A-labels (xn--…)"
        )
    quoted = _QUOTED_STRING.fullmatch(local)
    if not quoted and not _DOT_STRING.fullmatch(local):
        raise AddressError(
            f"the local-part {local!r} is neither a dot-string nor a quoted string (RFC 5321 §4.1.2); "
            "quote it or remove the characters that are not allowed"
        )
    if len(local) > 64:
        raise AddressError(f"the local-part {local!r} has {len(local)} octets; RFC 5321 §4.5.3.1.1 allows 64")
    _check_domain(domain)
    return Mailbox(re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else local, domain)


def _check_domain(domain: str) -> None:
    if domain.startswith("["):
        if not _is_literal(domain):
            raise AddressError(
                f"{domain!r} is no address literal (RFC 5321 §4.1.3); write [192.0.2.1] or [IPv6:2001:db8::1]"
            )
        return
    if len(domain) > 255:
        raise AddressError(f"the domain {domain!r} has {len(domain)} octets; RFC 5321 §4.5.3.1.2 allows 255")
    for label in domain.split("."):
        if not _LABEL.fullmatch(label):
            raise AddressError(
                f"the label {label!r} of the domain {domain!r} is not 1 to 63 letters, digits and inner "
                "hyphens (RFC 5321 §4.1.2); correct the domain"
            )


def _is_literal(domain: str) -> bool:
    inside = domain[1:-1]
    try:
        if inside[:5].lower() == "ipv6:":
            IPv6Address(inside[5:])
        else:
            IPv4Address(inside)
    except AddressValueError:
        return False
    return domain.endswith("]") and "%" not in inside


# --- tolerant: RFC 5322 -------------------------------------------------------------------------------


class _Token(NamedTuple):
    kind: str
    text: str
    spaced: bool  # white space or a comment stands before it


_Piece = list[_Token]
_MAX_AUTHORS: Final = 1_000
_MAX_TOKENS: Final = 20_000

# Possessive, and no alternative can read far and then fail twice over the same text.
_TOKEN: Final = re.compile(
    r"""(?sx)
      (?P<space>  [ \t\r\n]++ )
    | (?P<quoted> "(?:[^"\\]|\\.)*+" )
    | (?P<atom>   =\?[^?\s]++\?[bBqQ]\?[^?\s]*+\?= )    # an encoded word may hold specials
    | (?P<literal>\[[^\[\]\\]*+\] )
    | (?P<words>  (?:[^ \t\r\n()<>@,;:."\[\]\\]|\\.)++ )
    | (?P<special>. )
    """
)
# One address as nearly everybody writes it; whatever else it could be, it is not within these characters.
_COMMON: Final = re.compile(
    r"(?:(?P<name>[A-Za-z0-9_'-]++(?: [A-Za-z0-9_'-]++)*+) ?<)?"
    r"(?P<local>[A-Za-z0-9_+=-]++(?:\.[A-Za-z0-9_+=-]++)*+)@(?P<domain>[A-Za-z0-9-]++(?:\.[A-Za-z0-9-]++)*+)"
    r"(?(name)>)"
)
_DOMAIN: Final = re.compile(r"[^.\[\] ]++(?:\.[^.\[\] ]++)*+\.?|\[[^\[\]]*+\]")
_PARENTHESIS: Final = re.compile(r"(?s)[()]|\\.")
_PAIR: Final = re.compile(r"(?s)\\(.)")


def parse_address_list(value: str, limit: int = 1_000) -> list[Address]:
    """The addresses of a field body, groups flattened; at most ``limit``, and without what is none."""
    if common := _COMMON.fullmatch(value):
        return [Address(common["name"] or "", Mailbox(common["local"], common["domain"]))]
    found: list[Address] = []
    for piece in _pieces(_tokens(value)):
        address = _address(piece)
        if address is not None:
            found.append(address)
            if len(found) == limit:
                break
    return found


def author_domains(headers: Headers) -> frozenset[str]:
    """The domains of all mailboxes in all From fields, as A-labels.

    Empty if there is none, if one is unclear, and if there are more than anybody means and we would read:
    1,000 addresses, or 20,000 atoms, quoted strings, comments and marks.
    """
    domains: set[str] = set()
    for piece in _author_pieces(headers):
        address = _address(piece)
        if address is not None:
            domains.add(address.mailbox.host)
        elif any(token.text == "@" for token in piece):
            return frozenset()
    return frozenset(domains)


def _author_pieces(headers: Headers) -> list[_Piece]:
    """What may be an address in the From fields; nothing if it is too much."""
    pieces: list[_Piece] = []
    room = _MAX_TOKENS
    for value in headers.get_all("From"):
        tokens = list(islice(_tokens(value), room + 1))
        room -= len(tokens)
        pieces += filter(None, _pieces(tokens))
        if room < 0 or len(pieces) > _MAX_AUTHORS:
            return []
    return pieces


def _pieces(tokens: Iterable[_Token]) -> Iterator[_Piece]:
    """The tokens between the separators of a list; the names of groups are dropped."""
    piece: _Piece = []
    angle = at = -1  # where in the piece they stand
    for token in tokens:
        text = token.text if token.kind == "special" else ""
        route = angle >= 0 and len(piece) > angle + 1 and piece[angle + 1].text == "@"  # RFC 5322 §4.4
        if text == ";" or (text == "," and not route):
            yield piece
            piece, angle, at = [], -1, -1
        elif text == ":" and angle < 0 and at < 0:
            piece = []
        else:
            angle = len(piece) if text == "<" else -1 if text == ">" else angle
            at = len(piece) if text == "@" else at
            piece.append(token)
    yield piece


def _tokens(value: str) -> Iterator[_Token]:
    at, spaced = 0, False
    while match := _TOKEN.match(value, at):
        kind, text, at = match.lastgroup or "", match[0], match.end()
        if kind == "space":
            spaced = True
            continue
        if kind == "quoted":
            text = _PAIR.sub(r"\1", text[1:-1])
        elif text == "(":
            kind, at = "comment", comment_end(value, at)
            text = value[match.end() : at - 1]
        yield _Token(kind, text, spaced)
        spaced = kind == "comment"


def comment_end(value: str, at: int) -> int:
    """Just after the end of the comment opened before ``at``; comments nest (RFC 5322 §3.2.2)."""
    depth = 1
    for match in _PARENTHESIS.finditer(value, at):
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if depth == 0:
            return match.end()
    return len(value) + 1


def _address(piece: _Piece) -> Address | None:
    comments = [token.text for token in piece if token.kind == "comment"]
    piece = [token for token in piece if token.kind != "comment"]
    marks = [token.text if token.kind == "special" else "" for token in piece]
    if "<" in marks:
        start = marks.index("<")
        end = marks.index(">", start) if ">" in marks[start:] else len(piece)
        phrase, spec = piece[:start], piece[start + 1 : end]
    else:
        start = _start_of_spec(piece, marks)
        phrase, spec = piece[:start], piece[start:]
    mailbox = _mailbox(spec)
    if mailbox is None:
        return None
    name = "".join(" " + token.text if token.spaced else token.text for token in phrase) or (
        comments[-1] if comments else ""
    )
    return Address(" ".join(decode_words(name).split()), mailbox)


def _start_of_spec(piece: _Piece, marks: list[str]) -> int:
    """Where the local-part starts when there are no angle brackets: ``John Doe jd@example.com``."""
    start = marks.index("@") - 1 if "@" in marks else 0
    while start > 0 and (not piece[start].spaced or "." in (marks[start], marks[start - 1])):
        start -= 1
    return max(start, 0)


def _mailbox(spec: Sequence[_Token]) -> Mailbox | None:
    marks = [token.text if token.kind == "special" else "" for token in spec]
    if marks[:1] == ["@"] and ":" in marks:  # the obsolete source route says nothing (RFC 5322 §4.4)
        start = marks.index(":") + 1
        spec, marks = spec[start:], marks[start:]
    if marks.count("@") != 1 or not set(marks) <= {"", "@", "."}:
        return None
    at = marks.index("@")
    local, domain = spec[:at], spec[at + 1 :]
    if not local or not _DOMAIN.fullmatch(_text(domain)):
        return None
    return Mailbox(_text(local), _text(domain))


def _text(tokens: Sequence[_Token]) -> str:
    """Part of an addr-spec as text: one space where there was space, none around a dot (RFC 5322 §4.4)."""
    parts: list[str] = []
    for position, token in enumerate(tokens):
        dotted = token.text == "." or (position > 0 and tokens[position - 1].text == ".")
        parts.append(" " + token.text if token.spaced and position > 0 and not dotted else token.text)
    return "".join(parts)
