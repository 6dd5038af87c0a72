# SPDX-License-Identifier: Apache-2.0
"""What an end means: the table of outcomes, pure.

While the sender waits (held), the end of a run decides the SMTP answer. After 250 (detached) it cannot: a
refusal becomes a report to the sender, and a failure of ours never the sender's bounce, so every failure is
as ``on_failure = "queue"``.

    ended by                  held                      detached              effects
    normal                    250                       –                     committed
    set_reject(reason)        550 5.7.1 reason          DSN where one may go  committed
    defer(reason)             451 4.7.1 reason          run again             discarded
    exception, time limit,    by on_failure             run again             discarded
    crash
    crash, by the fault of    250, run again            run again             discarded
    another mail's run
"""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

from rejoinder.routing.settings import OnFailure
from rejoinder.runtime.values import Ended, Ending
from rejoinder.smtp.reply import Reply


class Outcome(StrEnum):
    """What is done with a mail whose try has ended."""

    HANDLED = "handled"
    """Commit the effects."""
    REFUSED = "refused"
    """Commit the effects; the sender gets a permanent refusal or a report."""
    DEFERRED = "deferred"
    """Later, by the worker's wish: the sender tries again, or we run again."""
    FAILED = "failed"
    """Run again with back-off, then a dead letter."""
    TEMPFAILED = "tempfailed"
    """The sender tries again (on_failure)."""
    FAILED_FOR_GOOD = "failed-for-good"
    """A permanent refusal (on_failure)."""


def held(ended: Ended, on_failure: OnFailure) -> Outcome:
    """The outcome while the sender waits."""
    outcome = detached(ended)
    if outcome is not Outcome.FAILED or ended.neighbour:
        return outcome  # another mail's fault is no reason to refuse this one
    match on_failure:
        case OnFailure.QUEUE:
            return Outcome.FAILED
        case OnFailure.TEMPFAIL:
            return Outcome.TEMPFAILED
        case OnFailure.REJECT:
            return Outcome.FAILED_FOR_GOOD
    assert_never(on_failure)


def detached(ended: Ended) -> Outcome:
    """The outcome after the sender has its 250."""
    match ended.ending:
        case Ending.NORMAL:
            return Outcome.HANDLED
        case Ending.REJECT:
            return Outcome.REFUSED
        case Ending.DEFER:
            return Outcome.DEFERRED
        case Ending.EXCEPTION | Ending.TIME_LIMIT | Ending.CRASH:
            return Outcome.FAILED
    assert_never(ended.ending)


def smtp_reply(outcome: Outcome, reason: str) -> Reply:
    """The SMTP answer for one recipient; a failure of ours is told in general words only."""
    match outcome:
        case Outcome.HANDLED | Outcome.FAILED:
            return Reply.of(250, "2.0.0", "Ok")
        case Outcome.REFUSED:
            return Reply.of(550, "5.7.1", reason or "Rejected")
        case Outcome.DEFERRED:
            return Reply.of(451, "4.7.1", reason or "Try again later")
        case Outcome.TEMPFAILED:
            return Reply.of(451, "4.3.0", "Temporary failure, try again later")
        case Outcome.FAILED_FOR_GOOD:
            return Reply.of(550, "5.3.0", "The message could not be handled")
    assert_never(outcome)
