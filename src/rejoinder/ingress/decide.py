# SPDX-License-Identifier: Apache-2.0
"""One SMTP answer for all recipients of a mail; pure.

All refused for good: the first one's refusal. None accepted and at least one deferred: its deferral, and
nothing is kept. Otherwise 250: what was refused is reported to the sender where that may be, what was
deferred is run again by us. A run that goes on counts as accepted, an earlier delivery of the same mail
as the answer that it got.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rejoinder.ingress.arrival import Recipient
from rejoinder.replies.original import Original
from rejoinder.runtime.outcome import Outcome, held, smtp_reply
from rejoinder.runtime.run import Assignment, Try
from rejoinder.runtime.values import Ended
from rejoinder.smtp.reply import Reply
from rejoinder.store.records import Job, Seen

OK = Reply.of(250, "2.0.0", "Ok")


@dataclass(slots=True)
class Handling:
    """What happens to one recipient's mail: known already, stored, or tried."""

    to: Recipient
    original: Original
    earlier: Seen | None
    assignment: Assignment | None = None
    """What a worker shall do; None for mail that is only stored, or known already."""
    attempt: Try | None = None
    ended: Ended | None = None
    """How the try had ended when the answer was decided; None for one that goes on."""
    job: Job | None = None
    """The job that carries on what did not end, once it is committed."""

    @property
    def outcome(self) -> Outcome | None:
        """By the table of outcomes; None where nothing ended."""
        return None if self.ended is None else held(self.ended, self.to.target.on_failure)

    @property
    def goes_on(self) -> bool:
        """Whether a try was still at work when the answer was decided."""
        return self.attempt is not None and self.ended is None

    @property
    def answer(self) -> Reply:
        """The SMTP answer for this recipient alone."""
        if self.earlier is not None:
            return earlier_answer(self.earlier)
        if self.ended is None or self.outcome is None:
            return OK
        return smtp_reply(self.outcome, self.ended.reason)


def earlier_answer(seen: Seen) -> Reply:
    """The answer that a mail got before."""
    enhanced, _, text = seen.reply_text.partition(" ")
    return Reply.of(seen.reply_code, enhanced, text)


def overall(handlings: Sequence[Handling]) -> Reply:
    """Fix what has ended by now, and the one answer for all."""
    for handling in handlings:
        handling.ended = None if handling.attempt is None else handling.attempt.end
    answers = [handling.answer for handling in handlings]
    if any(answer.is_positive for answer in answers):
        return next(answer for answer in answers if answer.is_positive)
    return next((answer for answer in answers if answer.is_transient), answers[0])
