# SPDX-License-Identifier: Apache-2.0
"""Which mail is answered: the ids of received and of sent mail name one, that of a thread its latest.

The surprise: what came to a return-path is never the latest of its thread, because it is a report about our
own mail, nor is what a program answered; whoever names a thread wants to go on with the conversation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rejoinder.ids import is_id
from rejoinder.message.automatic import AutomaticKind, detect
from rejoinder.message.headers import split
from rejoinder.message.limits import Limits
from rejoinder.store import emails, raws, sent, threads
from rejoinder.store.records import Email, Sent
from rejoinder.store.unit import Unit

_NO_PERSON: Final = (AutomaticKind.AUTO_REPLIED, AutomaticKind.DSN, AutomaticKind.MDN)


@dataclass(frozen=True, slots=True)
class Answered:
    """The mail that is answered, and the id by which it was asked for: its own, or its thread's."""

    asked: str
    record: Email | Sent

    @property
    def id(self) -> str:
        """The id of the mail."""
        return self.record.id

    @property
    def account(self) -> str:
        """Whose mail it is."""
        return self.record.account

    @property
    def thread_id(self) -> str:
        """The thread that the answer joins."""
        return self.record.thread_id

    @property
    def is_thread_reply(self) -> bool:
        """Whether a thread was asked for, and this is its latest mail."""
        return is_id(self.asked, "thread")

    @property
    def at(self) -> int:
        """When it was received or sent."""
        return self.record.received_at if isinstance(self.record, Email) else self.record.created_at


def find(account: str, asked: str) -> Unit[Answered | None]:
    """The mail of an account that an id asks for: one received, one sent, or the latest of a thread."""
    record = yield from _record(account, asked)
    return None if record is None else Answered(asked, record)


def _record(account: str, asked: str) -> Unit[Email | Sent | None]:
    if is_id(asked, "email"):
        return (yield from emails.get(account, asked))
    if is_id(asked, "sent"):
        return (yield from sent.get(account, asked))
    if is_id(asked, "thread"):
        return (yield from _latest(account, asked))
    return None


def _latest(account: str, thread_id: str) -> Unit[Email | Sent | None]:
    """The latest mail that somebody wrote in a thread, without one the latest sent."""
    members = [owner_id for owner_id, _ in (yield from threads.members(account, thread_id))][::-1]
    for owner_id in members:
        email = (yield from emails.get(account, owner_id)) if is_id(owner_id, "email") else None
        if email is not None and email.mark is None and not (yield from _is_from_a_program(email)):
            return email
    for owner_id in members:
        if is_id(owner_id, "sent"):
            return (yield from sent.get(account, owner_id))
    return None


def _is_from_a_program(email: Email) -> Unit[bool]:
    """Whether it is an answer or report that no person wrote; one too large for the database is none."""
    raw = yield from raws.get(email.raw_id)
    if email.reverse_path is None or raw is None or raw.content is None:
        return email.reverse_path is None
    headers, _ = split(raw.content, Limits(header_block=raw.size))
    return any(sign.kind in _NO_PERSON for sign in detect(headers, None))
