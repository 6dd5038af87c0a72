# SPDX-License-Identifier: Apache-2.0
"""Build the message that answers a mail through the API; pure.

The threading fields are always ours (RFC 5322 §3.6.4), the subject only when none is given. Text and html
say the same: html alone gets a text made from it, and both end with the quotation when the original is
included. The surprise: what a caller wrote is checked by writing it, so there is no second set of rules
that could differ from the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from rejoinder.errors import MessageError
from rejoinder.html.quote import append, quote_html
from rejoinder.html.text import shortened, to_text
from rejoinder.message.address import Address, Mailbox, parse_address_list
from rejoinder.message.compose import Draft, compose
from rejoinder.message.encode import address_field, field
from rejoinder.message.headers import Headers
from rejoinder.message.parse import ParsedMessage
from rejoinder.message.quote import attribution, quote_text
from rejoinder.message.thread import reply_fields
from rejoinder.message.trace import parse_date
from rejoinder.replies.compose import on_one_line, shown_name
from rejoinder.replies.recipients import Recipients
from rejoinder.replies.request import ReplyRequest


@dataclass(frozen=True, slots=True)
class Built:
    """The message and what the index knows of it."""

    raw: bytes
    subject: str


def check(request: ReplyRequest) -> None:
    """Refuse what cannot become a message, before anything is looked up.

    Raises:
        HeaderInjection: a control character in something that becomes a header field.
        HeaderReserved: a custom field that is ours to write.
        MessageError: a field or a file's name that cannot be written.
        All of them say in ``field`` which field of the request it is.
    """
    for name, write in _parts(request):
        try:
            write()
        except MessageError as error:
            error.field = name
            raise


def build(
    request: ReplyRequest,
    recipients: Recipients,
    original: ParsedMessage,
    *,
    at: int,
    message_id: str,
    now: int,
) -> Built:
    """The answer; ``at`` is when the original was received or sent, ``message_id`` is ours, with brackets.

    Raises:
        MessageError: as ``check``.
    """
    fields = reply_fields(original.headers)
    subject = request.subject or on_one_line(fields.subject)
    text = to_text(request.html) if request.text is None and request.html is not None else request.text
    html = request.html
    if request.include_original:
        text, html = _with_original(text or "", html, original, at)
    draft = Draft(
        from_=request.from_,
        to=recipients.to,
        cc=recipients.cc,
        reply_to=request.reply_to,
        subject=subject,
        text=text,
        html=html,
        message_id=message_id,
        date=now,
        in_reply_to=fields.in_reply_to,
        references=fields.references,
        headers=request.headers,
        attachments=request.attachments,
    )
    return Built(compose(draft), subject)


def _with_original(text: str, html: str | None, original: ParsedMessage, at: int) -> tuple[str, str | None]:
    author, date = _author(original.headers), _date(original.headers, at)
    said = shortened(original.text if original.text is not None else to_text(original.html or ""))
    text = f"{text.rstrip()}\n\n{quote_text(author, date, said)}\n"
    if html is None:
        return text, None
    return text, append(html, quote_html(attribution(author, date), original.html, said))


def _author(headers: Headers) -> Address | None:
    authors = parse_address_list(headers.get("From", ""), 1)
    return replace(authors[0], display_name=shown_name(authors[0])) if authors else None


def _date(headers: Headers, at: int) -> str | int:
    """As the author wrote it, in the author's time zone; when we got it, if that is no date."""
    written = headers.get("Date", "")
    return at if parse_date(written) is None else on_one_line(written)[:100]


def _addresses(request: ReplyRequest) -> Iterator[tuple[str, Sequence[Address]]]:
    yield "from", [request.from_]
    yield "to", request.to or ()
    yield "cc", request.cc or ()
    yield "bcc", request.bcc
    yield "reply_to", request.reply_to


def _parts(request: ReplyRequest) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Everything in the request that becomes a header field, of the message or of a part, and its writing."""
    for name, addresses in _addresses(request):
        if addresses:
            yield name, partial(address_field, name.replace("_", "-").title(), addresses)
    yield "subject", partial(field, "Subject", request.subject or "")
    if request.headers:
        yield "headers", partial(compose, replace(_BLANK, headers=request.headers))
    if request.attachments:
        files = tuple(replace(each, content=b"") for each in request.attachments)
        for number, file in enumerate(files):
            yield f"attachments[{number}]", partial(compose, replace(_BLANK, attachments=(file,)))
        yield "attachments", partial(compose, replace(_BLANK, attachments=files))


_BLANK: Final = Draft(
    Address("", Mailbox("nobody", "invalid")),
    (),
    subject="",
    text="",
    html=None,
    message_id="<1@invalid>",
    date=0,
)
