# SPDX-License-Identifier: Apache-2.0
"""What was sent, read back from the message itself and from what became of its deliveries.

The surprise: who got a blind copy stands in no field of the message; it is whoever has a delivery and is
named in none.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rejoinder.errors import StoreError
from rejoinder.message.address import Address, parse_address_list
from rejoinder.message.headers import Headers
from rejoinder.replies.original import parsed
from rejoinder.store import raws, sent
from rejoinder.store.raw import RawStore
from rejoinder.store.records import Delivery, DeliveryStatus, Raw, Sent
from rejoinder.store.unit import Store, Unit


class LastEvent(StrEnum):
    """Where a sent message stands, over all its recipients."""

    CREATED = "created"
    """Queued; nothing was tried yet."""
    PENDING = "pending"
    """Under way: tried, and not settled for everybody."""
    DELIVERED = "delivered"
    """The next hop has taken it for everybody, which does not promise that anybody reads it."""
    FAILED = "failed"
    """Settled, and somebody did not get it."""


@dataclass(frozen=True, slots=True)
class SentMail:
    """A sent message; addresses as text, ``Name <local-part@domain>``."""

    sent: Sent
    message_id: str
    """The one on the wire, with angle brackets."""
    from_: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    reply_to: tuple[str, ...]
    text: str | None
    html: str | None
    tags: tuple[tuple[str, str], ...]
    last_event: LastEvent


async def sent_mail(store: Store, raw_store: RawStore, account: str, sent_id: str) -> SentMail | None:
    """A message that the account sent; None if there is none of this id."""
    found = await store.read(lambda: _load(account, sent_id))
    if found is None:
        return None
    row, alias, deliveries, raw = found
    content = await raw_store.load(raw)
    return await asyncio.to_thread(_read, row, alias or row.message_id, deliveries, content)


def last_event(deliveries: Sequence[Delivery]) -> LastEvent:
    """Where a message with these deliveries stands."""
    statuses = {delivery.status for delivery in deliveries}
    if statuses <= {DeliveryStatus.DELIVERED}:
        return LastEvent.DELIVERED
    if statuses <= {DeliveryStatus.QUEUED}:
        return LastEvent.CREATED
    if statuses & {DeliveryStatus.QUEUED, DeliveryStatus.DEFERRED}:
        return LastEvent.PENDING
    return LastEvent.FAILED


def _load(account: str, sent_id: str) -> Unit[tuple[Sent, str | None, list[Delivery], Raw] | None]:
    row = yield from sent.get(account, sent_id)
    if row is None:
        return None
    raw = yield from raws.get(row.raw_id)
    if raw is None:
        raise StoreError(f"the content {row.raw_id} of {row.id} is not in the store")
    return row, (yield from sent.alias_of(row.id)), (yield from sent.deliveries(row.id)), raw


def _read(row: Sent, message_id: str, deliveries: Sequence[Delivery], content: bytes) -> SentMail:
    message = parsed(content)
    headers = message.headers
    named = {str(each.mailbox) for name in ("To", "Cc") for each in _addresses(headers, name)}
    return SentMail(
        sent=row,
        message_id=message_id,
        from_=", ".join(_shown(headers, "From")),
        to=_shown(headers, "To"),
        cc=_shown(headers, "Cc"),
        bcc=tuple(each.forward_path for each in deliveries if each.forward_path not in named),
        reply_to=_shown(headers, "Reply-To"),
        text=message.text,
        html=message.html,
        tags=tuple((name, value) for name, value in json.loads(row.tags)),
        last_event=last_event(deliveries),
    )


def _shown(headers: Headers, name: str) -> tuple[str, ...]:
    return tuple(str(address) for address in _addresses(headers, name))


def _addresses(headers: Headers, name: str) -> list[Address]:
    return parse_address_list(", ".join(headers.get_all(name)))
