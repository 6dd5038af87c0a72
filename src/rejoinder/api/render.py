# SPDX-License-Identifier: Apache-2.0
"""From the store's records and parsed messages to what goes over the wire; pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from pydantic import JsonValue
from pydantic.alias_generators import to_camel

from rejoinder.api import wire
from rejoinder.api.wire import instant
from rejoinder.mailauth.verdict import Verdict
from rejoinder.message.address import parse_address_list
from rejoinder.message.headers import Headers
from rejoinder.message.parse import Attachment, ParsedMessage
from rejoinder.message.thread import msg_ids
from rejoinder.replies.answer import AnswerSent
from rejoinder.replies.sent_mail import SentMail
from rejoinder.store.records import Delivery, Email, Event, EventKind, Run, Sent

_ENDS: Final = (EventKind.RUN_FINISHED, EventKind.RUN_FAILED)


def item(email: Email) -> wire.EmailItem:
    """A mail in a listing."""
    return wire.EmailItem(
        id=email.id,
        email_id=email.id,
        thread_id=email.thread_id,
        message_id=email.message_id,
        subject=email.subject or "No Subject",
        from_=email.author or email.reverse_path or "",
        from_name=email.author_name,
        recipient=email.forward_path,
        status=email.status,
        received_at=instant(email.received_at),
        created_at=instant(email.received_at),
    )


def detail(email: Email, message: ParsedMessage) -> wire.MailDetail:
    """A mail with its content."""
    headers = message.headers
    return wire.MailDetail(
        **dict(item(email)),
        to=_decoded(headers, "To") or "",
        cc=_decoded(headers, "Cc"),
        reply_to=_decoded(headers, "Reply-To"),
        content=wire.Content(
            text_body=message.text,
            attachments=[_attachment(part) for part in message.attachments],
            headers=_header_map(headers),
        ),
        addresses=wire.Addresses(
            from_=_group(headers, "From"),
            to=_group(headers, "To"),
            cc=_group(headers, "Cc"),
            reply_to=_group(headers, "Reply-To"),
        ),
        metadata=_metadata(message),
        security=_security(email.verdict),
    )


def reply(answer: AnswerSent) -> wire.Reply:
    """What a reply's caller gets."""
    return wire.Reply(
        id=answer.id,
        message_id=answer.message_id,
        aws_message_id=answer.aws_message_id,
        replied_to_email_id=answer.replied_to_email_id,
        replied_to_thread_id=answer.replied_to_thread_id,
        is_thread_reply=answer.is_thread_reply,
    )


def sent_detail(mail: SentMail) -> wire.SentDetail:
    """A sent mail with its content."""
    return wire.SentDetail(
        id=mail.sent.id,
        thread_id=mail.sent.thread_id,
        message_id=mail.message_id,
        from_=mail.from_,
        to=list(mail.to),
        cc=list(mail.cc),
        bcc=list(mail.bcc),
        reply_to=list(mail.reply_to),
        subject=mail.sent.subject,
        text=mail.text,
        html=mail.html,
        tags=[wire.Tag(name=name, value=value) for name, value in mail.tags],
        created_at=instant(mail.sent.created_at),
        last_event=mail.last_event,
    )


def trace(
    email: Email,
    events: Sequence[Event],
    runs: Sequence[Run],
    sent: Sequence[tuple[Sent, Sequence[Delivery]]],
) -> wire.Trace:
    """Everything that happened to a mail."""
    return wire.Trace(
        id=email.id,
        status=email.status,
        events=[_event(event) for event in events],
        runs=[_run(run, events) for run in runs],
        sent=[_sent(message, deliveries) for message, deliveries in sent],
    )


def _attachment(part: Attachment) -> wire.Attachment:
    return wire.Attachment(
        filename=part.filename,
        content_type=part.content_type,
        size=part.size,
        content_id=part.content_id,
        content_disposition=part.disposition,
    )


