# SPDX-License-Identifier: Apache-2.0
"""What the crash test holds against each other: senders, the store and the next hop.

The three never speak of each other here; ``Ledger.findings`` says in sentences where they disagree, and
is empty when every promise was kept. The store is read from its file, by nobody's code but this.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Kept:
    """A received mail in the store."""

    message_id: str
    sha256: str
    status: str


@dataclass(frozen=True)
class Dispatched:
    """An answer in the store: its Message-ID, the mail that it answers, and what its deliveries say."""

    message_id: str
    answers: str
    status: str
    uncertain: bool
    repeats_said: int
    """``attempted`` events that say they may repeat an attempt."""


@dataclass(frozen=True)
class Answer:
    """A mail that arrived at the next hop."""

    message_id: str
    in_reply_to: str
    signed: bool


@dataclass
class Ledger:
    """What every side knows."""

    offered: dict[str, str] = field(default_factory=dict)
    """Message-ID to SHA-256 of everything that was ever offered to the server."""
    acknowledged: set[str] = field(default_factory=set)
    """Those of them that got 250."""
    refused: dict[str, str] = field(default_factory=dict)
    """Those that were refused for good, with the SMTP reply."""
    answers: list[Answer] = field(default_factory=list)
    kept: Sequence[Kept] = ()
    dispatched: Sequence[Dispatched] = ()
    left_over: int = 0
    """Jobs in the store when all was said to be done."""

    @property
    def repeats(self) -> set[str]:
        """Message-IDs of answers that arrived more than once."""
        arrived = Counter(answer.message_id for answer in self.answers)
        return {message_id for message_id, times in arrived.items() if times > 1}

    def findings(self) -> list[str]:
        """Every broken promise, in a sentence."""
        return [*self._of_mail(), *self._of_answers(), *self._of_repeats()]

    def _of_mail(self) -> Iterator[str]:
        kept = Counter(mail.message_id for mail in self.kept)
        for message_id in sorted(self.acknowledged - kept.keys()):
            yield f"lost: {message_id} got 250 and is not in the store"
        for message_id, times in kept.items():
            if times > 1:
                yield f"doubled: {message_id} is in the store {times} times"
        for mail in self.kept:
            if mail.sha256 != self.offered.get(mail.message_id):
                yield f"changed: {mail.message_id} is not what was offered"
            if mail.status != "handled":
                yield f"unfinished: {mail.message_id} is {mail.status}"
        for message_id, reply in self.refused.items():
            yield f"refused: {message_id} got {reply}"
        if self.left_over:
            yield f"unfinished: {self.left_over} jobs are left"

    def _of_answers(self) -> Iterator[str]:
        given: Mapping[str, set[str]] = defaultdict(set)
        for answer in self.answers:
            given[answer.in_reply_to].add(answer.message_id)
            if not answer.signed:
                yield f"unsigned: {answer.message_id}"
        for mail in self.kept:
            if mail.message_id not in given:
                yield f"unanswered: {mail.message_id} is in the store"
        for message_id, answers in given.items():
            if len(answers) > 1:
                yield f"answered twice: {message_id} by {', '.join(sorted(answers))}"
        known = {(each.message_id, each.answers) for each in self.dispatched}
        for answer in self.answers:
            if (answer.message_id, answer.in_reply_to) not in known:
                yield f"unknown: the store has no answer {answer.message_id} to {answer.in_reply_to}"

    def _of_repeats(self) -> Iterator[str]:
        for each in self.dispatched:
            if each.status != "delivered":
                yield f"undelivered: {each.message_id} is {each.status}"
            if each.message_id in self.repeats and not (each.uncertain and each.repeats_said):
                yield f"unmarked: {each.message_id} arrived more than once and is not marked uncertain"


def read_store(data_dir: Path) -> tuple[list[Kept], list[Dispatched], int]:
    """What the store holds, read beside its owner."""
    with closing(connect(data_dir)) as connection:
        kept = [
            Kept(message_id, _sha256(data_dir, content, location), status)
            for message_id, content, location, status in connection.execute(_KEPT)
        ]
        dispatched = [
            Dispatched(message_id, answers, status, bool(uncertain), repeats)
            for message_id, answers, status, uncertain, repeats in connection.execute(_DISPATCHED)
        ]
        (damage,) = connection.execute("PRAGMA quick_check").fetchone()
        assert damage == "ok"
    return kept, dispatched, count_jobs(data_dir)


def count_jobs(data_dir: Path) -> int:
    """How many jobs are waiting, going on or dead."""
    with closing(connect(data_dir)) as connection:
        (jobs,) = connection.execute("SELECT count(*) FROM job").fetchone()
        return int(jobs)


def is_kept(data_dir: Path, message_id: str) -> bool:
    """Whether a mail is in the store."""
    with closing(connect(data_dir)) as connection:
        found = connection.execute("SELECT 1 FROM email WHERE message_id = ?", (message_id,))
        return found.fetchone() is not None


def connect(data_dir: Path) -> sqlite3.Connection:
    """The store, read-only."""
    return sqlite3.connect(f"file:{data_dir}/rejoinder.db?mode=ro", uri=True, timeout=5)


def _sha256(data_dir: Path, content: bytes | None, location: str | None) -> str:
    raw = content if content is not None else (data_dir / "raw" / str(location)).read_bytes()
    return hashlib.sha256(raw).hexdigest()


_KEPT = """
SELECT email.message_id, raw.content, raw.location, email.status
FROM email JOIN raw ON raw.id = email.raw_id
"""
_DISPATCHED = """
SELECT sent.message_id, email.message_id, delivery.status, delivery.uncertain,
    (SELECT count(*) FROM event WHERE event.sent_id = sent.id AND event.kind = 'attempted'
        AND json_extract(event.evidence, '$.repeats_uncertain'))
FROM sent JOIN email ON email.id = sent.email_id JOIN delivery ON delivery.sent_id = sent.id
"""
