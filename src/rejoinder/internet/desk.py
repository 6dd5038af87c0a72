# SPDX-License-Identifier: Apache-2.0
"""The server as its guests see it: what the store says became of a mail, when it has become of it.

It reads, it changes nothing. Waiting is bounded by the clock it is given, and what has not happened by
then is told as None, never as an exception.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from rejoinder.clock import Clock, after
from rejoinder.store import emails, events, runs, sent
from rejoinder.store.records import Delivery, DeliveryStatus, Email, Event, EventKind, Run, RunState, Sent
from rejoinder.store.unit import Store, Unit

T = TypeVar("T")

PATIENCE: Final = 20.0
"""Seconds after which something that has not happened is not going to happen."""
_LOOK_EVERY: Final = 0.01
_UNSETTLED: Final = (DeliveryStatus.QUEUED, DeliveryStatus.DEFERRED)


class House(Protocol):
    """A running server."""

    @property
    def store(self) -> Store:
        """Its store."""
        ...

    @property
    def smtp_addresses(self) -> tuple[tuple[str, int], ...]:
        """Where it receives mail."""
        ...

    @property
    def http_address(self) -> tuple[str, int]:
        """Where it answers HTTP."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A message that answers a mail, and its one delivery."""

    sent: Sent
    delivery: Delivery


class Desk:
    """Looks into a running server's store."""

    def __init__(self, house: House, clock: Clock) -> None:
        self.smtp = house.smtp_addresses[0]
        self.http = house.http_address
        self._store = house.store
        self._clock = clock

    async def newest(self) -> tuple[Email | None, int]:
        """The mail received last, and how many there are."""
        found, total = await self._store.read(lambda: emails.listing("default", 1))
        return (found[0] if found else None), total

    async def ended(self, email: Email) -> Run | None:
        """The run on a mail, when its first try has ended; None if it does not end."""
        return await self._until(lambda: _ended(email))

    async def answer(self, email: Email) -> Answer | None:
        """What answers a mail, when its delivery is settled; None if there is none, or it is not settled."""
        if not await self.is_answered(email):
            return None
        return await self._until(lambda: _settled(email))

    async def is_answered(self, email: Email) -> bool:
        """Whether anything answers a mail, delivered or not."""
        return await self.answers(email) > 0

    async def answers(self, email: Email) -> int:
        """How many messages answer a mail, delivered or not."""
        return len(await self._store.read(lambda: sent.of_email(email.id)))

    async def refusals(self, email: Email) -> tuple[str, ...]:
        """The codes of the rules that forbade to answer a mail; empty if nothing was refused."""
        found = await self.events(email)
        ends = [json.loads(event.evidence) for event in found if event.kind is EventKind.RUN_FINISHED]
        return tuple(code for end in ends for refused in end.get("refused", ()) for code in refused["codes"])

    async def events(self, email: Email) -> list[Event]:
        """The steps of a mail and of what answers it."""
        return await self._store.read(lambda: events.of_email(email.account, email.id))

    async def _until(self, look: Callable[[], Unit[T | None]]) -> T | None:
        deadline = after(self._clock.now(), PATIENCE)
        while (found := await self._store.read(look)) is None and self._clock.now() < deadline:
            await self._clock.sleep(_LOOK_EVERY)
        return found


def _ended(email: Email) -> Unit[Run | None]:
    for run in (yield from runs.of_email(email.id)):
        if run.state is not RunState.RUNNING and run.ended_at is not None:
            return run
    return None


def _settled(email: Email) -> Unit[Answer | None]:
    for message in (yield from sent.of_email(email.id)):
        for delivery in (yield from sent.deliveries(message.id)):
            if delivery.status not in _UNSETTLED:
                return Answer(message, delivery)
    return None
