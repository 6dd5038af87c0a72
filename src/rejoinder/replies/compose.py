# SPDX-License-Identifier: Apache-2.0
"""Build the message that answers a mail, from a text or from a message that the worker built; pure.

Threading is done when it is not given and checked when it is (RFC 5322 §3.6.4). What a worker built is
kept byte for byte but for the fields that we must answer for: line ends become CRLF, Bcc and trace fields
go, Message-ID and Date are added when missing, References becomes the whole chain, and ``Auto-Submitted:
auto-replied`` is always there (RFC 3834 §3.1.7), because a program wrote it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from rejoinder.errors import (
    AddressError,
    MessageError,
    ReplyInvalid,
    ReplySenderDomainMismatch,
    ReplyThreading,
)
from rejoinder.message.address import Address, Mailbox, parse_address_list, parse_mailbox
from rejoinder.message.adopt import normalise, with_fields
from rejoinder.message.compose import Draft, compose
from rejoinder.message.encode import address_field, field, ids_field
from rejoinder.message.headers import Headers, split
from rejoinder.message.thread import ReplyFields, msg_ids, reply_fields, trimmed
from rejoinder.message.trace import format_date
from rejoinder.replies.original import Original
from rejoinder.replies.rules import MAX_REFERENCES, Proposal

_MESSAGE_ID: Final = re.compile(r"<[^\s<>@\x00-\x20\x7f]+@[^\s<>@\x00-\x20\x7f]+>")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_MAX_NAME: Final = 256
_AUTO_REPLIED: Final = "auto-replied"


@dataclass(frozen=True, slots=True)
class Text:
    """A worker's ``reply("text")``."""

    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message that the worker built, with the envelope it gave, if any."""

    raw: bytes
    from_: str | None = None
    to: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A message ready to be submitted."""

    raw: bytes
    author: Mailbox
    recipient: Mailbox
    message_id: str
    subject: str
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]


def propose(original: Original, content: Text | Message) -> Proposal:
    """Who would answer whom, for the rules to judge before anything is built.

    Raises:
        ReplyInvalid: the worker's message names no one author.
        ReplySenderDomainMismatch: its header and its envelope name different authors.
    """
    if isinstance(content, Text):
        return Proposal(original.forward_path, original.reverse_path)
    try:
        headers, _ = split(content.raw)
        return Proposal(_author(headers, content.from_), _recipient(original, content.to))
    except (MessageError, AddressError) as error:
        raise _invalid(original, error) from error


def compose_reply(
    original: Original, content: Text | Message, *, recipient: Mailbox, message_id: str, now: int
) -> Reply:
    """The reply that the rules let go to ``recipient``; ``message_id`` is ours, with brackets.

    Raises:
        ReplyInvalid: the worker's message is none that may leave.
        ReplyThreading: its In-Reply-To or References do not name the original.
    """
    try:
        if isinstance(content, Text):
            return _from_text(original, content.text, recipient, message_id, now)
        return _from_message(original, content, recipient, message_id, now)
    except (MessageError, AddressError) as error:
        raise _invalid(original, error) from error


def _invalid(original: Original, error: MessageError | AddressError) -> ReplyInvalid:
    return ReplyInvalid(f"cannot reply to {original.email_id}: {error.text}")


def _from_text(original: Original, text: str, recipient: Mailbox, message_id: str, now: int) -> Reply:
    author = original.forward_path
    fields = _reply_fields(original)
    name = next((shown_name(a) for a in original.authors if a.mailbox.same_as(recipient)), "")
    draft = Draft(
        from_=Address("", author),
        to=(Address(name, recipient),),
        subject=fields.subject,
        text=text,
        html=None,
        message_id=message_id,
        date=now,
        in_reply_to=fields.in_reply_to,
        references=fields.references,
        auto_submitted=_AUTO_REPLIED,
    )
    in_reply_to = (fields.in_reply_to,) if fields.in_reply_to else ()
    return Reply(
        compose(draft), author, recipient, message_id, fields.subject, in_reply_to, fields.references
    )


