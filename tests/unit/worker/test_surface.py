# SPDX-License-Identifier: Apache-2.0
"""What a worker's file may import, and what that brings along."""

from __future__ import annotations

import subprocess
import sys

import pytest

import rejoinder.worker
from rejoinder.errors import ActionRefused, EventEnded, ReplyBudget
from rejoinder.worker.auth import Auth
from rejoinder.worker.frames import Answer
from rejoinder.worker.run import refusal

SHOW = "import sys; before = set(sys.modules); import {module}; print(*sorted(set(sys.modules) - before))"


@pytest.mark.parametrize("module", ["rejoinder.worker", "rejoinder.worker.zygote"])
def test_the_childs_side_loads_the_standard_library_and_no_code_of_the_server(module: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", SHOW.format(module=module)], check=True, capture_output=True, text=True
    )
    loaded = set(run.stdout.split())
    ours = {name for name in loaded if name.partition(".")[0] == "rejoinder"}
    allowed = ("rejoinder.worker", "rejoinder.message", "rejoinder.errors")
    assert all(name == "rejoinder" or name.startswith(allowed) for name in ours), ours
    assert {name.partition(".")[0] for name in loaded - ours} <= sys.stdlib_module_names


def test_what_workers_import_is_named() -> None:
    assert rejoinder.worker.__all__ == sorted(rejoinder.worker.__all__)
    assert all(hasattr(rejoinder.worker, name) for name in rejoinder.worker.__all__)


def test_a_refusal_is_of_the_class_of_its_code() -> None:
    refused = refusal(
        Answer(1, 0, code="reply-budget", text="enough", codes=["reply-budget", "reply-to-list"])
    )
    assert type(refused) is ReplyBudget
    assert (str(refused), refused.codes) == ("enough", ("reply-budget", "reply-to-list"))
    assert type(refusal(Answer(1, 0, code="event-ended"))) is EventEnded


def test_a_code_that_this_version_does_not_know_is_kept() -> None:
    refused = refusal(Answer(1, 0, code="reply-from-the-future", text="no"))
    assert type(refused) is ActionRefused
    assert (refused.code, ActionRefused.code) == ("reply-from-the-future", "action-refused")


@pytest.mark.parametrize("evidence", ["", "{}", '{"spf": null, "dkim": null, "dmarc": {}}'])
def test_evidence_that_lacks_a_part_has_its_default(evidence: str) -> None:
    assert Auth.from_evidence(evidence) == Auth()
