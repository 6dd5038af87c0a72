# SPDX-License-Identifier: Apache-2.0
"""The SMTP server: the asyncio shell of ``smtp.receiver``.

It moves octets, keeps limits and deadlines, and asks the ``MailHandler``; it knows nothing of mail. What
fails in the handler is logged and answered 451 4.3.0: the peer never sees why, and the session goes on.
The surprise: while a mail is being decided the peer is not read from at all, so TCP holds it back.

A refused RCPT is a line in the log, the first of each mail transaction, and never a row in the store: who
guesses addresses may do so for ever, and a log is rotated. What the session refuses of a mail that was
addressed to somebody here is handed to the handler, which keeps an event.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from typing import Final, assert_never, cast

import structlog

from rejoinder.clock import SECOND, Clock, after
from rejoinder.clock.deadline import within
from rejoinder.clock.watchdog import NEVER, Watchdog
from rejoinder.errors import RejoinderError
from rejoinder.ingress.session import Client, Delivery, MailHandler
from rejoinder.ingress.settings import IngressSettings
from rejoinder.smtp.event import ContentOffered, ContentRefused, MailReceived, RecipientOffered, SessionEnded
from rejoinder.smtp.receiver import DRAINING, Receiver, State
from rejoinder.smtp.reply import Reply

_FAILED: Final = Reply(451, "4.3.0", ("local error; try again later",))
_FULL: Final = Reply(452, "4.3.1", ("no room for more mail at the moment; try again later",))
_log: Final = structlog.get_logger("ingress")
_LINGER: Final = 10.0
"""Seconds that a session which we ended waits for the peer to close."""
_TIMED_OUT: Final = Reply(421, "4.4.2", ("nothing came for too long; closing",))
_TOO_SLOW: Final = Reply(421, "4.4.2", ("the mail transaction took too long; closing",))
_TOO_MANY: Final = Reply(421, "4.3.2", ("too many sessions; try again later",))
_TOO_MANY_OF_ONE: Final = Reply(421, "4.7.0", ("too many sessions from this address; try again later",))


class SmtpServer:
    """Listens, and keeps what the sessions share: their number, their memory, their deadlines."""

    def __init__(self, settings: IngressSettings, handler: MailHandler, clock: Clock, hostname: str) -> None:
        self.settings: Final = settings
        self.handler: Final = handler
        self.clock: Final = clock
        self.hostname: Final = hostname
        self.limits: Final = settings.limits
        self.watchdog: Final = Watchdog(
            clock,
            min(_LINGER, settings.command_timeout, settings.block_timeout, settings.message_timeout),
        )
        self.held = 0
        """Octets of content in all sessions together."""
        self._sessions: set[Session] = set()
        self._per_ip: Counter[str] = Counter()
        self._listening: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._at_rest = asyncio.Event()
        self._at_rest.set()
        self._watching: asyncio.Task[None] | None = None
        self.is_draining = False
        """Whether no new session is taken."""

    async def start(self, address: str) -> tuple[str, int]:
        """Listen at ``host:port`` (``[host]:port`` for IPv6); returns where, port 0 having got a number.

        May be called for several addresses. Raises OSError if the address cannot be had.
        """
        host, _, port = address.rpartition(":")
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Session(self), host.strip("[]") or None, int(port), backlog=512
        )
        self._listening.append(server)
        if self._watching is None:
            self._watching = loop.create_task(self.watchdog.run())
        name = server.sockets[0].getsockname()
        return str(name[0]), int(name[1])

    async def drain(self, deadline: int) -> None:
        """Stop: listen no more, end sessions with 421 4.3.2, those with a mail under way after its answer.

        Returns when all is done, or when the clock passes ``deadline`` (microseconds since the epoch, UTC):
        then connections are cut and unfinished ``accept`` calls cancelled.
        """
        self.is_draining = True
        for listening in self._listening:
            listening.close()
        for session in tuple(self._sessions):
            session.drain()
        await self._rest_until(deadline)
        for session in tuple(self._sessions):
            session.abort()
        for task in tuple(self._tasks):
            task.cancel()
        if self._watching is not None:
            self._watching.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _rest_until(self, deadline: int) -> None:
        await within(self.clock, (deadline - self.clock.now()) / SECOND, self._at_rest.wait())

    # --- what sessions call ---

    def admit(self, session: Session, ip: str) -> Reply | None:
        """Count a new session; the SMTP reply if there is no room for it."""
        self._sessions.add(session)
        self._per_ip[ip] += 1
        self._at_rest.clear()
        if self.is_draining:
            return DRAINING
        if len(self._sessions) > self.settings.max_connections:
            return _TOO_MANY
        return _TOO_MANY_OF_ONE if self._per_ip[ip] > self.settings.max_connections_per_ip else None

    def leave(self, session: Session, ip: str) -> None:
        """A session is over."""
        self._sessions.discard(session)
        self._per_ip[ip] -= 1
        if not self._per_ip[ip]:
            del self._per_ip[ip]
        self._look_for_rest()

    def spawn(self, session: Session, event: MailReceived | ContentRefused) -> None:
        """Decide about a mail beside the loop; drain waits for it, also when its session is gone."""
        task = asyncio.get_running_loop().create_task(session.decide(event))
        self._tasks.add(task)
        self._at_rest.clear()
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._look_for_rest()

    def _look_for_rest(self) -> None:
        if not self._sessions and not self._tasks:
            self._at_rest.set()


class Session(asyncio.Protocol):
    """One connection: octets to the receiver, events to the handler, replies back."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server
        self._receiver = Receiver(server.hostname, server.limits)
        self._transport: asyncio.Transport | None = None
        self._ip, self._port = "", 0
        self._held = 0
        self._commands = 0
        self._logged = 0
        self._message_deadline = NEVER
        self._is_blocked = False
        self._is_closing = False
        self.deadline = NEVER
        """When the peer must have got on, in microseconds since the epoch, UTC."""

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, or say why not."""
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        peer = transport.get_extra_info("peername") or ("", 0)
        self._ip, self._port = str(peer[0]), int(peer[1])
        # asyncio's loops set TCP_NODELAY too; a reply must never wait for the one before it.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if (refusal := self._server.admit(self, self._ip)) is not None:
            self._receiver.data_to_send()  # the refusal stands in the greeting's place (RFC 5321 §3.1)
            self._receiver.close(refusal)
        self._extend()
        self._server.watchdog.watch(self)
        self._advance()

    def data_received(self, data: bytes) -> None:
        """Octets from the peer; after our last reply they are thrown away."""
        if self._is_closing:
            return
        self._receiver.receive_data(data)
        self._advance()
        self._hold_within_limit()

    def eof_received(self) -> bool:
        """The peer sends no more, but may still read; after our last reply that is the end."""
        if self._is_closing:
            return False
        self._receiver.receive_eof()
        self._advance()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; a mail being decided is still decided."""
        self._is_closing = True
        self._server.watchdog.forget(self)
        self._receiver.abandon()
        self._count_held()
        self._server.leave(self, self._ip)

    def pause_writing(self) -> None:
        """The peer does not read its replies: take no more commands from it."""
        self._is_blocked = True
        self._read_or_wait()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._is_blocked = False
        self._read_or_wait()
        self._advance()

    # --- what the server calls ---

    def drain(self) -> None:
        """End at the next safe point."""
        self._receiver.drain()
        self._advance()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def expire(self) -> None:
        """The deadline has passed: say so and close, or cut if that was said already."""
        if self._is_closing:
            self.abort()
            return
        is_slow = self._message_deadline <= self.deadline
        self._receiver.close(_TOO_SLOW if is_slow else _TIMED_OUT)
        self._advance()

    async def decide(self, event: MailReceived | ContentRefused) -> None:
        """Have a mail accepted, or noted that it is refused; give its answer and go on."""
        reply = await (self._accept(event) if isinstance(event, MailReceived) else self._refuse(event))
        self._receiver.answer(reply)
        self._count_held()
        self._read_or_wait()
        if self._transport is not None and not self._transport.is_closing():
            self._extend()
            self._server.watchdog.watch(self)
        self._advance()

    # --- moving on ---

    def _advance(self) -> None:
        while not self._is_blocked and (event := self._receiver.next_event()) is not None:
            match event:
                case RecipientOffered():
                    self._receiver.answer(self._judge(event))
                case ContentOffered() if self._has_room(event):
                    self._receiver.answer(None)
                case ContentOffered():
                    transcript = self._receiver.transcript
                    self._decide_beside(ContentRefused(event.envelope, _FULL, 0, transcript))
                case MailReceived() | ContentRefused():
                    self._decide_beside(event)
                case SessionEnded():
                    self._flush()
                    self._close(event)
                    return
                case _:
                    assert_never(event)
        self._flush()
        self._count_held()
        self._note_progress()

    def _decide_beside(self, event: MailReceived | ContentRefused) -> None:
        self._server.watchdog.forget(self)  # the time is ours now
        self._server.spawn(self, event)
        self._read_or_wait()

    def _judge(self, event: RecipientOffered) -> Reply | None:
        try:
            refusal = self._server.handler.recipient(event.forward_path, event.reverse_path, self._client())
        except Exception:  # noqa: BLE001 - whatever it is, the client tries again
            _log.exception("ingress.recipient_failed", ip=self._ip, forward_path=str(event.forward_path))
            return _FAILED
        if refusal is not None and self._logged != self._receiver.transactions:
            self._logged = self._receiver.transactions
            _log.info(
                "ingress.recipient_refused",
                ip=self._ip,
                helo=self._receiver.helo,
                reverse_path=str(event.reverse_path or ""),
                forward_path=str(event.forward_path),
                answer=str(refusal),
            )
        return refusal

    async def _accept(self, event: MailReceived) -> Reply:
        delivery = Delivery(
            event.envelope, event.raw, self._client(), self._server.clock.now(), event.transcript
        )
        try:
            return await self._server.handler.accept(delivery)
        except RejoinderError as error:
            reverse_path = str(event.envelope.reverse_path or "")
            _log.error(
                "ingress.accept_failed",
                ip=self._ip,
                reverse_path=reverse_path,
                code=error.code,
                error=error.text,
            )
        except Exception:  # noqa: BLE001 - whatever it is, the client tries again
            _log.exception(
                "ingress.accept_failed", ip=self._ip, reverse_path=str(event.envelope.reverse_path or "")
            )
        return _FAILED

    async def _refuse(self, event: ContentRefused) -> Reply:
        try:
            await self._server.handler.refused(event, self._client())
        except Exception:  # noqa: BLE001 - it is refused all the same
            _log.exception("ingress.refusal_failed", ip=self._ip, answer=str(event.reply))
        return event.reply

    def _client(self) -> Client:
        return Client(self._ip, self._port, self._receiver.helo, self._receiver.esmtp)

    def _has_room(self, event: ContentOffered) -> bool:
        return self._server.held + (event.envelope.size or 0) < self._server.settings.max_held

    def _hold_within_limit(self) -> None:
        if self._server.held > self._server.settings.max_held:
            self._receiver.refuse_content(_FULL)
            self._count_held()

    def _count_held(self) -> None:
        held = self._receiver.held
        self._server.held += held - self._held
        self._held = held

    # --- deadlines ---

    def _note_progress(self) -> None:
        """Only a whole command, or content, is progress: drops of a command are none."""
        if self._receiver.is_undecided:
            return
        if self._receiver.commands != self._commands or self._receiver.state is State.CONTENT:
            self._commands = self._receiver.commands
            self._extend()

    def _extend(self) -> None:
        settings, now, state = self._server.settings, self._server.clock.now(), self._receiver.state
        if state in {State.MAIL, State.RCPT, State.CONTENT}:
            self._message_deadline = min(self._message_deadline, after(now, settings.message_timeout))
        else:
            self._message_deadline = NEVER
        timeout = settings.block_timeout if state is State.CONTENT else settings.command_timeout
        self.deadline = min(after(now, timeout), self._message_deadline)

    # --- the transport ---

    def _flush(self) -> None:
        data = self._receiver.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _read_or_wait(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._is_blocked or self._receiver.is_undecided:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _close(self, event: SessionEnded) -> None:
        self._is_closing = True
        self._count_held()
        self.deadline = after(self._server.clock.now(), _LINGER)
        if self._transport is None or self._transport.is_closing():
            return
        if event.reason == "closed" and not self._server.is_draining:
            # What the peer has sent meanwhile would make TCP reset the connection at once, and our last
            # reply could be lost with it: say that no more comes, and wait for the peer to close.
            self._transport.write_eof()
            self._transport.resume_reading()
        else:
            self._transport.close()
