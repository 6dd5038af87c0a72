# SPDX-License-Identifier: Apache-2.0
"""One answer for all recipients: every combination that matters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest

from rejoinder.ingress.arrival import Recipient
from rejoinder.ingress.decide import Handling, earlier_answer, overall
from rejoinder.routing.settings import OnFailure
from rejoinder.routing.table import Target, TargetKind
from rejoinder.runtime.run import Try
from rejoinder.runtime.values import Ended, Ending
from rejoinder.store.records import Seen
from tests.unit.replies.originals import NOW, ORIGINAL, SUPPORT


@dataclass
class Attempt:
    """All that is asked of a try."""

    end: Ended | None


def recipient(on_failure: OnFailure = OnFailure.QUEUE) -> Recipient:
    target = Target(TargetKind.WORKER, "default", "desk.example", "desk", "support@desk.example", on_failure)
    return Recipient(SUPPORT, target, "email_1", "run_1", "key", event_key_stable=True)


def tried(end: Ended | None, on_failure: OnFailure = OnFailure.QUEUE) -> Handling:
    return Handling(recipient(on_failure), ORIGINAL, None, attempt=cast("Try", Attempt(end)))


def known(code: int, text: str) -> Handling:
    return Handling(recipient(), ORIGINAL, Seen("default", "key", "email_0", code, text, NOW))


def make(word: str) -> Handling:
    """What a word of the tables below means."""
    kind, _, reason = word.partition(" ")
    crash = Ended(Ending.CRASH)
    return {
        "accepted": tried(Ended(Ending.NORMAL)),
        "stored": Handling(recipient(), ORIGINAL, None),
        "goes-on": tried(None),
        "refused": tried(Ended(Ending.REJECT, reason)),
        "deferred": tried(Ended(Ending.DEFER, reason)),
        "failed": tried(crash),
        "tempfailed": tried(crash, OnFailure.TEMPFAIL),
        "failed-for-good": tried(crash, OnFailure.REJECT),
        "neighbour": tried(Ended(Ending.CRASH, neighbour=True), OnFailure.REJECT),
        "known-250": known(250, "2.0.0 Ok"),
        "known-550": known(550, "5.7.1 before"),
    }[kind]


OK = "250 2.0.0 Ok"
TEMPFAILED = "451 4.3.0 Temporary failure, try again later"


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        # Alone.
        (["accepted"], OK),
        (["stored"], OK),
        (["goes-on"], OK),
        (["failed"], OK),
        (["neighbour"], OK),
        (["refused a"], "550 5.7.1 a"),
        (["deferred a"], "451 4.7.1 a"),
        (["tempfailed"], TEMPFAILED),
        (["failed-for-good"], "550 5.3.0 The message could not be handled"),
        (["known-250"], OK),
        (["known-550"], "550 5.7.1 before"),
        # All refused for good: the first one's refusal.
        (["refused a", "refused b"], "550 5.7.1 a"),
        (["failed-for-good", "refused b"], "550 5.3.0 The message could not be handled"),
        (["known-550", "refused b"], "550 5.7.1 before"),
        # None accepted, one deferred at least: its deferral.
        (["refused a", "deferred b", "deferred c"], "451 4.7.1 b"),
        (["failed-for-good", "tempfailed"], TEMPFAILED),
        (["known-550", "deferred b"], "451 4.7.1 b"),
        # Otherwise 250.
        (["refused a", "accepted"], OK),
        (["deferred a", "accepted"], OK),
        (["deferred a", "refused b", "stored"], OK),
        (["tempfailed", "failed-for-good", "failed"], OK),
        (["refused a", "goes-on"], OK),
        (["known-250", "refused b"], OK),
        (["known-250", "deferred b"], OK),
        (["known-550", "accepted"], OK),
    ],
    ids=str,
)
def test_the_answer_for_all_recipients(words: list[str], answer: str) -> None:
    assert str(overall([make(word) for word in words])) == answer


def test_what_had_ended_is_fixed_with_the_answer() -> None:
    attempt = Attempt(None)
    handling = Handling(recipient(), ORIGINAL, None, attempt=cast("Try", attempt))
    assert str(overall([handling])) == OK
    attempt.end = Ended(Ending.REJECT, "too late")
    assert handling.goes_on
    assert handling.outcome is None
    # Asked again, because the answer could not be given: now it counts.
    assert str(overall([handling])) == "550 5.7.1 too late"
    assert not handling.goes_on


@pytest.mark.parametrize(
    ("code", "text", "answer"),
    [(250, "2.0.0 Ok", OK), (550, "5.7.1 no such ticket", "550 5.7.1 no such ticket")],
)
def test_an_earlier_answer_is_given_again_word_for_word(code: int, text: str, answer: str) -> None:
    assert str(earlier_answer(Seen("default", "key", "email_0", code, text, NOW))) == answer
