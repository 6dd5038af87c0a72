# SPDX-License-Identifier: Apache-2.0
"""From the JSON of a reply to a ``ReplyRequest``: both spellings, every check of a field, one value.

By hand instead of by a model, because every refusal here has a sentence that clients compare, and because
this is the busiest way into the house. What is unknown is ignored, ``simple`` too: there is one way to
build a reply. What a header field may hold is judged where it is written. The surprise: both spellings of a
field are read before they are compared, so ``"a@b.example"`` and ``["a@b.example"]`` do not conflict.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from rejoinder.api.attachment_wire import attachments
from rejoinder.api.field_wire import flag, given, items, members, refused, shown, text, texts
from rejoinder.errors import (
    AddressError,
    ContentMissing,
    EmailFormatInvalid,
    FromMissing,
    HeaderInjection,
    MessageTooLarge,
    RequestInvalid,
)
from rejoinder.message.address import Address, a_label, parse_mailbox
from rejoinder.replies.request import ReplyRequest

MAX_ADDRESSES: Final = 1_000
"""Addresses in To, Cc and Bcc together."""
MAX_HEADERS: Final = 100
MAX_HEADER_SIZE: Final = 256 << 10
"""Characters of everything that becomes a header field: as much as is read of anybody's."""
MAX_TAGS: Final = 50
MAX_HTML: Final = 5 << 20
"""Characters; pictures go as attachments."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_MAX_ADDRESS: Final = 1_000
"""Characters of a name and its mailbox; RFC 5321 §4.5.3.1 allows the mailbox about 320."""


def reply_request(body: Mapping[str, object]) -> ReplyRequest:
    """What a reply's body asks for.

    Raises:
        RequestInvalid: a field is missing or wrong; the error names it.
        MessageTooLarge: what becomes header fields, or the html, is too long.
        HeaderInjection: a name is more than a line.
    """
    author = _author(body)
    plain, html = given(body, text, "text"), given(body, text, "html")
    if plain is None and html is None:
        raise ContentMissing(field="text")
    request = ReplyRequest(
        from_=author,
        to=given(body, addresses, "to") or None,
        cc=given(body, addresses, "cc"),
        bcc=given(body, addresses, "bcc") or (),
        reply_to=given(body, addresses, "reply_to", "replyTo") or (),
        subject=given(body, text, "subject"),
        text=plain,
        html=html,
        headers=given(body, headers, "headers") or (),
        attachments=given(body, attachments, "attachments") or (),
        include_original=given(body, flag, "include_original", "includeOriginal") is not False,
        reply_all=given(body, flag, "reply_all", "replyAll") is True,
        tags=given(body, tags, "tags") or (),
    )
    _check_number(request)
    _check_size(request)
    _check_html(request)
    return request


def addresses(field: str, value: object) -> tuple[Address, ...]:
    """One address or a list of them."""
    return tuple(address(name, each) for name, each in texts(field, value))


def address(field: str, value: str) -> Address:
    """``Name <local-part@domain>`` or ``local-part@domain``; a name needs no quotes."""
    value = value.strip()
    name, spec = "", value
    if value.endswith(">"):
        name, _, spec = value[:-1].rpartition("<")
    local, at, domain = spec.strip().rpartition("@")
    try:
        if len(value) > _MAX_ADDRESS:
            raise AddressError(f"It has {len(value)} characters; at most {_MAX_ADDRESS} are read.")
        return Address(_display_name(name.strip()), parse_mailbox(f"{local}{at}{a_label(domain)}"))
    except AddressError as error:
        raise EmailFormatInvalid(
            f"Invalid email format: {shown(value)}", field=field, details=error.text
        ) from None


def headers(field: str, value: object) -> tuple[tuple[str, str], ...]:
    """Custom header fields; what they may be named and hold is judged where they are written."""
    found = tuple(
        (text(field, name), text(f"{field}.{name[:76]}", each))
        for name, each in members(field, value).items()
        if each is not None
    )
    if len(found) > MAX_HEADERS:
        raise RequestInvalid(
            f"{field} has {len(found)} members; at most {MAX_HEADERS} are allowed", field=field
        )
    names = [name.lower() for name, _ in found]
    if len(names) != len(set(names)):
        raise RequestInvalid(
            f"{field} has a name twice; case does not tell them apart (RFC 5322 §1.2.2)", field=field
        )
    return found


def name_text(field: str, value: object) -> str:
    """A name to show, which stands in another field when it is written and is judged here for that."""
    name = text(field, value).strip()
    if not name.isprintable() and _CONTROL.search(name):
        error = HeaderInjection(
            f"{field} = {shown(name)} has a control character; a name is one line: remove it"
        )
        error.field = field
        raise error
    return name


def tags(field: str, value: object) -> tuple[tuple[str, str], ...]:
    """Names with values, kept with the reply."""
    return tuple(_tag(f"{name}.", members(name, each)) for name, each in items(field, value, MAX_TAGS))


def _tag(at: str, tag: Mapping[str, object]) -> tuple[str, str]:
    name, value = given(tag, text, "name", at=at) or "", given(tag, text, "value", at=at) or ""
    for field, each in (("name", name), ("value", value)):
        if len(each) > 256 or (field == "name" and not each):
            raise refused(f"{at}{field}", each, "a text of 1 to 256 characters")
    return name, value


def _author(body: Mapping[str, object]) -> Address:
    value = given(body, text, "from")
    if value is None or not value.strip():
        raise FromMissing(field="from", details='Name the sender, as in "Support <support@example.com>".')
    author = address("from", value)
    name = given(body, name_text, "from_name", "fromName")
    return author if name is None else Address(name, author.mailbox)


def _display_name(name: str) -> str:
    """Without the quotes and escapes that a quoted string has (RFC 5322 §3.2.4)."""
    if len(name) >= 2 and name[0] == name[-1] == '"':
        return re.sub(r"\\(.)", r"\1", name[1:-1])
    return name


def _check_number(request: ReplyRequest) -> None:
    number = sum(len(each) for each in (request.to or (), request.cc or (), request.bcc))
    if number > MAX_ADDRESSES:
        raise RequestInvalid(
            f"to, cc and bcc have {number} addresses; at most {MAX_ADDRESSES} are allowed", field="to"
        )


def _check_size(request: ReplyRequest) -> None:
    if request.header_size > MAX_HEADER_SIZE:
        raise MessageTooLarge(
            f"subject, names, addresses and headers have {request.header_size} characters; at most "
            f"{MAX_HEADER_SIZE} are written into header fields: shorten them"
        )


def _check_html(request: ReplyRequest) -> None:
    if len(request.html or "") > MAX_HTML:
        raise MessageTooLarge(
            f"html has {len(request.html or '')} characters; at most {MAX_HTML} ({MAX_HTML >> 20} Mi) are "
            "sent: attach pictures as files with a content_id",
            field="html",
        )
