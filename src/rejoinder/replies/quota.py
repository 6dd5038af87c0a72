# SPDX-License-Identifier: Apache-2.0
"""How much an account may send through the API: recipients in the month and in the hour, as units of work.

Recipients and not messages are counted, because one message may have a thousand of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from rejoinder.clock import SECOND
from rejoinder.errors import QuotaExceeded
from rejoinder.replies.settings import QuotaSettings
from rejoinder.replies.submit import Submission
from rejoinder.store import quotas
from rejoinder.store.unit import Unit


def spend(submission: Submission, settings: QuotaSettings) -> Unit[None]:
    """Count the recipients of a message.

    Raises:
        QuotaExceeded: they are more than the account has left.
    """
    account, number = submission.sent.account, len(submission.deliveries)
    most = {"month": settings.per_month, "hour": settings.per_hour}
    for length, period in _periods(submission):
        total = yield from quotas.count(account, length, period, number)
        if 0 < most[length] < total:
            raise QuotaExceeded(
                details=f"The account {account} may send to quota.per_{length} = {most[length]} recipients; "
                f"in {period} (UTC) it has sent to {total - number}, and this message has {number}."
            )


def give_back(submission: Submission) -> Unit[None]:
    """Count them no more, because nobody got the message."""
    for length, period in _periods(submission):
        yield from quotas.give_back(submission.sent.account, length, period, len(submission.deliveries))


def _periods(submission: Submission) -> Iterator[tuple[str, str]]:
    moment = datetime.fromtimestamp(submission.sent.created_at // SECOND, UTC)
    yield "month", f"{moment:%Y-%m}"
    yield "hour", f"{moment:%Y-%m-%dT%H}"
