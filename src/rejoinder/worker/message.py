# SPDX-License-Identifier: Apache-2.0
"""The mail as a worker sees it, and what a worker may do with it.

Actions happen when they are called, awaited or not; awaiting them tells how they were judged. In a
plain ``def`` handler, which runs in a thread, the same call waits and returns or raises. The surprise:
``raw`` blocks for a moment, because the content is fetched only when somebody asks, by descriptor.
"""

from __future__ import annotations

from collections.abc import Awaitable
from functools import cached_property
from typing import Protocol

from rejoinder.message.headers import Headers, split
from rejoinder.message.parse import parse
from rejoinder.worker.auth import Auth
from rejoinder.worker.frames import Run
from rejoinder.worker.reply import Answer, outgoing


class Actor(Protocol):
    """The run behind a message."""

    def act(
        self, kind: str, blob: bytes = b"", *, from_: str | None = None, to: str | None = None
    ) -> Awaitable[str]:
        """Send an action to the host."""
        ...

    def decide(self, ending: str, reason: str) -> None:
        """Set how the run is to end."""
        ...

    def fetch(self) -> bytes:
        """The mail as received."""
        ...


class Message:
    """One received mail for one recipient."""

    def __init__(self, event: Run, actor: Actor) -> None:
        self._event = event
        self._actor = actor

    @property
    def sender(self) -> str:
        """The envelope's reverse-path (RFC 5321 §3.3), not the From field; "" is the null one."""
        return self._event.sender

    from_ = sender
    vars()["from"] = sender  # `from` is a keyword; getattr(message, "from") reads it.

    @property
    def to(self) -> str:
        """The envelope's forward-path: the mailbox that this run answers for."""
        return self._event.to

    @property
    def id(self) -> str:
        """The id of this mail, ``email_…``, from the start the one that the API will show."""
        return self._event.email_id

    @property
    def event_key(self) -> str:
        """The same for every try of the same mail: the idempotency key for calls to others."""
        return self._event.event_key

    @property
    def event_key_stable(self) -> bool:
        """False for mail with neither Message-ID nor Date, whose key is another for each try."""
        return self._event.event_key_stable

    @property
    def attempt(self) -> int:
        """1 for the first try of this run."""
        return self._event.attempt

    @property
    def received_at(self) -> int:
        """When the mail came in: microseconds since the epoch, UTC."""
        return self._event.received_at

    @cached_property
    def headers(self) -> Headers:
        """The header fields in their order; ``get`` and ``get_all`` give values not RFC 2047-decoded."""
        return split(self._event.blob)[0]

    @cached_property
    def raw(self) -> bytes:
        """The content as it was received, every octet of it.

        Raises:
            WorkerError: the host could not give it.
        """
        return self._actor.fetch()

    @property
    def raw_size(self) -> int:
        """Octets of ``raw``."""
        return self._event.raw_size

    @cached_property
    def text(self) -> str:
        """What the mail says, as plain text."""
        return parse(self.raw).text or ""

    @cached_property
    def auth(self) -> Auth:
        """What SPF, DKIM and DMARC found."""
        return Auth.from_evidence(self._event.auth)

    def reply(self, answer: Answer) -> Awaitable[str]:
        """Answer in the thread; the answer leaves when the run has ended well.

        A text becomes a whole reply with its quotation and threading. A message of your own (bytes,
        the standard library's, or ``EmailMessage(from, to, raw)``) goes out as you built it, with what
        threading needs added where it lacks.

        Returns:
            The Message-ID, with brackets, that will be on the wire.

        Raises:
            ReplyRefused: a rule forbids it; ``code`` names the rule, ``codes`` all that failed.
            EventEnded: the run has ended.
        """
        made = outgoing(answer)
        return self._actor.act(made.kind, made.octets, from_=made.from_, to=made.to)

    def accept(self) -> Awaitable[str]:
        """Take the mail now: the sender gets 250 at once and the run goes on; a refusal is then a report."""
        return self._actor.act("accept")

    def set_reject(self, reason: str) -> None:
        """Refuse the mail for good when the handler has ended; the last verdict counts."""
        self._actor.decide("reject", reason)

    def defer(self, reason: str) -> None:
        """Have the mail tried again later; nothing that this run did is kept."""
        self._actor.decide("defer", reason)

    rawSize = raw_size  # noqa: N815  # These two are the names in the model that workers are ported from.
    setReject = set_reject  # noqa: N815