def _from_message(
    original: Original, content: Message, recipient: Mailbox, message_id: str, now: int
) -> Reply:
    raw = normalise(content.raw)
    headers, _ = split(raw)
    if headers.get("Received") is not None:
        raise ReplyInvalid("invalid headers set: a reply begins its way here and has no Received field yet")
    author = parse_mailbox(str(_author(headers, content.from_)))  # what was tolerated is not sent
    fields = _reply_fields(original)
    _check_threading(original, headers)
    own_id = _own_id(headers, fields.references)
    used_id = own_id or message_id
    references = _chain(headers, fields.references, used_id)
    add = [
        field("Date", format_date(now)),
        field("MIME-Version", "1.0"),
        address_field("To", [Address("", recipient)]),
        field("Subject", fields.subject),
    ]
    if fields.in_reply_to:
        add.append(ids_field("In-Reply-To", [fields.in_reply_to]))
    ours = [field("Auto-Submitted", _AUTO_REPLIED)]
    if references:
        ours.append(ids_field("References", references))
    if own_id is None:
        ours.append(ids_field("Message-ID", [message_id]))
    finished = with_fields(raw, add, ours)
    subject_fields = headers.fields("Subject")
    subject = subject_fields[0].decoded if subject_fields else fields.subject
    in_reply_to = (fields.in_reply_to,) if fields.in_reply_to else ()
    return Reply(finished, author, recipient, used_id, subject, in_reply_to, references)


def _reply_fields(original: Original) -> ReplyFields:
    """How the reply threads; a Subject may hold raw 8-bit octets that read as control characters."""
    fields = reply_fields(original.headers)
    return replace(fields, subject=on_one_line(fields.subject))


def on_one_line(text: str) -> str:
    """A stranger's text for one of our fields: control characters and line ends become spaces."""
    return " ".join(_CONTROL.sub(" ", text).split())


def shown_name(address: Address) -> str:
    """A stranger's name for one of our fields, as long as one may be."""
    return on_one_line(address.display_name[:_MAX_NAME])


def _recipient(original: Original, given: str | None) -> Mailbox | None:
    """Who is to get the reply; "" is the null reverse-path, as a worker reads it from ``message.sender``."""
    if given is None:
        return original.reverse_path
    return parse_mailbox(given) if given else None


def _author(headers: Headers, envelope_from: str | None) -> Mailbox:
    authors = parse_address_list(", ".join(headers.get_all("From")))
    if len(authors) != 1 or len(headers.get_all("From")) != 1:
        raise ReplyInvalid(
            f"From names {len(authors)} mailboxes; a reply has exactly one From field with one mailbox "
            "(RFC 5322 §3.6.2 allows more, RFC 9989 does not)"
        )
    author = authors[0].mailbox
    if envelope_from is not None and not parse_mailbox(envelope_from).same_as(author):
        raise ReplySenderDomainMismatch(
            f"From: header does not match mail from: the header says {author}, the envelope {envelope_from}"
        )
    return author


def _check_threading(original: Original, headers: Headers) -> None:
    ids = msg_ids(original.headers.get("Message-ID"))
    if not ids:
        return
    given = msg_ids(headers.get("In-Reply-To"))
    if headers.get("In-Reply-To") is not None and given != ids[:1]:
        raise ReplyThreading(
            f"In-Reply-To does not match original Message-ID: it is {headers.get('In-Reply-To')!r}, "
            f"the original's is {ids[0]} (RFC 5322 §3.6.4); leave the field out and it is set for you"
        )
    references = msg_ids(headers.get("References"))
    if references and ids[0] not in references:
        raise ReplyThreading(
            f"provided References header is invalid: it lacks the original's {ids[0]} (RFC 5322 §3.6.4); "
            "leave the field out and it is set for you"
        )


def _own_id(headers: Headers, chain: tuple[str, ...]) -> str | None:
    """The Message-ID that the worker gave, if it is one and not that of a mail in the thread."""
    given = headers.get_all("Message-ID")
    if len(given) == 1 and _MESSAGE_ID.fullmatch(given[0]) and given[0] not in chain:
        return given[0]
    return None


def _chain(headers: Headers, ours: tuple[str, ...], own_id: str) -> tuple[str, ...]:
    """Our chain, with the ids that only the worker's References names put before its last."""
    extra = (i for i in msg_ids(headers.get("References")) if i not in ours and i != own_id)
    return trimmed([*ours[:-1], *extra, *ours[-1:]], MAX_REFERENCES)
