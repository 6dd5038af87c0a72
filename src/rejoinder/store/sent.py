# SPDX-License-Identifier: Apache-2.0
"""What we took responsibility for sending, and what became of it at each forward-path."""

from __future__ import annotations

from collections.abc import Sequence

from rejoinder.store.records import Delivery, DeliveryStatus, Sent
from rejoinder.store.row import integer, parameters, record, text
from rejoinder.store.unit import Row, Statement, Unit, Value


def insert(sent: Sent, deliveries: Sequence[Delivery]) -> Unit[None]:
    """Take responsibility for a message; its raw message is stored already."""
    yield Statement("sent_insert", parameters(sent))
    shared: dict[str, Value] = {"account": sent.account, "policy": sent.policy, "created_at": sent.created_at}
    for delivery in deliveries:
        own = {**parameters(delivery), "correspondent": _correspondent(delivery.forward_path)}
        yield Statement("delivery_insert", own | shared)


def get(account: str, sent_id: str) -> Unit[Sent | None]:
    """One sent message, if it is this account's."""
    sent = yield from by_id(sent_id)
    return sent if sent is not None and sent.account == account else None


def by_id(sent_id: str) -> Unit[Sent | None]:
    """One sent message, of whatever account."""
    rows = yield Statement("sent_get", {"id": sent_id})
    return record(Sent, rows[0]) if rows else None


def of_email(email_id: str) -> Unit[list[Sent]]:
    """What answers a mail, in order."""
    rows = yield Statement("sent_of_email", {"email_id": email_id})
    return [record(Sent, row) for row in rows]


def is_ours(account: str, message_id: str) -> Unit[bool]:
    """Whether we made this Message-ID, or a provider put it in the place of ours."""
    rows = yield Statement("sent_is_ours", {"account": account, "message_id": message_id})
    return bool(rows)


def alias(sent: Sent, message_id: str, provider_id: str, at: int) -> Unit[None]:
    """A provider put this Message-ID on the wire instead of ours: it names the message too."""
    values: dict[str, Value] = {"message_id": message_id, "provider_id": provider_id, "at": at}
    yield Statement("sent_alias_insert", {"account": sent.account, "sent_id": sent.id, **values})


def alias_of(sent_id: str) -> Unit[str | None]:
    """The Message-ID by which recipients know a message, where a provider put it in the place of ours."""
    rows = yield Statement("sent_alias_first", {"sent_id": sent_id})
    return text(rows[0], "message_id") if rows else None


def deliveries(sent_id: str) -> Unit[list[Delivery]]:
    """The forward-paths of a sent message."""
    rows = yield Statement("delivery_of_sent", {"sent_id": sent_id})
    return [_delivery(row) for row in rows]


def update_delivery(delivery: Delivery) -> Unit[None]:
    """What became of a forward-path."""
    yield Statement("delivery_update", parameters(delivery))


def count_since(
    account: str, policy: str, *, correspondent: str | None, thread_id: str | None, since: int
) -> Unit[int]:
    """How many messages were sent since an instant, to a correspondent or in a thread if one is given.

    The case of a correspondent's letters does not matter, so that a budget cannot be multiplied by it.
    """
    scope: dict[str, Value] = {"account": account, "policy": policy, "since": since}
    statement = "sent_count"
    if correspondent is not None:
        scope["correspondent"] = _correspondent(correspondent)
        statement += "_to_correspondent"
    if thread_id is not None:
        scope["thread_id"] = thread_id
        statement += "_in_thread"
    rows = yield Statement(statement, scope)
    return integer(rows[0], "total")


def _correspondent(forward_path: str) -> str:
    return forward_path.lower()


def _delivery(row: Row) -> Delivery:
    return record(Delivery, row, status=DeliveryStatus(text(row, "status")), uncertain=bool(row["uncertain"]))
