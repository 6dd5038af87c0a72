# SPDX-License-Identifier: Apache-2.0
"""What goes over the wire: names in camelCase, which exist only here, and instants as ISO 8601.

Every answer may gain fields; none loses one or changes its type. ``null`` means "not known or not
there". The HTML of received mail is not served: it would have to be made safe first. The surprise: texts
come from strangers, so what UTF-8 cannot hold is replaced here, lest an answer fail.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def instant(microseconds: int) -> str:
    """Microseconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encodable(text: str) -> str:
    """The text with what UTF-8 cannot hold replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")


Text = Annotated[str, AfterValidator(encodable)]


class Wire(BaseModel):
    """An answer or a part of one."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class Refusal(Wire):
    """Every answer that is not a success; ``error`` and ``message`` hold the same text."""

    error: Text
    message: Text
    name: str
    """The error's type in the words of other mail APIs, as in ``validation_error``."""
    status_code: int
    code: str
    """Ours, kebab-case, with a heading in ``docs/errors.md``."""
    field: str | None = None
    """The parameter that is wrong; absent if it is none."""
    details: Text | None = None
    """The next step; absent where the text says it."""


class Problem(Wire):
    """A refusal for those who accept ``application/problem+json`` (RFC 9457)."""

    type: str
    """Where the manual tells what the code means."""
    title: str
    """The same for every refusal with this code."""
    status: int
    detail: Text
    code: str
    field: str | None = None
    details: Text | None = None


class Pagination(Wire):
    """Where in a listing a page stands."""

    limit: int
    offset: int
    total: int
    has_more: bool


class EmailItem(Wire):
    """A received mail in a listing."""

    id: str
    email_id: str
    """The same as ``id``."""
    thread_id: str
    message_id: Text | None
    """With angle brackets."""
    subject: Text
    """``No Subject`` when it is empty."""
    from_: Annotated[Text, Field(alias="from")]
    """The first mailbox of From; the reverse-path, or empty, where From has none."""
    from_name: Text | None
    recipient: Text
    """The forward-path by which it came."""
    status: str
    """received, dispatched, handled, failed or rejected."""
    received_at: str
    created_at: str


class MailList(Wire):
    """A page of received mail, the newest first."""

    emails: list[EmailItem]
    pagination: Pagination


class Mailbox(Wire):
    """A name and a mailbox."""

    name: Text | None
    address: Text


class AddressGroup(Wire):
    """An address field."""

    text: Text
    addresses: list[Mailbox]


class Attachment(Wire):
    """A part that is no body text."""

    filename: Text | None
    content_type: Text
    size: int
    """Bytes after the transfer encoding is undone."""
    content_id: Text | None
    content_disposition: Text | None


class Content(Wire):
    """What the author wrote."""

    text_body: Text | None
    attachments: list[Attachment]
    headers: dict[str, Text | list[Text]]
    """By lower-case name, decoded; a field that is there more than once is a list."""


class Addresses(Wire):
    """The address fields; null for one that is not there."""

    from_: Annotated[AddressGroup | None, Field(alias="from")]
    to: AddressGroup | None
    cc: AddressGroup | None
    reply_to: AddressGroup | None


class Metadata(Wire):
    """What follows from the headers and the tree."""

    in_reply_to: Text | None
    references: list[Text]
    has_attachments: bool
    attachment_count: int
    has_text_body: bool
    has_html_body: bool
    defects: list[Text]
    """What is broken in the message, a sentence each."""


class Security(Wire):
    """The results of authentication, in capitals: PASS, FAIL, NONE and the others of the standards."""

    spf: str
    dkim: str
    dmarc: str


class MailDetail(EmailItem):
    """A received mail with its content."""

    to: Text
    cc: Text | None
    reply_to: Text | None
    content: Content
    addresses: Addresses
    metadata: Metadata
    security: Security


class TraceEvent(Wire):
    """One step of a stage."""

    id: str
    kind: str
    at: str
    run_id: str | None
    sent_id: str | None
    evidence: JsonValue
    """What the stage saw; its keys depend on the kind. ``transcript`` and ``dialogue`` are SMTP sessions."""


class TraceRefused(Wire):
    """An action of a worker's that a rule forbade."""

    codes: list[str]
    """Of all the rules that failed, in the order of ``docs/errors.md``; the first is the exception's."""
    text: Text
    """What the worker's exception said."""


class TraceRun(Wire):
    """A worker's run."""

    id: str
    worker: str
    state: str
    attempt: int
    started_at: str
    ended_at: str | None
    error: Text | None
    log: Text
    refused: list[TraceRefused]
    """What the last try asked and did not get: why a mail that was handled has no answer."""


class TraceDelivery(Wire):
    """One forward-path of an answer."""

    recipient: Text
    status: str
    """``delivered`` means accepted by the next hop, not read."""
    attempts: int
    last_reply: Text | None
    """The next hop's last SMTP reply."""
    uncertain: bool
    """Whether an attempt may have been accepted without our knowing (RFC 1047)."""
    updated_at: str


class TraceSent(Wire):
    """A message that answers the mail."""

    id: str
    message_id: Text
    """With angle brackets, as it is on the wire."""
    from_: Annotated[Text, Field(alias="from")]
    subject: Text
    policy: str
    """``worker``, ``api`` or ``dsn``."""
    created_at: str
    deliveries: list[TraceDelivery]


class Trace(Wire):
    """Everything that happened to a received mail."""

    id: str
    status: str
    events: list[TraceEvent]
    runs: list[TraceRun]
    sent: list[TraceSent]


class Reply(Wire):
    """What was sent in answer to a mail."""

    id: str
    """Of the sent mail."""
    message_id: Text
    """As it is on the wire, without angle brackets."""
    aws_message_id: str | None = None
    """Only where Amazon SES took it."""
    replied_to_email_id: str
    """The mail that was answered, received or sent; the newest of the thread where a thread was."""
    replied_to_thread_id: str
    is_thread_reply: bool
    """Whether a thread was answered, not a mail."""


class Tag(Wire):
    """A name with a value, kept with a sent mail."""

    name: Text
    value: Text


class SentDetail(BaseModel):
    """A sent mail; its names have underscores, as the clients that read it expect."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    object: Literal["email"] = "email"
    id: str
    thread_id: str
    message_id: Text
    """With angle brackets."""
    from_: Annotated[Text, Field(alias="from")]
    to: list[Text]
    cc: list[Text]
    bcc: list[Text]
    reply_to: list[Text]
    subject: Text
    text: Text | None
    html: Text | None
    """As it was sent."""
    tags: list[Tag]
    created_at: str
    last_event: str
    """created, pending, delivered (each recipient's next hop took it) or failed (at least one did not)."""
