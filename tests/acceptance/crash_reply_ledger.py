# SPDX-License-Identifier: Apache-2.0
"""What the crash test of replies holds against each other: the caller, the store and the next hop.

A reply has a name, which is its subject, so that it is known wherever it turns up, whatever its key, its id
and its Message-ID are. ``ReplyLedger.findings`` says in sentences where the three disagree.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.acceptance.crash_ledger import connect


@dataclass(frozen=True)
class SentReply:
    """A reply in the store, the key under which it is kept, and what its delivery says."""

    name: str
    id: str
    message_id: str
    key: str | None
    status: str
    uncertain: bool
    repeats_said: int
    """``attempted`` events that say they may repeat an attempt."""


@dataclass
class ReplyLedger:
    """What every side knows; Message-IDs are with angle brackets."""

    told: Mapping[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    """Name to every id and Message-ID that a 2xx answer told the caller."""
    refused: dict[str, str] = field(default_factory=dict)
    """Those that were answered with 4xx, and how."""
    arrived: list[tuple[str, str]] = field(default_factory=list)
    """Name and Message-ID of everything at the next hop."""
    kept: Sequence[SentReply] = ()

    @property
    def repeats(self) -> set[str]:
        """Message-IDs that arrived more than once."""
        arrived = Counter(message_id for _, message_id in self.arrived)
        return {message_id for message_id, times in arrived.items() if times > 1}

    def findings(self) -> list[str]:
        """Every broken promise, in a sentence."""
        return [*self._of_answers(), *self._of_store(), *self._of_arrivals()]

    def _of_answers(self) -> Iterator[str]:
        for name, answer in self.refused.items():
            yield f"refused: {name} got {answer}"
        kept = {(each.name, each.id, each.message_id) for each in self.kept}
        for name, answers in self.told.items():
            if len(answers) > 1:
                yield f"contradicted: {name} got the answers {sorted(answers)}"
            for sent_id, message_id in answers:
                if (name, sent_id, message_id) not in kept:
                    yield f"lost: {name} was answered with {sent_id}, {message_id}, which is not in the store"

    def _of_store(self) -> Iterator[str]:
        for name, times in Counter(each.name for each in self.kept).items():
            if times > 1:
                yield f"doubled: {name} is in the store {times} times"
        for each in self.kept:
            if each.key is None:
                yield f"unkeyed: {each.name} is in the store as {each.id}, under no key"
            if each.status != "delivered":
                yield f"undelivered: {each.name} is {each.status}"
            if each.message_id in self.repeats and not (each.uncertain and each.repeats_said):
                yield f"unmarked: {each.message_id} arrived more than once and is not marked uncertain"

    def _of_arrivals(self) -> Iterator[str]:
        kept = {(each.name, each.message_id) for each in self.kept}
        arrived = set(self.arrived)
        for name, message_id in sorted(arrived - kept):
            yield f"unknown: {name} arrived as {message_id}, which is not in the store"
        for name, message_id in sorted(kept - arrived):
            yield f"missing: {name}, in the store as {message_id}, did not arrive"
        for name, times in Counter(name for name, _ in arrived).items():
            if times > 1:
                yield f"arrived twice: {name} has {times} Message-IDs"


def read_replies(data_dir: Path) -> list[SentReply]:
    """The replies in the store, read beside its owner."""
    with closing(connect(data_dir)) as connection:
        return [
            SentReply(name, sent_id, message_id, key, status, bool(uncertain), repeats)
            for name, sent_id, message_id, key, status, uncertain, repeats in connection.execute(_REPLIES)
        ]


_REPLIES = """
SELECT sent.subject, sent.id, sent.message_id, idempotency.key, delivery.status, delivery.uncertain,
    (SELECT count(*) FROM event WHERE event.sent_id = sent.id AND event.kind = 'attempted'
        AND json_extract(event.evidence, '$.repeats_uncertain'))
FROM sent JOIN delivery ON delivery.sent_id = sent.id LEFT JOIN idempotency ON idempotency.sent_id = sent.id
WHERE sent.policy = 'api'
"""
