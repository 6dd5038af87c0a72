# SPDX-License-Identifier: Apache-2.0
"""The demonstration on paper: an outline whose depth is the depth of the conversation.

On a terminal lines are wrapped below where they begin, and coloured; elsewhere a line is a line, so that it
can be searched. What strangers wrote is shown with its control characters replaced.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from rejoinder.clock import SECOND
from rejoinder.ingress.session import Delivery
from rejoinder.internet.by_hand import KEY, ByHand
from rejoinder.internet.caller import HttpAnswer
from rejoinder.internet.conversation import Exchange, Letter, Unanswered
from rejoinder.mailauth.verdict import Verdict
from rejoinder.message.headers import Headers, split
from rejoinder.message.parse import parse
from rejoinder.store.records import Email, Event, EventKind

Part = str | tuple[str, str]
"""Text, or text and its style."""

_FIELDS: Final = ("From", "To", "Subject", "Message-ID", "In-Reply-To", "References", "Auto-Submitted")
_TOLD: Final = {
    EventKind.RECEIVED: ("spf", "dkim", "dmarc", "size", "answer"),
    EventKind.ROUTED: ("match", "worker"),
    EventKind.RUN_FINISHED: ("ending", "attempt", "log", "refused"),
    EventKind.REPLIED: ("forward_paths", "message_id", "size"),
    EventKind.ATTEMPTED: ("next_hop", "attempt"),
    EventKind.DELIVERED: ("forward_path", "reply"),
}
_STEP: Final = 2


class Show:
    """Prints the parts of the demonstration."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def line(self, depth: int, *parts: Part) -> None:
        """One line at this depth."""
        text = Text()
        for part in parts:
            words, style = (part, "") if isinstance(part, str) else part
            text.append(self._shown(words), style)
        if self._console.is_terminal:
            below = Padding(text, (0, 0, 0, depth * _STEP), expand=False)
            self._console.print(below, highlight=False)
        else:
            text.pad_left(depth * _STEP)
            self._console.print(text, highlight=False, soft_wrap=True)

    def command(self, text: str) -> None:
        """A line to be copied, so never broken."""
        self._console.print(Text(text, "green"), highlight=False, soft_wrap=True)

    def title(self, text: str) -> None:
        """The head of a part, after an empty line."""
        self._console.print()
        self.line(0, (text, "bold"))

    def faults(self, depth: int, faults: Iterable[str]) -> None:
        """What was not as it must be."""
        for fault in faults:
            self.line(depth, ("NOT AS IT MUST BE: ", "bold red"), fault)

    def exchange(self, depth: int, exchange: Exchange) -> None:
        """A letter, and below it its answer."""
        self._letter(depth, "Alice writes", exchange.letter)
        if exchange.answer is not None and exchange.verdict is not None:
            self.answer(depth + 1, exchange.answer, exchange.verdict)
        self.faults(depth + 1, exchange.faults)

    def answer(
        self, depth: int, answer: Delivery, verdict: Verdict, title: str = "The worker answers"
    ) -> None:
        """An answer as it arrived."""
        headers = split(answer.raw)[0]
        self.line(depth, (title, "bold green"))
        self.line(depth + 1, ("MAIL FROM: ", "dim"), f"<{answer.envelope.reverse_path or ''}>")
        self._fields(depth + 1, headers)
        for each in verdict.dkim:
            signed = f"a={each.algorithm}; d={each.domain}; s={each.selector}; ..."
            self.line(depth + 1, ("DKIM-Signature: ", "dim"), signed)
        self._text(depth + 1, answer.raw)
        self._verdict(depth + 1, verdict)

    def by_hand(self, depth: int, told: ByHand) -> None:
        """A letter, the requests that answer it, and below them what arrived and what the API tells of it."""
        self._letter(depth, "Alice writes", told.letter)
        for reply in told.replies:
            self.line(depth + 1, ("POST ", "cyan"), told.path, ("  Idempotency-Key: ", "dim"), KEY)
            self._http_answer(depth + 2, reply, ("id", "messageId", "error"))
        if told.answer is not None and told.verdict is not None:
            self.answer(depth + 1, told.answer, told.verdict, "Alice gets one mail")
        if told.read is not None:
            self.line(depth + 1, ("GET ", "cyan"), f"/api/v2/emails/{told.read.body.get('id')}")
            self._http_answer(depth + 2, told.read, ("message_id", "last_event", "error"))
        self.faults(depth + 1, told.faults)

    def unanswered(self, depth: int, case: Unanswered) -> None:
        """A mail that was not answered, and why."""
        self._letter(depth, case.title, case.letter)
        self.line(depth + 1, "not answered: ", (", ".join(case.codes) or "-", "yellow"))
        self.faults(depth + 1, case.faults)

    def trace(self, email: Email, events: Sequence[Event]) -> None:
        """The steps of one mail, with their times since it was received."""
        received = datetime.fromtimestamp(email.received_at / SECOND, UTC)
        self.line(1, f"{email.id}, received {received.isoformat(timespec='milliseconds')}")
        for event in events:
            milliseconds = (event.at - email.received_at) * 1000 / SECOND
            self.line(1, (f"{milliseconds:+8.1f} ms  {event.kind:<13} ", "cyan"), _told(event))

    def _letter(self, depth: int, title: str, letter: Letter) -> None:
        self.line(depth, (title, "bold"))
        self.line(depth + 1, ("MAIL FROM: ", "dim"), f"<{letter.reverse_path}>")
        self._fields(depth + 1, letter.headers)
        self._text(depth + 1, letter.raw)
        if letter.verdict is not None:
            self._verdict(depth + 1, letter.verdict)
        self.line(depth + 1, ("the server says: ", "dim"), str(letter.smtp_reply or "nothing"))

    def _fields(self, depth: int, headers: Headers) -> None:
        for name in _FIELDS:
            for field in headers.fields(name):
                self.line(depth, (f"{name}: ", "dim"), field.decoded)

    def _text(self, depth: int, raw: bytes) -> None:
        message = parse(raw)
        for written in (message.text or "").strip().splitlines():
            self.line(depth, (f"| {written}".rstrip(), "italic"))
        others = [f"{each.filename} ({each.content_type}, {each.size} bytes)" for each in message.attachments]
        if message.html is not None:
            others.insert(0, f"HTML ({len(message.html)} characters)")
        if others:
            self.line(depth, ("with ", "dim"), ", ".join(others))

    def _http_answer(self, depth: int, answer: HttpAnswer | None, names: Iterable[str]) -> None:
        if answer is None:
            self.line(depth, "no answer")
            return
        told = [f"{name} {answer.body[name]}" for name in names if name in answer.body]
        is_replayed = answer.headers.get("idempotency-replayed") == "true"
        replayed = ["Idempotency-Replayed: true"] if is_replayed else []
        self.line(depth, ", ".join([str(answer.status), *replayed, *told]))

    def _verdict(self, depth: int, verdict: Verdict) -> None:
        dkim = ", ".join(f"{each.result} for {each.domain}" for each in verdict.dkim) or "none"
        dmarc = f"{verdict.dmarc.result} for {verdict.dmarc.domain}"
        policy = f" (p={verdict.dmarc.policy})" if verdict.dmarc.policy else ""
        spf = f"{verdict.spf.result} for {verdict.spf.domain}"
        self.line(depth, f"verified: SPF {spf}; DKIM {dkim}; DMARC {dmarc}{policy}")

    def _shown(self, text: str) -> str:
        visible = "".join(each if each.isprintable() else "\N{MIDDLE DOT}" for each in text)
        encoding = self._console.encoding
        return visible.encode(encoding, "replace").decode(encoding)


def _told(event: Event) -> str:
    """The evidence in short."""
    found = json.loads(event.evidence)
    return ", ".join(f"{name} {_value(found[name])}" for name in _TOLD.get(event.kind, ()) if found.get(name))


def _value(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(_value, value))
    return str(value).strip()
