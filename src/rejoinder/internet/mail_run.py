# SPDX-License-Identifier: Apache-2.0
"""Other people's mail through the whole server: one outcome for each file, and the four counts.

Files go one after the other, so that the mail stored last is the one just sent. The surprise: a duplicate
is found by the server, not here; here is only remembered which file had its event key first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rejoinder.errors import WorkerError
from rejoinder.internet.blunt import send_as_it_is
from rejoinder.internet.desk import Desk
from rejoinder.internet.mail_file import MailFile, read
from rejoinder.internet.town import CUSTOMER_HOST, SUPPORT
from rejoinder.message.event_key import EventKeys
from rejoinder.message.headers import split
from rejoinder.store.records import DeliveryStatus, Email, EmailStatus


class Fate(StrEnum):
    """What became of a file."""

    ANSWERED = "stored and answered"
    NOT_ANSWERED = "stored and not answered"
    REFUSED = "refused"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One file: ``detail`` is the code, the SMTP reply or the earlier file."""

    path: Path
    file: MailFile
    fate: Fate
    detail: str
    faults: tuple[str, ...] = ()


class MailRun:
    """Sends files and tells what became of them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._first: dict[str, Path] = {}
        self._answered: list[Email] = []
        self.counts: Counter[Fate] = Counter()
        self.mbox_lines = 0
        self.line_ends = 0
        self.unreadable: list[str] = []

    async def run(self, paths: Sequence[Path]) -> AsyncIterator[Outcome]:
        """One outcome for each file that can be read."""
        for path in paths:
            try:
                file = read(path.read_bytes())
            except OSError as error:
                self.unreadable.append(f"{path}: {error.strerror}")
                continue
            outcome = await self._send(path, file)
            self.counts[outcome.fate] += 1
            self.mbox_lines += file.mbox_line_removed
            self.line_ends += file.line_ends_made
            yield outcome

    async def undelivered(self) -> list[str]:
        """Answers that did not reach the next hop, a sentence each; waits for what is under way."""
        faults = []
        for email in self._answered:
            answer = await self._desk.answer(email)
            if answer is None or answer.delivery.status is not DeliveryStatus.DELIVERED:
                status = "not delivered" if answer is None else answer.delivery.status
                faults.append(f"the answer to {email.id} ({email.reverse_path}) is {status}")
        return faults

    async def _send(self, path: Path, file: MailFile) -> Outcome:
        _, before = await self._desk.newest()
        reply = await send_as_it_is(
            self._desk.smtp, CUSTOMER_HOST, file.raw, reverse_path=file.reverse_path, to=SUPPORT
        )
        if reply is None:
            return Outcome(path, file, Fate.REFUSED, "no answer", ("the server hung up",))
        if not reply.is_positive:
            return Outcome(path, file, Fate.REFUSED, str(reply))
        newest, total = await self._desk.newest()
        if newest is None or total == before:
            return self._duplicate(path, file)
        self._first[newest.event_key] = path
        return await self._stored(path, file, newest)

    def _duplicate(self, path: Path, file: MailFile) -> Outcome:
        headers, body = split(file.raw)
        key = EventKeys(file.reverse_path, headers, file.raw[body:]).of(SUPPORT)
        first = self._first.get(key or "")
        faults = () if first is not None else ("it got 250 and was not stored",)
        return Outcome(path, file, Fate.DUPLICATE, str(first), faults)

    async def _stored(self, path: Path, file: MailFile, email: Email) -> Outcome:
        run = await self._desk.ended(email)
        if run is None or email.status is EmailStatus.FAILED or run.error is not None:
            why = "its run does not end" if run is None else _last(run.error)
            return Outcome(path, file, Fate.NOT_ANSWERED, WorkerError.code, (f"the worker failed: {why}",))
        if await self._desk.is_answered(email):
            self._answered.append(email)
            return Outcome(path, file, Fate.ANSWERED, "")
        codes = await self._desk.refusals(email)
        return Outcome(path, file, Fate.NOT_ANSWERED, codes[0] if codes else "the worker did not reply")


def _last(text: str | None) -> str:
    return ["", *(text or "").strip().splitlines()][-1]
