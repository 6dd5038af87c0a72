# SPDX-License-Identifier: Apache-2.0
"""Composing a message by hand: CRLF, 7-bit ASCII, no line over 998 octets.

The same draft gives the same bytes, also its boundaries, so that a re-run sends what the first run sent.
Bcc is no field of a draft: who else gets a message is the envelope's matter. A body is a list of chunks
until the very end: 40 MiB of files are written once, and no boundary is searched in what is base64.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeAlias

from rejoinder.errors import HeaderReserved, MessageError
from rejoinder.message.address import Address
from rejoinder.message.encode import address_field, field, ids_field, parameter, structured
from rejoinder.message.parameters import parse_parameters
from rejoinder.message.trace import format_date
from rejoinder.message.transfer import base64_lines, encode_body

RESERVED: Final = frozenset(
    {
        "from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "in-reply-to",
        "references", "mime-version", "return-path", "received", "dkim-signature", "authentication-results",
    }
)  # fmt: skip
_RESERVED_FAMILIES: Final = ("content-", "resent-", "arc-", "x-ses-")
_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")  # RFC 6838 §4.2
_PARAMETER_NAME: Final = re.compile(r"[a-z0-9._-]{1,60}")
_CONTENT_ID: Final = re.compile(r"[!-;=?-~]{1,128}")
_MAX_FILENAME: Final = 255
_ALTERNATIVE: Final = "multipart/alternative"

_Entity: TypeAlias = Sequence[bytes]
"""A part with its fields, in chunks."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A file to send along; with a ``content_id`` (without brackets) the html shows it by ``cid:``.

    ``content_type`` may have parameters, or be empty for bytes of an unknown kind.
    """

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
    attachments: tuple[Attached, ...] = ()


def compose(draft: Draft) -> bytes:
    """The message.

    Raises:
        HeaderInjection: a control character in anything that becomes a header field.
        HeaderReserved: a custom field that is ours to write.
        MessageError: an address, identifier, media type or name of a file that cannot be written.
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
                "(a message has it once, RFC 5322 §3.6) or the provider that sends obeys it; use the "
                "argument of that name, or leave it out"
            )
        yield field(name, value)


def _body(draft: Draft) -> _Entity:
    """The Content-* fields, the empty line, the body: the fewest levels that hold everything."""
    _check_content_ids(draft.attachments)
    texts = _texts(draft)
    if len(texts) == 1 and not draft.attachments:
        return texts
    boundary = _boundary(texts, draft.message_id)
    body: _Entity = texts[:1]
    kind = "text/plain" if draft.html is None else "text/html"
    if len(texts) > 1:
        body, kind = _multipart("alternative", [[each] for each in texts], b"%s.a" % boundary), _ALTERNATIVE
    shown = [_attached(each) for each in draft.attachments if _is_shown(each, draft)]
    if shown:
        body = _multipart(f'related; type="{kind}"', [body, *shown], b"%s.r" % boundary)  # RFC 2387 §3.1
    files = [_attached(each) for each in draft.attachments if not _is_shown(each, draft)]
    if files:
        body = _multipart("mixed", [body, *files], b"%s.m" % boundary)
    return body


def _texts(draft: Draft) -> list[bytes]:
    """The plainest first (RFC 2046 §5.1.4)."""
    texts = []
    if draft.text is not None or draft.html is None:
        texts.append(part("text/plain; charset=utf-8", draft.text or ""))
    if draft.html is not None:
        texts.append(part("text/html; charset=utf-8", draft.html))
    return texts


def _is_shown(attached: Attached, draft: Draft) -> bool:
    return attached.content_id is not None and draft.html is not None


def part(content_type: str, text: str) -> bytes:
    """One part of text: its fields, the empty line and its encoded lines, with a final CRLF."""
    encoding, body = encode_body(text.encode("utf-8", "replace"))
    head = f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode("ascii") + body


def _attached(attached: Attached) -> _Entity:
    """One file; base64 whatever it holds, so that it arrives as it left."""
    name = attached.filename
    if not 0 < len(name) <= _MAX_FILENAME:
        raise MessageError(
            f"the name {name[:76]!r} of a file has {len(name)} characters; give it 1 to {_MAX_FILENAME}"
        )
    inline = attached.content_id is not None
    head = [
        structured("Content-Type", _separated(_media_type(attached))),
        b"Content-Transfer-Encoding: base64\r\n",
        structured(
            "Content-Disposition",
            _separated(["inline" if inline else "attachment", *parameter("filename", name)]),
        ),
    ]
    if inline:
        head.append(structured("Content-ID", [f"<{attached.content_id}>"]))
    return [*head, b"\r\n", *base64_lines(attached.content)]


def _media_type(attached: Attached) -> list[str]:
    """The type of a file and its parameters."""
    kind, parameters = parse_parameters(attached.content_type)
    if not kind or kind.startswith(("multipart/", "message/")):
        # RFC 2045 §6.4: what has parts of its own cannot be base64; as a file it need not be told apart.
        return ["application/octet-stream"]
    if not _TYPE.fullmatch(kind):
        raise MessageError(
            f"the content type {attached.content_type[:76]!r} of {attached.filename[:76]!r} is no media type "
            "(RFC 2045 §5.1); write type/subtype such as application/pdf, or leave it out"
        )
    written = [kind]
    for name, value in parameters.items():
        if _PARAMETER_NAME.fullmatch(name) and name != "name":
            written += parameter(name, value)
    return written


def _separated(parts: Sequence[str]) -> list[str]:
    return [*(f"{each};" for each in parts[:-1]), parts[-1]]


def _check_content_ids(attachments: Iterable[Attached]) -> None:
    seen = set()
    for attached in attachments:
        content_id = attached.content_id
        if content_id is None:
            continue
        if not _CONTENT_ID.fullmatch(content_id):
            raise MessageError(
                f"the content id {content_id[:76]!r} of {attached.filename[:76]!r} cannot be written; use 1 "
                "to 128 printable ASCII characters without spaces and angle brackets (RFC 2392 §2)"
            )
        if content_id in seen:
            raise MessageError(
                f"the content id {content_id!r} is given twice, so that cid:{content_id} would name two "
                "files (RFC 2392 §2); give each its own"
            )
        seen.add(content_id)


def multipart(kind: str, parts: Sequence[bytes], seed: str) -> Iterable[bytes]:
    """A multipart of this kind; ``kind`` may carry parameters, ``seed`` decides the boundary."""
    return _multipart(kind, [[each] for each in parts], _boundary(parts, seed))


def _multipart(kind: str, parts: Sequence[_Entity], boundary: bytes) -> _Entity:
    chunks = [b'Content-Type: multipart/%s;\r\n boundary="%s"\r\n\r\n' % (kind.encode("ascii"), boundary)]
    for each in parts:
        chunks += [b"--%s\r\n" % boundary, *each, b"\r\n"]
    chunks.append(b"--%s--\r\n" % boundary)
    return chunks


def _boundary(texts: Sequence[bytes], seed: str) -> bytes:
    """A boundary that no text holds (RFC 2046 §5.1.1); ``=_`` cannot occur in encoded lines."""
    number = 0
    while True:
        boundary = b"=_" + sha256(f"{number}{seed}".encode()).hexdigest()[:28].encode("ascii")
        if not any(b"--" + boundary in each for each in texts):
            return boundary
        number += 1
