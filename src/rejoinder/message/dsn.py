# SPDX-License-Identifier: Apache-2.0
"""Composing a delivery status notification (RFC 3464), used for refusals after we said 250.

Multipart/report of text, ``message/delivery-status`` and ``text/rfc822-headers``; the caller sends it
from the null reverse-path and asks first whether one may go. It carries the headers of the original
only, cut at a field, so that nobody is sent a stranger's content.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from rejoinder.message.address import Address, Mailbox
from rejoinder.message.compose import multipart, part
from rejoinder.message.encode import address_field, field, ids_field
from rejoinder.message.headers import Headers
from rejoinder.message.thread import reply_fields
from rejoinder.message.trace import format_date

_MAX_HEADERS: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class DsnRecipient:
    """What became of one recipient (RFC 3464 §2.3).

    ``status`` is an enhanced status code such as ``5.7.1``, ``diagnostic`` the SMTP reply as text.
    """

    final_recipient: Mailbox
    action: Literal["failed", "delayed", "delivered", "relayed", "expanded"]
    status: str
    diagnostic: str


def compose_dsn(
    *,
    reporting_mta: str,
    from_: Address,
    to: Mailbox,
    original: Headers,
    recipients: Sequence[DsnRecipient],
    message_id: str,
    date: int,
    arrival: int | None = None,
) -> bytes:
    """The notification, ready to be signed and sent from ``<>``; times in microseconds.

    Raises:
        MessageError: an address or identifier that cannot be written.
    """
    thread = reply_fields(original)
    fields = [
        field("Date", format_date(date)),
        address_field("From", [from_]),
        address_field("To", [Address("", to)]),
        field("Subject", _subject(recipients)),
        ids_field("Message-ID", [message_id]),
        field("Auto-Submitted", "auto-replied"),  # RFC 3834 §5
        b"MIME-Version: 1.0\r\n",
    ]
    if thread.in_reply_to:
        fields.insert(5, ids_field("In-Reply-To", [thread.in_reply_to]))
        fields.insert(6, ids_field("References", thread.references))
    parts = [
        part("text/plain; charset=utf-8", _explanation(reporting_mta, original, recipients)),
        b"Content-Type: message/delivery-status\r\n\r\n" + _status(reporting_mta, recipients, arrival),
        part("text/rfc822-headers", _headers(original)),
    ]
    return b"".join([*fields, *multipart("report; report-type=delivery-status", parts, message_id)])


def _subject(recipients: Sequence[DsnRecipient]) -> str:
    failed = any(each.action == "failed" for each in recipients)
    return f"Delivery Status Notification ({'Failure' if failed else 'Status'})"


def _explanation(reporting_mta: str, original: Headers, recipients: Sequence[DsnRecipient]) -> str:
    subject = original.fields("Subject")
    lines = [
        f"This is the mail server {reporting_mta}.",
        "",
        f'Your message "{_line(subject[0].decoded)}"' if subject else "Your message",
        "could not be handed to:" if any(each.action == "failed" for each in recipients) else "was sent to:",
        "",
        *(f"  {each.final_recipient}: {_line(each.diagnostic)}" for each in recipients),
        "",
        "The headers of your message are attached.",
    ]
    return "\r\n".join(lines)


def _status(reporting_mta: str, recipients: Sequence[DsnRecipient], arrival: int | None) -> bytes:
    """The fields about the message, then a group for each recipient (RFC 3464 §2.1)."""
    groups = [[field("Reporting-MTA", f"dns; {reporting_mta}")]]
    if arrival is not None:
        groups[0].append(field("Arrival-Date", format_date(arrival)))
    groups += [list(_recipient(each)) for each in recipients]
    return b"\r\n".join(b"".join(group) for group in groups)


def _recipient(recipient: DsnRecipient) -> Iterable[bytes]:
    yield field("Final-Recipient", f"rfc822; {recipient.final_recipient}")
    yield field("Action", recipient.action)
    yield field("Status", recipient.status)
    yield field("Diagnostic-Code", f"smtp; {_ascii(_line(recipient.diagnostic))}")


def _headers(original: Headers) -> str:
    """The header block as text, up to the field with which it grows too long."""
    kept: list[bytes] = []
    size = 0
    for each in original:
        size += len(each.raw)
        if size > _MAX_HEADERS:
            break
        kept.append(each.raw)
    return b"".join(kept).decode("utf-8", "replace")


def _line(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:500]


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode("ascii")
