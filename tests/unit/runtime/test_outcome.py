# SPDX-License-Identifier: Apache-2.0
"""The table of outcomes, row by row."""

from __future__ import annotations

from itertools import product

import pytest

from rejoinder.routing.settings import OnFailure
from rejoinder.runtime.outcome import Outcome, detached, held, smtp_reply
from rejoinder.runtime.values import Ended, Ending

FAILURES = (Ending.EXCEPTION, Ending.TIME_LIMIT, Ending.CRASH)
BY_ITSELF = {
    Ending.NORMAL: Outcome.HANDLED,
    Ending.REJECT: Outcome.REFUSED,
    Ending.DEFER: Outcome.DEFERRED,
}


@pytest.mark.parametrize(("ending", "on_failure"), list(product(BY_ITSELF, OnFailure)))
def test_what_a_worker_says_does_not_depend_on_the_route(ending: Ending, on_failure: OnFailure) -> None:
    assert held(Ended(ending), on_failure) is BY_ITSELF[ending]
    assert detached(Ended(ending)) is BY_ITSELF[ending]


@pytest.mark.parametrize("ending", FAILURES)
def test_a_failure_is_what_the_route_says_while_the_sender_waits_and_never_afterwards(ending: Ending) -> None:
    assert [held(Ended(ending), each) for each in OnFailure] == [
        Outcome.FAILED,
        Outcome.TEMPFAILED,
        Outcome.FAILED_FOR_GOOD,
    ]
    assert detached(Ended(ending)) is Outcome.FAILED


@pytest.mark.parametrize("on_failure", list(OnFailure))
def test_the_fault_of_another_mail_is_no_reason_to_refuse_this_one(on_failure: OnFailure) -> None:
    assert held(Ended(Ending.CRASH, neighbour=True), on_failure) is Outcome.FAILED


@pytest.mark.parametrize(
    ("outcome", "reason", "reply"),
    [
        (Outcome.HANDLED, "", "250 2.0.0 Ok"),
        (Outcome.FAILED, "the traceback", "250 2.0.0 Ok"),
        (Outcome.REFUSED, "no ticket", "550 5.7.1 no ticket"),
        (Outcome.REFUSED, "", "550 5.7.1 Rejected"),
        (Outcome.DEFERRED, "closed", "451 4.7.1 closed"),
        (Outcome.DEFERRED, "", "451 4.7.1 Try again later"),
        # What failed is ours to know; a stranger gets a generic sentence.
        (Outcome.TEMPFAILED, "the traceback", "451 4.3.0 Temporary failure, try again later"),
        (Outcome.FAILED_FOR_GOOD, "the traceback", "550 5.3.0 The message could not be handled"),
    ],
)
def test_the_answer_to_the_sender(outcome: Outcome, reason: str, reply: str) -> None:
    assert str(smtp_reply(outcome, reason)) == reply


def test_a_reason_of_any_length_and_letters_is_one_reply() -> None:
    lines = smtp_reply(Outcome.REFUSED, "ü\r\n250 ok " * 100).to_lines()
    assert all(line.startswith("550") and len(line) <= 510 and line.isascii() for line in lines)
