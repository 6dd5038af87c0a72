# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from pathlib import Path

import rejoinder.store
from rejoinder.store.query import Query, load, parse

SCRIPT = """\
-- What this file is about; belongs to no statement.

-- name: one_get
-- The one.
SELECT 1;

-- name: job_add
-- wakes: jobs
-- A job more.
INSERT INTO job
VALUES (:now);
"""


def test_a_file_holds_statements_by_name() -> None:
    assert list(parse(SCRIPT)) == [
        Query("one_get", "SELECT 1", binds_now=False, wakes=False),
        Query("job_add", "INSERT INTO job\nVALUES (:now)", binds_now=True, wakes=True),
    ]


def test_what_differs_for_a_database_is_there_only_for_it() -> None:
    assert "job_claim" in load("sqlite")
    assert "lane_due" in load("sqlite")


def test_only_a_lane_that_gets_a_job_wakes() -> None:
    assert [query.name for query in load("sqlite").values() if query.wakes] == ["lane_due"]


def test_every_statement_has_a_sentence_and_a_name_of_its_own() -> None:
    names: list[str] = []
    for file in _package().rglob("sql/**/*.sql"):
        for name, sentence in re.findall(
            r"^-- name: (\w+)\n(?:-- wakes: jobs\n)?(.*)\n", file.read_text(), re.MULTILINE
        ):
            assert re.fullmatch(r"-- [A-Z].*[.]", sentence), f"{name} has no sentence"
            names.append(name)
    assert len(names) == len(set(names))


def test_every_statement_that_a_verb_names_exists_and_every_one_is_named() -> None:
    source = "".join(file.read_text() for file in _package().glob("*.py"))
    named = set(
        re.findall(
            r'"((?:raw|email|seen|thread|run|effect|sent|delivery|event|key|server|job|lane|idempotency|quota)_\w+)"',
            source,
        )
    )
    # `sent.count_since` puts its statement's name together.
    built = {"sent_count_in_thread", "sent_count_to_correspondent", "sent_count_to_correspondent_in_thread"}
    statements = set(load("sqlite"))
    assert statements - built <= named
    assert built <= statements


def _package() -> Path:
    return Path(rejoinder.store.__file__).parent
