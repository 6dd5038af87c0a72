# SPDX-License-Identifier: Apache-2.0
"""The server side of SMTP, sans-IO: octets in; octets and events that need a decision out.

Theory
------
A session is a walk through six states. ``TRANSITIONS`` is the whole of it: a row for each state, and in
the row the commands that may come and where each one leads **when it is answered positively**. Four rules
read the table, and there are no others:

1. A command that is not in the row is out of order: 503, and nothing changes.
2. A refused command leaves the state as it was. Only the end of content always moves on, because the mail
   transaction ends whatever the answer (RFC 5321 §4.1.1.4).
3. Whoever comes to READY has no mail transaction: reverse-path, forward-paths and content are forgotten.
4. An answer of 421 closes the session from every state (§3.8).

Three commands are not answered here but by the caller: RCPT, DATA and the end of content. Each gives an
event and then the machine stands still, with pipelined input waiting, until ``answer``. So the caller may
take its time, and the order of replies is the order of commands whatever the client sent ahead (RFC 2920).
What the machine itself refuses of a mail is an event like these, so that the caller can note it before more
comes; only its answer is settled.

An extension is a row entry, a case in ``_call`` and a keyword in the answer to EHLO: STARTTLS leads
from READY to NEW, AUTH from READY to READY, BDAT from RCPT to RCPT or READY.

The surprise: ``RSET`` in NEW leads to NEW. It is allowed before EHLO and does not introduce anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from rejoinder.errors import AddressError, SmtpError
from rejoinder.message.address import Mailbox
from rejoinder.smtp.data import TOO_BIG, ContentReader
from rejoinder.smtp.envelope import Envelope
from rejoinder.smtp.event import (
    ContentOffered,
    ContentRefused,
    Event,
    Limits,
    MailReceived,
    Reason,
    RecipientOffered,
    SessionEnded,
)
from rejoinder.smtp.grammar import MailArguments, read_command, read_helo, read_mail, read_rcpt
from rejoinder.smtp.reply import Reply
from rejoinder.smtp.transcript import Transcript


class State(Enum):
    """Where a session is."""

    NEW = auto()
    """Greeted; the client has not introduced itself."""
    READY = auto()
    """Introduced; no mail transaction."""
    MAIL = auto()
    """A mail transaction with a reverse-path and no forward-path yet."""
    RCPT = auto()
    """A mail transaction with at least one forward-path."""
    CONTENT = auto()
    """Octets are content until CRLF.CRLF."""
    CLOSED = auto()
    """The last reply is given, or the client has gone."""


END: Final = "end of content"
"""The end of content as if it were a command; the blanks make it one that no client can say."""

_RESTART: Final = {"HELO": State.READY, "EHLO": State.READY}

TRANSITIONS: Final[Mapping[State, Mapping[str, State]]] = {
    State.NEW: _RESTART | {"RSET": State.NEW, "NOOP": State.NEW, "VRFY": State.NEW, "QUIT": State.CLOSED},
    State.READY: _RESTART
    | {"MAIL": State.MAIL}
    | {"RSET": State.READY, "NOOP": State.READY, "VRFY": State.READY, "QUIT": State.CLOSED},
    State.MAIL: _RESTART
    | {"RCPT": State.RCPT}
    | {"RSET": State.READY, "NOOP": State.MAIL, "VRFY": State.MAIL, "QUIT": State.CLOSED},
    State.RCPT: _RESTART
    | {"RCPT": State.RCPT, "DATA": State.CONTENT}
    | {"RSET": State.READY, "NOOP": State.RCPT, "VRFY": State.RCPT, "QUIT": State.CLOSED},
    State.CONTENT: {END: State.READY},
    State.CLOSED: {},
}

_COMMANDS: Final = frozenset(verb for row in TRANSITIONS.values() for verb in row) - {END}

_AGREED: Final[Mapping[str, Reply]] = {
    "RCPT": Reply(250, "2.1.5", ("recipient taken",)),
    "DATA": Reply(354, None, ("send the content, end it with <CRLF>.<CRLF>",)),
    END: Reply(250, "2.0.0", ("message taken",)),
}
"""What ``answer(None)`` says."""

_OK: Final = Reply(250, "2.0.0", ("done",))
_BYE: Final = Reply(221, "2.0.0", ("goodbye",))
_SENDER_OK: Final = Reply(250, "2.1.0", ("sender taken",))
_CANNOT_VERIFY: Final = Reply(252, "2.5.2", ("cannot verify here; send mail and see",))  # RFC 5321 §3.5.3
_UNREADABLE: Final = Reply(500, "5.5.2", ("a command has only printable US-ASCII and ends in CRLF",))
_TOO_LONG: Final = Reply(500, "5.5.2", ("the command is too long",))
_UNKNOWN: Final = Reply(500, "5.5.2", ("the command is unknown",))
_NOT_HERE: Final = Reply(502, "5.5.1", ("the command is not implemented",))
_OUT_OF_ORDER: Final = Reply(503, "5.5.1", ("the command is out of order",))
_NO_ARGUMENT: Final = Reply(501, "5.5.4", ("the command takes no argument",))
_ARGUMENT: Final = Reply(501, "5.5.4", ("the command needs an argument",))
_TOO_MANY_RECIPIENTS: Final = Reply(452, "4.5.3", ("too many recipients; send them in another transaction",))
_TOO_MANY_COMMANDS: Final = Reply(421, "4.7.0", ("too many commands; closing",))
_TOO_MANY_ERRORS: Final = Reply(421, "4.7.0", ("too many errors; closing",))
_NOT_SMTP: Final = Reply(421, "4.7.0", ("this is an SMTP server; closing",))
_NO_MAILBOX: Final = ("the path has no valid mailbox",)
_NOT_AS_DEFINED: Final = ("the argument is not as RFC 5321 defines it",)
_ERRORS: Final = frozenset({500, 501, 502, 555})
"""What no client says. 503 is none: a client that sends ahead gets it for what follows a refused command."""
DRAINING: Final = Reply(421, "4.3.2", ("the server is going down; try again soon",))

_STANDARD: Final = frozenset(
    {"EXPN", "HELP", "TURN", "SEND", "SOML", "SAML", "ETRN", "ATRN", "AUTH", "STARTTLS", "BDAT", "BURL"}
)
"""Commands that exist elsewhere: 502, not 500 (RFC 5321 §4.2.4)."""

_FOREIGN: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"})
"""A browser was made to talk to us; what follows is somebody's text, not commands."""


