# SPDX-License-Identifier: Apache-2.0
"""A mail that has arrived: what is known of it before anybody decides about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rejoinder.ids import Ids
from rejoinder.ingress.session import Delivery
from rejoinder.mailauth.results import authentication_results
from rejoinder.mailauth.verdict import Verdict
from rejoinder.message.address import Mailbox, author_domains
from rejoinder.message.event_key import EventKeys
from rejoinder.message.headers import Headers, split
from rejoinder.message.thread import msg_ids
from rejoinder.message.trace import received_count, received_field, return_path_field
from rejoinder.routing.table import Target
from rejoinder.smtp.reply import Reply

MAX_HOPS: Final = 100
"""Received fields beyond which a mail is in a loop (RFC 5321 §6.3)."""


@dataclass(frozen=True)
class Arrival:
    """One mail transaction, its content split, not yet authenticated."""

    delivery: Delivery
    headers: Headers
    body_offset: int

    @classmethod
    def of(cls, delivery: Delivery) -> Arrival:
        """Split the content.

        Raises:
            MessageError: the header block is beyond the limit.
        """
        headers, body_offset = split(delivery.raw)
        return cls(delivery, headers, body_offset)

    def event_keys(self) -> EventKeys:
        """The event keys of its recipients; reads the whole content."""
        body = self.delivery.raw[self.body_offset :]
        return EventKeys(self.delivery.envelope.reverse_path, self.headers, body)

    @property
    def message_id(self) -> str | None:
        """Its Message-ID with angle brackets; None without a usable one."""
        return next(iter(msg_ids(self.headers.get("Message-ID"))), None)

    @property
    def references(self) -> tuple[str, ...]:
        """The messages that it names in References."""
        return msg_ids(" ".join(self.headers.get_all("References")))

    @property
    def in_reply_to(self) -> tuple[str, ...]:
        """The messages that it answers by its own word."""
        return msg_ids(self.headers.get("In-Reply-To"))

    def refusal(self) -> Reply | None:
        """The permanent refusal of what no policy can make right."""
        authors = author_domains(self.headers)
        if len(authors) != 1:
            # RFC 5322 §3.6 demands an author; RFC 9989 §11.5 cannot judge several domains.
            what = "no author domain" if not authors else "several author domains"
            return Reply.of(550, "5.6.0", f"The message has {what} in From")
        if received_count(self.headers) > MAX_HOPS:
            return Reply.of(554, "5.4.6", "Too many Received fields, the message is in a loop")
        return None


@dataclass(frozen=True, slots=True)
class Recipient:
    """One forward-path of an arrival: an email of its own."""

    forward_path: Mailbox
    target: Target
    email_id: str
    run_id: str
    event_key: str
    event_key_stable: bool


def recipient(
    arrival: Arrival, forward_path: Mailbox, target: Target, keys: EventKeys, ids: Ids
) -> Recipient:
    """The recipient, with the ids and the event key that it will have."""
    key, now = keys.of(forward_path), arrival.delivery.received_at
    return Recipient(
        forward_path,
        target,
        ids.new("email", now),
        ids.new("run", now),
        key or ids.unique(now),
        key is not None,
    )


def trace_block(arrival: Arrival, to: Recipient, verdict: Verdict, hostname: str) -> bytes:
    """Return-Path, Authentication-Results and Received, as they stand before the content when it is shown."""
    delivery = arrival.delivery
    client, envelope = delivery.client, delivery.envelope
    helo = client.helo or ""
    return (
        return_path_field(envelope.reverse_path)
        + authentication_results(verdict, hostname, envelope.reverse_path, helo)
        + received_field(
            helo=helo,
            peer=client.ip,
            by=hostname,
            protocol="ESMTP" if client.esmtp else "SMTP",
            message_id=to.email_id,
            received_at=delivery.received_at,
            forward_path=to.forward_path if len(envelope.forward_paths) == 1 else None,
        )
    )
