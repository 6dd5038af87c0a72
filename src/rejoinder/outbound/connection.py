# SPDX-License-Identifier: Apache-2.0
"""One SMTP connection to a next hop: the asyncio shell of ``smtp.sender``.

It moves octets and keeps deadlines (RFC 5321 §4.5.3.2); what they mean the sender knows. Nothing raises:
whatever happens to a mail transaction is a ``HopResult``. The surprise is ``uncertain``: the connection
was lost or timed out after the final dot and before its answer, so the next hop may have taken the mail
(RFC 1047). Everything lost before the dot is ``lost``, and certain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Final, Literal, Self, cast

from rejoinder.clock import Clock, after
from rejoinder.clock.deadline import within
from rejoinder.clock.watchdog import NEVER, Watchdog
from rejoinder.errors import MessageError
from rejoinder.smtp.envelope import Envelope
from rejoinder.smtp.reply import Reply
from rejoinder.smtp.sender import RecipientOutcome, Sender, Stage

HopState = Literal["answered", "unreachable", "greeting-refused", "lost", "uncertain"]
"""What came of a mail transaction.

answered: each recipient has an SMTP reply (some may be our own, stage ``unsent``). unreachable: nobody
took the connection. greeting-refused: the next hop refused the session; every outcome holds its reply.
lost: the connection ended before the final dot; recipients with a reply were refused, the others know
nothing. uncertain: it ended after the final dot and before its reply.
"""

_UNSENDABLE: Final = Reply(554, "5.6.0", ("the content has a CR or LF that is not part of CRLF",))


@dataclass(frozen=True, slots=True)
class NextHop:
    """Where to connect: the host's name (for logs), the IP address that is dialled, and the port."""

    name: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class HopResult:
    """What became of one mail transaction with one next hop.

    ``outcomes`` are in the order of the forward-paths; ``dialogue`` is the session's opening and this
    transaction as ``C: …`` and ``S: …`` lines, with remarks of ours in parentheses.
    """

    outcomes: tuple[RecipientOutcome, ...]
    dialogue: tuple[str, ...]
    state: HopState


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for each step (RFC 5321 §4.5.3.2), and to keep a connection that has nothing to do."""

    connect: float = 30.0
    greeting: float = 300.0
    mail: float = 300.0
    rcpt: float = 300.0
    data: float = 120.0
    block: float = 180.0
    content: float = 600.0
    idle: float = 10.0

    @property
    def shortest(self) -> float:
        """The shortest of them."""
        return min(float(getattr(self, field.name)) for field in fields(self))

    def of(self, stage: Stage) -> float:
        """The wait for the answer to this question."""
        match stage:
            case "greeting":
                return self.greeting
            case "rcpt":
                return self.rcpt
            case "data":
                return self.data
            case "content":
                return self.content
            case _:
                return self.mail


class Connection(asyncio.Protocol):
    """A connection that carries one mail transaction after the other."""

    def __init__(self, ehlo_name: str, timeouts: Timeouts, clock: Clock, watchdog: Watchdog) -> None:
        self._sender = Sender(ehlo_name)
        self._timeouts = timeouts
        self._clock = clock
        self._watchdog = watchdog
        self._transport: asyncio.Transport | None = None
        self._rest: asyncio.Future[None] | None = None
        self._is_blocked = False
        self._is_gone = False
        self._is_closing = False
        self._when_gone: Callable[[], None] | None = None
        self._asked: tuple[Stage | None, int] = (None, 0)
        self.transactions = 0
        """How many mail transactions were begun."""
        self.deadline = NEVER
        """When the next hop must have answered, in microseconds since the epoch, UTC."""

    @classmethod
    async def open(
        cls, hop: NextHop, ehlo_name: str, timeouts: Timeouts, clock: Clock, watchdog: Watchdog
    ) -> Self | str:
        """Connect and introduce ourselves; the reason as text if nobody takes the connection.

        A session that the next hop refuses is a Connection too: its ``send`` says so.
        """
        connection = cls(ehlo_name, timeouts, clock, watchdog)
        loop = asyncio.get_running_loop()
        connecting = loop.create_connection(lambda: connection, hop.address, hop.port)
        try:
            if await within(clock, timeouts.connect, connecting) is None:
                return f"no connection within {timeouts.connect:g} s"
            await connection.until_rest()
        except OSError as error:
            return error.strerror or str(error)
        except asyncio.CancelledError:
            connection.abort()
            raise
        return connection

    @property
    def is_usable(self) -> bool:
        """Whether another transaction can be sent: not after ``close``, though the end comes later."""
        is_at_rest = self._sender.waiting_for is None and not self._sender.is_closed
        return is_at_rest and not (self._is_gone or self._is_closing)

    @property
    def was_heard(self) -> bool:
        """Whether the next hop said anything but 421 about the last transaction."""
        replies = [outcome.reply for outcome in self._sender.outcomes]
        only_421 = all(reply is None or reply.code == 421 for reply in replies)
        return self._sender.replies > 1 or not only_421 or self._sender.is_uncertain

    async def send(self, envelope: Envelope, raw: bytes) -> HopResult:
        """Carry out one mail transaction, one at a time."""
        self._when_gone = None
        self.transactions += 1
        if self._sender.refusal is not None:
            reply, stage = self._sender.refusal
            return self._result(_same_for_all(envelope, reply, stage), "greeting-refused")
        if not self.is_usable:
            stage = self._asked[0] or "greeting"
            return self._result(_same_for_all(envelope, None, stage), "lost")
        try:
            self._sender.send(envelope, raw)
        except MessageError:
            return self._result(_same_for_all(envelope, _UNSENDABLE, "unsent"), "answered")
        self._flush()
        await self.until_rest()
        outcomes = self._sender.outcomes
        if self._sender.is_uncertain:
            return self._result(outcomes, "uncertain")
        is_answered = all(outcome.reply is not None for outcome in outcomes)
        return self._result(outcomes, "answered" if is_answered else "lost")

    async def until_rest(self) -> None:
        """Wait until every question is answered, or never will be."""
        if self._sender.waiting_for is not None and not self._is_gone:
            self._rest = asyncio.get_running_loop().create_future()
            await self._rest

    def rest(self, when_gone: Callable[[], None]) -> None:
        """Nothing to do for now: after ``idle`` seconds the connection says goodbye; hear of its end."""
        self._when_gone = when_gone
        self.deadline = after(self._clock.now(), self._timeouts.idle)

    def close(self) -> None:
        """Say goodbye without waiting for the answer; in the middle of a transaction cut the connection."""
        assert self._transport is not None
        if self._sender.waiting_for is not None and not self._is_closing:
            self._transport.abort()
        elif self.is_usable:
            self._sender.quit()
            self._flush()
        self._is_closing = True
        self._transport.close()

    def abort(self) -> None:
        """Cut the connection, if there is one."""
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The next hop speaks first."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._watchdog.watch(self)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Replies, or parts of them."""
        self._sender.receive_data(data)
        self._flush()

    def eof_received(self) -> bool:
        """The next hop says no more."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._is_gone = True
        self._watchdog.forget(self)
        if self._sender.waiting_for is not None:
            self._sender.note("connection lost")
        self._sender.receive_eof()
        self._wake()
        if self._when_gone is not None:
            self._when_gone()

    def pause_writing(self) -> None:
        """The next hop does not take our octets as fast as we have them."""
        self._is_blocked = True

    def resume_writing(self) -> None:
        """It takes more."""
        self._is_blocked = False
        self._flush(is_moving=True)

    def expire(self) -> None:
        """The deadline has passed."""
        stage = self._sender.waiting_for
        if stage is None:
            self.close()
            return
        self._sender.note(f"timed out waiting for the answer to {stage}")
        self._sender.receive_eof()
        self.abort()
        self._wake()

    # --- moving on ---

    def _flush(self, *, is_moving: bool = False) -> None:
        assert self._transport is not None
        while not self._is_blocked and (data := self._sender.data_to_send()):
            self._transport.write(data)
            is_moving = True
        self._set_deadline(is_moving)
        if self._sender.is_closed:
            self._transport.close()
        if self._sender.waiting_for is None:
            self._wake()

    def _set_deadline(self, is_moving: bool) -> None:
        """Only a whole reply, or octets taken from us, is progress: drops of a reply are none."""
        asked = (self._sender.waiting_for, self._sender.replies)
        stage = asked[0]
        if stage is None or (asked == self._asked and not is_moving):
            return
        self._asked = asked
        wait = self._timeouts.block if self._is_blocked else self._timeouts.of(stage)
        self.deadline = after(self._clock.now(), wait)

    def _wake(self) -> None:
        if self._rest is not None and not self._rest.done():
            self._rest.set_result(None)

    def _result(self, outcomes: tuple[RecipientOutcome, ...], state: HopState) -> HopResult:
        return HopResult(outcomes, self._sender.dialogue, state)


def unreachable(envelope: Envelope, hop: NextHop, reason: str) -> HopResult:
    """The result when nobody takes the connection."""
    note = f"(no connection to {hop.name} at {hop.address}, port {hop.port}: {reason})"
    return HopResult(_same_for_all(envelope, None, "connect"), (note,), "unreachable")


def _same_for_all(envelope: Envelope, reply: Reply | None, stage: Stage) -> tuple[RecipientOutcome, ...]:
    return tuple(RecipientOutcome(path, reply, stage) for path in envelope.forward_paths)
