# SPDX-License-Identifier: Apache-2.0
"""Runs of workers and the effects that they committed."""

from __future__ import annotations

from rejoinder.store.records import EffectRow, Run, RunState
from rejoinder.store.row import parameters, record, text
from rejoinder.store.unit import Row, Statement, Unit


def insert(run: Run) -> Unit[None]:
    """Record a run; its email is stored already."""
    yield Statement("run_insert", parameters(run))


def get(run_id: str) -> Unit[Run | None]:
    """One run."""
    rows = yield Statement("run_get", {"id": run_id})
    return _run(rows[0]) if rows else None


def update(run: Run) -> Unit[None]:
    """Where a run stands now; account, email and worker stay as they were."""
    yield Statement("run_update", parameters(run))


def of_email(email_id: str) -> Unit[list[Run]]:
    """The runs on a mail, in order."""
    rows = yield Statement("run_of_email", {"email_id": email_id})
    return [_run(row) for row in rows]


def effects(run_id: str) -> Unit[list[EffectRow]]:
    """The committed effects of a run, by ordinal."""
    rows = yield Statement("effect_of_run", {"run_id": run_id})
    return [record(EffectRow, row) for row in rows]


def insert_effect(effect: EffectRow) -> Unit[None]:
    """Commit an effect; its run is stored already."""
    yield Statement("effect_insert", parameters(effect))


def _run(row: Row) -> Run:
    return record(Run, row, state=RunState(text(row, "state")))
