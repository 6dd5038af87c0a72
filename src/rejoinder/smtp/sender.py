# SPDX-License-Identifier: Apache-2.0
"""The client side of SMTP, sans-IO: mail transactions in; octets and each recipient's answer out.

Theory
------
A client is a queue of questions. Everything it says is a question, and a reply answers the oldest one
(RFC 5321 §4.1.1.10 gives each command exactly one reply), so one queue holds the whole state, pipelined
or not. What a reply does depends on the question alone:

=========  ==========================================  ==============================================
question   agreed (2yz; 3yz for DATA)                  refused (4yz, 5yz)
=========  ==========================================  ==============================================
greeting   ask EHLO                                    the session is refused
hello      ready; the extensions are known             5yz to EHLO: ask HELO; else the session is refused
reset      –                                           hang up: nobody knows what the server still holds
mail       –                                           the answer for every recipient
rcpt       –                                           the answer for this recipient
data       send the content; a lone dot, if every      the answer for every recipient not yet refused
           recipient was refused (RFC 2920 §3.1)
content    the answer for every recipient not refused  the same
quit       closed                                      closed
=========  ==========================================  ==============================================

421 answers whatever is still open and closes (§3.8). A reply of another class is no answer: hang up, so
that a 250 in the wrong place is never taken for a delivery.

An extension is a keyword looked up in ``_extensions``; STARTTLS and AUTH are questions between hello and
ready. The surprise: what cannot be sent to this server as it is (eight-bit content without 8BITMIME, a
size above its SIZE, an address beyond US-ASCII) is answered here, with an SMTP reply of our own words and
the stage ``unsent``; nothing is ever rewritten, since that would break its signature.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

from rejoinder.errors import AddressError, SmtpError
from rejoinder.message.address import Mailbox
from rejoinder.smtp.data import to_wire
from rejoinder.smtp.envelope import Envelope
from rejoinder.smtp.grammar import write_path
from rejoinder.smtp.reply import Reply, ReplyReader
from rejoinder.smtp.transcript import Transcript

Stage = Literal["connect", "greeting", "hello", "reset", "mail", "rcpt", "data", "content", "quit", "unsent"]
"""The question that was answered last, or never; ``connect`` is the shell's, ``unsent`` our own refusal."""

BLOCK: Final = 256 << 10
"""Octets of content handed out at once, so that a time limit can be kept on each."""

_NEEDS_8BITMIME: Final = Reply(554, "5.6.3", ("the next hop takes no eight-bit content, and this one is",))
_NEEDS_SMTPUTF8: Final = Reply(553, "5.6.7", ("the next hop takes no address beyond US-ASCII",))
_TOO_BIG: Final = Reply(552, "5.3.4", ("the message is larger than the next hop takes",))


@dataclass(frozen=True, slots=True)
class RecipientOutcome:
    """One recipient's answer, None if none came, and the stage at which it came or was missing."""

    forward_path: Mailbox
    reply: Reply | None
    stage: Stage


@dataclass(frozen=True, slots=True)
class _Question:
    stage: Stage
    line: str
    recipient: int = -1


