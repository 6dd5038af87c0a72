# SPDX-License-Identifier: Apache-2.0
"""Dead letters again: a run that failed for good, or a delivery that failed for a fault of ours.

The mail is where it was; only its job becomes due once more, with all its tries before it. A running server
takes it up within ``queue.poll``.
"""

from __future__ import annotations

from dataclasses import replace

from rejoinder.store import emails, jobs, runs
from rejoinder.store.records import EmailStatus, RunState
from rejoinder.store.unit import Unit


def replay(asked: str) -> Unit[bool]:
    """Replay what is dead of a received mail or a sent message; whether anything was."""
    revived = yield from jobs.revive(asked)
    for run in (yield from runs.of_email(asked)):
        if (yield from jobs.revive(run.id)):
            yield from runs.update(replace(run, state=RunState.WAITING))
            yield from emails.set_status(asked, EmailStatus.DISPATCHED)
            revived = True
    return revived