def _header_map(headers: Headers) -> dict[str, str | list[str]]:
    found: dict[str, list[str]] = {}
    for field in headers:
        found.setdefault(field.name.lower(), []).append(field.decoded)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _decoded(headers: Headers, name: str) -> str | None:
    fields = headers.fields(name)
    return ", ".join(field.decoded for field in fields) if fields else None


def _group(headers: Headers, name: str) -> wire.AddressGroup | None:
    text = _decoded(headers, name)
    if text is None:
        return None
    addresses = parse_address_list(", ".join(headers.get_all(name)))
    return wire.AddressGroup(
        text=text,
        addresses=[
            wire.Mailbox(name=address.display_name or None, address=str(address.mailbox))
            for address in addresses
        ],
    )


def _metadata(message: ParsedMessage) -> wire.Metadata:
    headers = message.headers
    return wire.Metadata(
        in_reply_to=next(iter(msg_ids(headers.get("In-Reply-To"))), None),
        references=list(msg_ids(" ".join(headers.get_all("References")))),
        has_attachments=bool(message.attachments),
        attachment_count=len(message.attachments),
        has_text_body=message.text is not None,
        has_html_body=message.html is not None,
        defects=list(message.defects),
    )


def _security(verdict: str) -> wire.Security:
    known = Verdict.from_json(verdict)
    signatures = [signature.result.value for signature in known.dkim]
    # The best signature counts: one that passes proves its domain, whatever the others do (RFC 6376 §6.1).
    best = "pass" if "pass" in signatures else next(iter(signatures), "none")
    return wire.Security(
        spf=known.spf.result.value.upper(), dkim=best.upper(), dmarc=known.dmarc.result.value.upper()
    )


def _event(event: Event) -> wire.TraceEvent:
    return wire.TraceEvent(
        id=event.id,
        kind=event.kind,
        at=instant(event.at),
        run_id=event.run_id,
        sent_id=event.sent_id,
        evidence=_told(json.loads(event.evidence)),
    )


def _told(value: JsonValue, key: str = "") -> JsonValue:
    """Evidence as it goes over the wire: its names and its instants as everywhere in an answer."""
    match value:
        case dict():
            return {to_camel(name): _told(each, name) for name, each in value.items()}
        case list():
            return [_told(each) for each in value]
        case int() if key.endswith("_at"):
            return instant(value)
        case _:
            return value


def _run(run: Run, events: Sequence[Event]) -> wire.TraceRun:
    return wire.TraceRun(
        id=run.id,
        worker=run.worker,
        state=run.state,
        attempt=run.attempt,
        started_at=instant(run.started_at),
        ended_at=None if run.ended_at is None else instant(run.ended_at),
        error=run.error,
        log=run.log,
        refused=_refused(run, events),
    )


def _refused(run: Run, events: Sequence[Event]) -> list[wire.TraceRefused]:
    """What the event of the run's last end says of it."""
    ends = [event for event in events if event.run_id == run.id and event.kind in _ENDS]
    refused = json.loads(ends[-1].evidence).get("refused", []) if ends else []
    # Evidence that was too large has a mark in the place of what was cut.
    return [wire.TraceRefused.model_validate(each) for each in refused if isinstance(each, dict)]


def _sent(message: Sent, deliveries: Sequence[Delivery]) -> wire.TraceSent:
    return wire.TraceSent(
        id=message.id,
        message_id=message.message_id,
        from_=message.author,
        subject=message.subject,
        policy=message.policy,
        created_at=instant(message.created_at),
        deliveries=[_delivery(delivery) for delivery in deliveries],
    )


def _delivery(delivery: Delivery) -> wire.TraceDelivery:
    return wire.TraceDelivery(
        recipient=delivery.forward_path,
        status=delivery.status,
        attempts=delivery.attempts,
        last_reply=delivery.last_reply,
        uncertain=delivery.uncertain,
        updated_at=instant(delivery.updated_at),
    )