class Sender:
    """One session: ``send`` any number of mail transactions, one after the other.

    The caller's loop: send what ``data_to_send`` gives until it gives nothing, receive, and so on until
    ``waiting_for`` is None. Then the session is ready for ``send``, or ``is_closed``.
    """

    def __init__(self, ehlo_name: str) -> None:
        self._ehlo_name = ehlo_name
        self._reader = ReplyReader()
        self._transcript = Transcript()
        self._output = bytearray()
        self._awaited: deque[_Question] = deque([_Question("greeting", "")])
        self._later: deque[_Question] = deque()
        self._extensions: dict[str, str] = {}
        self._needs_reset = False
        self._is_closed = False
        self._refusal: tuple[Reply, Stage] | None = None
        self._envelope: Envelope | None = None
        self._answers: list[tuple[Reply, Stage] | None] = []
        self._octets = 0
        self._wire = memoryview(b"")
        self._is_dot_sent = False
        self._last_stage: Stage = "greeting"
        self._replies = 0

    @property
    def waiting_for(self) -> Stage | None:
        """The question whose answer is awaited; None at rest."""
        return self._awaited[0].stage if self._awaited else None

    @property
    def is_closed(self) -> bool:
        """Whether no more can be sent: hang up."""
        return self._is_closed

    @property
    def refusal(self) -> tuple[Reply, Stage] | None:
        """The reply to the greeting or to EHLO that refused the session."""
        return self._refusal

    @property
    def outcomes(self) -> tuple[RecipientOutcome, ...]:
        """The answers to the last transaction, in the order of its forward-paths."""
        paths = self._envelope.forward_paths if self._envelope else ()
        nothing = (None, self._last_stage)
        return tuple(
            RecipientOutcome(path, *(answer or nothing))
            for path, answer in zip(paths, self._answers, strict=True)
        )

    @property
    def is_uncertain(self) -> bool:
        """Whether the final dot was handed out and not answered (RFC 1047)."""
        return self._is_dot_sent and None in self._answers

    @property
    def replies(self) -> int:
        """How many replies the last transaction got: none means that the server may not know of it."""
        return self._replies

    @property
    def dialogue(self) -> tuple[str, ...]:
        """The session's opening and its last transaction, as ``C: …`` and ``S: …`` lines."""
        return self._transcript.lines

    def note(self, text: str) -> None:
        """Put a remark of the caller's into the dialogue."""
        self._transcript.note(text)

    def send(self, envelope: Envelope, raw: bytes) -> None:
        """Begin a transaction, only at rest; after this call, send, receive, and read ``outcomes``.

        Raises:
            MessageError: ``raw`` has a bare CR or LF; nothing was begun.
        """
        assert not self._awaited
        assert not self._is_closed
        wire = to_wire(raw)
        self._transcript.begin()
        self._envelope = envelope
        self._answers = [None] * len(envelope.forward_paths)
        self._is_dot_sent = False
        self._replies = 0
        if (refusal := self._unsendable(raw)) is not None:
            self._settle(refusal, "unsent")
            return
        self._wire = memoryview(wire)
        self._octets = len(raw)
        self._plan(envelope, raw)

    def quit(self) -> None:
        """Say goodbye, only at rest; after this call, send and hang up, with or without the answer."""
        if not self._is_closed:
            self._ask(_Question("quit", "QUIT"))

    def data_to_send(self) -> bytes | memoryview:
        """The next octets for the server, a block at most of content; call until it gives none."""
        if self._output:
            data = bytes(self._output)
            self._output.clear()
            return data
        if self.waiting_for != "content" or self._is_dot_sent:
            return b""
        block, self._wire = self._wire[:BLOCK], self._wire[BLOCK:]
        self._is_dot_sent = not self._wire
        return block

    def receive_data(self, data: bytes) -> None:
        """Take octets from the server; after this call, send what ``data_to_send`` gives."""
        self._reader.receive_data(data)
        if self._awaited:
            self._last_stage = self._awaited[0].stage
        try:
            while not self._is_closed and (reply := self._reader.next_reply()) is not None:
                self._take(reply)
        except SmtpError as error:
            self.note(error.text)
            self._close()

    def receive_eof(self) -> None:
        """The connection is gone or given up; after this call, read ``outcomes`` and ``is_uncertain``."""
        if self._awaited:
            self._last_stage = self._awaited[0].stage
        self._close()

    # --- asking ---

    def _unsendable(self, raw: bytes) -> Reply | None:
        assert self._envelope is not None
        if not raw.isascii() and "8BITMIME" not in self._extensions:
            return _NEEDS_8BITMIME  # RFC 6152 §3
        limit = self._extensions.get("SIZE", "")
        if limit.isdecimal() and 0 < int(limit) < len(raw):
            return _TOO_BIG  # RFC 1870 §5
        try:
            write_path(self._envelope.reverse_path)
        except AddressError:
            return _NEEDS_SMTPUTF8
        return None

    def _plan(self, envelope: Envelope, raw: bytes) -> None:
        recipients = self._recipients(envelope)
        if not recipients:
            return
        if self._needs_reset:
            self._later.append(_Question("reset", "RSET"))
        self._later.append(_Question("mail", self._mail_line(envelope, raw)))
        self._later.extend(recipients)
        self._later.append(_Question("data", "DATA"))
        self._needs_reset = True
        self._ask_more()

    def _recipients(self, envelope: Envelope) -> list[_Question]:
        questions = []
        for number, path in enumerate(envelope.forward_paths):
            try:
                questions.append(_Question("rcpt", f"RCPT TO:{write_path(path)}", number))
            except AddressError:
                self._answers[number] = (_NEEDS_SMTPUTF8, "unsent")
        return questions

    def _mail_line(self, envelope: Envelope, raw: bytes) -> str:
        size = f" SIZE={len(raw)}" if "SIZE" in self._extensions else ""
        body = "" if raw.isascii() else " BODY=8BITMIME"
        return f"MAIL FROM:{write_path(envelope.reverse_path)}{size}{body}"

    def _ask_more(self) -> None:
        # RFC 2920 §3.1: one group up to DATA, which is its last; without PIPELINING a group of one.
        while self._later and (not self._awaited or "PIPELINING" in self._extensions):
            question = self._later.popleft()
            if question.stage == "data" and not self._awaited and None not in self._answers:
                return  # every recipient was refused before DATA was said
            self._ask(question)

    def _ask(self, question: _Question) -> None:
        self._awaited.append(question)
        line = question.line.encode("ascii")
        self._transcript.client(line)
        self._output += line + b"\r\n"

    # --- being answered ---

    def _take(self, reply: Reply) -> None:
        self._transcript.server(reply.to_lines())
        if not self._awaited:
            # Said without being asked, as 421 is when a server tires of an idle client.
            self._close()
            return
        question = self._awaited.popleft()
        self._last_stage = question.stage
        self._replies += 1
        expected = 3 if question.stage == "data" else 2
        if reply.code // 100 not in {expected, 4, 5}:
            raise SmtpError(f"{reply.code} is no answer to {question.line[:80]!r} (RFC 5321 §4.3.2)")
        self._apply(question, reply)
        if reply.code == 421:
            self._settle(reply, question.stage)
            self._close()
        self._ask_more()

    def _apply(self, question: _Question, reply: Reply) -> None:
        match question.stage:
            case "greeting" | "hello":
                self._open(question, reply)
            case "reset" if not reply.is_positive:
                self._close()
            case "mail" if not reply.is_positive:
                self._settle(reply, "mail")
                self._later.clear()
            case "rcpt" if not reply.is_positive and self._answers[question.recipient] is None:
                self._answers[question.recipient] = (reply, "rcpt")
            case "data":
                self._go_on(reply)
            case "content":
                self._conclude(reply)
            case "quit":
                self._close()

    def _open(self, question: _Question, reply: Reply) -> None:
        if question.stage == "greeting" and reply.is_positive:
            self._ask(_Question("hello", f"EHLO {self._ehlo_name}"))
        elif question.line.startswith("EHLO") and reply.is_permanent:
            self._ask(_Question("hello", f"HELO {self._ehlo_name}"))  # RFC 5321 §3.2
        elif not reply.is_positive:
            self._refusal = (reply, question.stage)
            self._close()
        elif question.line.startswith("EHLO"):
            words = (line.upper().partition(" ") for line in reply.lines[1:])
            self._extensions = {keyword: parameters for keyword, _, parameters in words}

    def _go_on(self, reply: Reply) -> None:
        if not reply.is_positive:
            self._settle(reply, "data")
            return
        if None not in self._answers:
            self._wire = memoryview(b".\r\n")  # RFC 2920 §3.1
        else:
            self._transcript.content(self._octets)
        self._awaited.append(_Question("content", "the content"))

    def _conclude(self, reply: Reply) -> None:
        if not self._is_dot_sent:
            # Refused half-way: the rest would be read as commands.
            if reply.is_positive:
                raise SmtpError("the server took a message whose end it has not seen")
            self._close()
        self._settle(reply, "content")
        self._needs_reset = False

    def _settle(self, reply: Reply, stage: Stage) -> None:
        self._answers = [answer or (reply, stage) for answer in self._answers]

    def _close(self) -> None:
        self._is_closed = True
        self._awaited.clear()
        self._later.clear()
        self._output.clear()
