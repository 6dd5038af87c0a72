# SPDX-License-Identifier: Apache-2.0
"""The first attempt at a message that a provider sends, awaited by the request that submitted it.

A provider such as Amazon SES answers at once and for the whole message, and puts a Message-ID of its own on
the wire; whoever asked wants to be told. The submission is committed first, so nothing depends on the
waiting: a request waits a few seconds, then the queue goes on alone. The surprise: what a result does to the
kept answer is written in the transaction that records the attempt. So the attempt *claims* whoever waits
before it writes; who is claimed waits on, until it is told, and what is kept is what was answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from rejoinder.clock import Clock
from rejoinder.clock.deadline import within
from rejoinder.store.unit import Unit

PATIENCE: Final = 5.0
"""Seconds that a request waits for the first attempt to end."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The provider has it: what it calls it, and the Message-ID it put on the wire, with angle brackets."""

    provider_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider will never take it; the reply says why."""

    reply: str


FirstResult = Taken | Refused | None
"""What the first attempt came to; None when it did not come to an end yet, and the queue goes on."""


class Handover(Protocol):
    """What has to be known of a provider before something is submitted to it."""

    @property
    def most(self) -> int:
        """Forward-paths that it takes at once."""
        ...

    async def ready(self) -> None:
        """Return if it can be used.

        Raises:
            SendingNotConfigured: it cannot, and its details say why.
        """
        ...


@dataclass(frozen=True, slots=True)
class Awaited:
    """Somebody who waits for the first attempt at a message."""

    sent_id: str
    settle: Callable[[FirstResult], Unit[None]]
    """What shall be written with the result, in its transaction."""
    told: asyncio.Future[FirstResult] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def tell(self, result: FirstResult) -> None:
        """Say what the attempt came to; what is said later does not count."""
        if not self.told.done():
            self.told.set_result(result)


class FirstAttempts:
    """Who waits for the first attempt at which message: told in this process, never read from the store."""

    def __init__(self, clock: Clock, handover: Handover) -> None:
        self.handover: Final = handover
        self._clock = clock
        self._awaited: dict[str, Awaited] = {}

    @contextmanager
    def expected(self, sent_id: str, settle: Callable[[FirstResult], Unit[None]]) -> Iterator[Awaited]:
        """Expect the first attempt at a message that is about to be submitted."""
        awaited = self._awaited[sent_id] = Awaited(sent_id, settle)
        try:
            yield awaited
        finally:
            self._awaited.pop(sent_id, None)

    async def result(self, awaited: Awaited) -> FirstResult:
        """What the attempt comes to within five seconds, or None; nobody is told of it any more."""
        await within(self._clock, PATIENCE, asyncio.shield(awaited.told))
        if self._awaited.pop(awaited.sent_id, None) is not None:
            return None
        # Claimed: what is kept will be the result, so what is answered must be.
        return await awaited.told

    def claim(self, sent_id: str) -> Awaited | None:
        """Whoever waits for this message, once; they wait on until they are told."""
        return self._awaited.pop(sent_id, None)
