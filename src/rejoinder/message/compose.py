# SPDX-License-Identifier: Apache-2.0
"""Composing a message by hand: CRLF, 7-bit ASCII, no line over 998 octets.

The same draft gives the same bytes, also its boundary, so that a re-run sends what the first run sent.
Bcc is no field of a draft: who else gets a message is the envelope's matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from rejoinder.errors import HeaderReserved
from rejoinder.message.address import Address
from rejoinder.message.encode import address_field, field, ids_field
from rejoinder.message.trace import format_date
from rejoinder.message.transfer import encode_body

RESERVED: Final = frozenset(
    {
        "from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "in-reply-to",
        "references", "mime-version", "return-path", "received", "dkim-signature", "authentication-results",
    }
)  # fmt: skip
_RESERVED_FAMILIES: Final = ("content-", "resent-", "arc-")


@dataclass(frozen=True, slots=True)
class Attached:
    """A file to send along; with a ``content_id`` (without brackets) the html shows it by ``cid:``."""

    filename: str
    content_type: str
    content: bytes
    content_id: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A message before it is bytes; ``date`` in microseconds, identifiers with their angle brackets."""

    from_: Address
    to: tuple[Address, ...]
    subject: str
    text: str | None
    html: str | None
    message_id: str
    date: int
    cc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    auto_submitted: str | None = None


def compose(draft: Draft) -> bytes:
    """The message.

    Raises:
        HeaderInjection: a control character in anything that becomes a header field.
        HeaderReserved: a custom field that is ours to write.
        MessageError: an address or identifier that cannot be written.
    """
    return b"".join([*_head(draft), *_custom(draft), b"MIME-Version: 1.0\r\n", *_body(draft)])


def _head(draft: Draft) -> Iterable[bytes]:
    yield field("Date", format_date(draft.date))
    yield address_field("From", [draft.from_])
    for name, addresses in (("Reply-To", draft.reply_to), ("To", draft.to), ("Cc", draft.cc)):
        if addresses:
            yield address_field(name, addresses)
    yield field("Subject", draft.subject)
    yield ids_field("Message-ID", [draft.message_id])
    if draft.in_reply_to:
        yield ids_field("In-Reply-To", [draft.in_reply_to])
    if draft.references:
        yield ids_field("References", draft.references)
    if draft.auto_submitted:
        yield field("Auto-Submitted", draft.auto_submitted)


def _custom(draft: Draft) -> Iterable[bytes]:
    for name, value in draft.headers:
        lower = name.lower()
        ours = lower in RESERVED or lower.startswith(_RESERVED_FAMILIES)
        if ours or (lower == "auto-submitted" and draft.auto_submitted):
            raise HeaderReserved(
                f"the header field {name!r} cannot be given as a custom one, because Rejoinder writes it "
                "(a message has it once, RFC 5322 §3.6); use the argument of that name, or leave it out"
            )
        yield field(name, value)


def _body(draft: Draft) -> Iterable[bytes]:
    """The Content-* fields, the empty line, the body."""
    if draft.html is None:
        return [part("text/plain; charset=utf-8", draft.text or "")]
    html = part("text/html; charset=utf-8", draft.html)
    if draft.text is None:
        return [html]
    return multipart("alternative", [part("text/plain; charset=utf-8", draft.text), html], draft.message_id)


def part(content_type: str, text: str) -> bytes:
    """One part of text: its fields, the empty line and its encoded lines, with a final CRLF."""
    encoding, body = encode_body(text.encode("utf-8", "replace"))
    head = f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode("ascii") + body


def multipart(kind: str, parts: Sequence[bytes], seed: str) -> Iterable[bytes]:
    """A multipart of this kind; ``kind`` may carry parameters, ``seed`` decides the boundary."""
    boundary = _boundary(parts, seed)
    yield b'Content-Type: multipart/%s;\r\n boundary="%s"\r\n\r\n' % (kind.encode("ascii"), boundary)
    for each in parts:
        yield b"--%s\r\n%s\r\n" % (boundary, each)
    yield b"--%s--\r\n" % boundary


def _boundary(parts: Sequence[bytes], seed: str) -> bytes:
    """A boundary that no part holds (RFC 2046 §5.1.1); ``=_`` cannot occur in encoded lines."""
    number = 0
    while True:
        boundary = b"=_" + sha256(f"{number}{seed}".encode()).hexdigest()[:28].encode("ascii")
        if not any(b"--" + boundary in each for each in parts):
            return boundary
        number += 1