class Receiver:
    """One session, from the greeting to its end.

    The caller's loop: ``receive_data``, then ``next_event`` until it gives None, deciding each event with
    ``answer``; then send what ``data_to_send`` gives. The greeting is to be sent from the start.
    """

    def __init__(self, hostname: str, limits: Limits) -> None:
        self._hostname = hostname
        self._limits = limits
        self._state = State.NEW
        self._input = bytearray()
        self._output = bytearray()
        self._transcript = Transcript()
        self._at_eof = False
        self._draining = False
        self._is_reported = False
        self._reason: Reason = "closed"
        self._is_too_long = False
        self._undecided: str | None = None
        self._refusal: Reply | None = None
        self._offered: Mailbox | None = None
        self._mail: MailArguments | None = None
        self._forward_paths: list[Mailbox] = []
        self._content: ContentReader | None = None
        self._raw_octets = 0
        self._bad_commands = 0
        self._recent_commands = 0
        self.transactions = 0
        """How many mail transactions were begun."""
        self.commands = 0
        """How many commands were read: it grows when the client gets on, and only then."""
        self.helo: str | None = None
        """What the client called itself in HELO or EHLO."""
        self.esmtp = False
        """Whether that was EHLO."""
        self._say(Reply(220, None, (f"{hostname} ESMTP",)))

    @property
    def state(self) -> State:
        """Where the session is."""
        return self._state

    @property
    def is_undecided(self) -> bool:
        """Whether an event waits for ``answer``."""
        return self._undecided is not None

    @property
    def held(self) -> int:
        """Octets of content in memory, being received or decided."""
        return self._raw_octets + (self._content.held if self._content else 0)

    @property
    def transcript(self) -> tuple[str, ...]:
        """The session's opening and its last mail transaction."""
        return self._transcript.lines

    def receive_data(self, data: bytes) -> None:
        """Take octets from the client; after this call, call ``next_event`` until it gives None."""
        self._input += data

    def receive_eof(self) -> None:
        """The client sends no more; after this call, call ``next_event`` until it gives None.

        What it sent before is still obeyed; content that has not ended is no mail.
        """
        self._at_eof = True

    def data_to_send(self) -> bytes:
        """Octets for the client; send them all, in order."""
        data = bytes(self._output)
        self._output.clear()
        return data

    def next_event(self) -> Event | None:
        """Read on to the next event; None if more octets or a decision are needed, or all is over.

        After this call, decide the event with ``answer`` and call again; ``SessionEnded`` needs no answer.
        """
        while self._undecided is None and self._state is not State.CLOSED:
            step = self._finish() if self._state is State.CONTENT else self._obey()
            if step is None:
                if not self._at_eof:
                    return None
                self._end("lost")
                break
            verb, answer = step
            if not isinstance(answer, Reply):
                self._undecided = verb
                self._refusal = answer.reply if isinstance(answer, ContentRefused) else None
                return answer
            self._conclude(verb, answer)
        if self._state is not State.CLOSED or self._is_reported:
            return None
        self._is_reported = True
        return SessionEnded(self._reason)

    def answer(self, reply: Reply | None) -> None:
        """Decide the last event; None agrees. After this call, call ``next_event`` again.

        Without effect once the session is closed, so that a decision may come late.
        """
        verb, self._undecided = self._undecided, None
        settled, self._refusal = self._refusal, None
        self._raw_octets = 0
        if verb is None or self._state is State.CLOSED:
            return
        reply = settled or reply or _AGREED[verb]
        if reply.is_positive and verb == "RCPT" and self._offered is not None:
            self._forward_paths.append(self._offered)
        if reply.is_positive and verb == "DATA":
            self._content = ContentReader(self._limits.max_size, self._limits.max_line)
        self._conclude(verb, reply)

    def refuse_content(self, reply: Reply) -> None:
        """Keep no more of the content that is coming, and refuse it at its end with this reply."""
        if self._content is not None:
            self._content.discard(reply)

    def drain(self) -> None:
        """End with 421 4.3.2 at the next safe point: now, or when a mail under way has its answer.

        After this call, call ``next_event`` and send what ``data_to_send`` gives.
        """
        self._draining = True
        self._drain_at_rest()

    def close(self, reply: Reply) -> None:
        """End now with this reply, whatever goes on; after this call, as after ``drain``."""
        if self._state is not State.CLOSED:
            self._say(reply)
            self._end("closed")

    def abandon(self) -> None:
        """The connection is gone: obey nothing more. A decision under way may still be answered."""
        self._end("lost")

    # --- reading: a step is a command and its answer, or the event that asks for one ---

    def _obey(self) -> tuple[str, Reply | Event] | None:
        line = self._take_line()
        if line is None:
            return None
        self.commands += 1
        self._recent_commands += 1
        verb, answer = self._answer(line)
        if isinstance(answer, Reply) and answer.code in _ERRORS:
            self._bad_commands += 1
            if self._bad_commands >= self._limits.max_bad_commands:
                answer = _TOO_MANY_ERRORS
        if self._recent_commands > self._limits.max_commands:
            answer = _TOO_MANY_COMMANDS
        return verb, answer

    def _take_line(self) -> bytes | None:
        limit = self._limits.max_command
        end = self._input.find(b"\r\n")  # only CRLF ends a command (RFC 5321 §2.3.8)
        if end < 0:
            if len(self._input) > limit:
                # A line without an end costs no memory; its last octet may be the CR of its CRLF.
                self._is_too_long = True
                del self._input[:-1]
            return None
        line = b"" if end + 2 > limit else bytes(self._input[:end])
        self._is_too_long = self._is_too_long or end + 2 > limit
        del self._input[: end + 2]
        return line

    def _answer(self, line: bytes) -> tuple[str, Reply | Event]:
        if self._is_too_long:
            self._is_too_long = False
            self._transcript.client(b"(a command that is too long)")
            return "", _TOO_LONG
        try:
            command = read_command(line)
        except SmtpError:
            self._transcript.client(line)
            return "", _UNREADABLE
        if command.verb == "MAIL":
            self._transcript.begin()
        self._transcript.client(line)
        return command.verb, self._judge(command.verb, command.argument)

    def _judge(self, verb: str, argument: str) -> Reply | Event:
        if verb not in _COMMANDS:
            if verb in _FOREIGN:
                return _NOT_SMTP
            return _NOT_HERE if verb in _STANDARD else _UNKNOWN
        if verb not in TRANSITIONS[self._state]:
            return _OUT_OF_ORDER
        try:
            return self._call(verb, argument)
        except AddressError as error:
            # RFC 3463 §3.2
            return Reply(error.smtp_reply[0], "5.1.7" if verb == "MAIL" else "5.1.3", _NO_MAILBOX)
        except SmtpError as error:
            return Reply(*error.smtp_reply, _NOT_AS_DEFINED)

    def _finish(self) -> tuple[str, Reply | Event] | None:
        assert self._content is not None
        rest = self._content.receive_data(bytes(self._input))
        self._input = bytearray(rest or b"")
        if rest is None:
            return None
        self.commands += 1
        self._recent_commands = 0
        octets = self._content.octets
        self._transcript.content(octets)
        result, self._content = self._content.result(), None
        if isinstance(result, Reply):
            return END, ContentRefused(self._envelope(), result, octets, self._transcript.lines)
        self._raw_octets = len(result)
        return END, MailReceived(self._envelope(), result, self._transcript.lines)

    # --- answering ---

    def _say(self, reply: Reply) -> None:
        lines = reply.to_lines()
        self._transcript.server(lines)
        for line in lines:
            self._output += line.encode("ascii") + b"\r\n"

    def _conclude(self, verb: str, reply: Reply) -> None:
        self._say(reply)
        if reply.code == 421:
            self._end("closed")
        elif reply.is_positive or verb == END:
            self._enter(TRANSITIONS[self._state][verb])
        self._drain_at_rest()

    def _enter(self, state: State) -> None:
        if state is State.CLOSED:
            self._end("quit")
            return
        self._state = state
        if state is State.READY:
            self._mail = None
            self._forward_paths = []

    def _end(self, reason: Reason) -> None:
        self._state = State.CLOSED
        self._reason = reason
        self._content = None
        self._input.clear()

    def _drain_at_rest(self) -> None:
        if self._draining and self._undecided is None and self._state is not State.CONTENT:
            self.close(DRAINING)

    def _envelope(self) -> Envelope:
        assert self._mail is not None
        return Envelope(self._mail.reverse_path, tuple(self._forward_paths), self._mail.size, self._mail.body)

    # --- the commands ---

    def _call(self, verb: str, argument: str) -> Reply | Event:
        match verb:
            case "EHLO" | "HELO":
                return self._hello(verb, argument)
            case "MAIL":
                return self._offer_sender(argument)
            case "RCPT":
                return self._offer_recipient(argument)
            case "VRFY":
                return _CANNOT_VERIFY if argument else _ARGUMENT
            case "NOOP":
                return _OK
        if argument:
            return _NO_ARGUMENT
        if verb == "DATA":
            return ContentOffered(self._envelope())
        return _BYE if verb == "QUIT" else _OK

    def _hello(self, verb: str, argument: str) -> Reply:
        self.helo, self.esmtp = read_helo(argument), verb == "EHLO"
        if not self.esmtp:
            return Reply(250, None, (self._hostname,))
        extensions = ("PIPELINING", f"SIZE {self._limits.max_size}", "8BITMIME", "ENHANCEDSTATUSCODES")
        return Reply(250, None, (self._hostname, *extensions))

    def _offer_sender(self, argument: str) -> Reply | Event:
        mail = read_mail(argument)
        if mail.size is not None and mail.size > self._limits.max_size:  # RFC 1870 §6.1
            envelope = Envelope(mail.reverse_path, (), mail.size, mail.body)
            return ContentRefused(envelope, TOO_BIG, 0, self._transcript.lines)
        self._mail = mail
        self.transactions += 1
        return _SENDER_OK

    def _offer_recipient(self, argument: str) -> Reply | Event:
        assert self._mail is not None
        forward_path = read_rcpt(argument)
        if forward_path in self._forward_paths:
            return _AGREED["RCPT"]  # said twice, delivered once
        if len(self._forward_paths) >= self._limits.max_recipients:
            return _TOO_MANY_RECIPIENTS  # RFC 5321 §4.5.3.1.10
        self._offered = forward_path
        return RecipientOffered(forward_path, self._mail.reverse_path)
