# SPDX-License-Identifier: Apache-2.0
"""The log of a process: one JSON object a line, and never a reason to fail."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from rejoinder.cli import log


@pytest.fixture(autouse=True)
def configured_for_itself() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


class Stream(io.StringIO):
    """Standard error that may be a terminal, or full."""

    def __init__(self, *, is_terminal: bool = False, is_full: bool = False) -> None:
        super().__init__()
        self._is_terminal = is_terminal
        self._is_full = is_full

    def isatty(self) -> bool:
        return self._is_terminal

    def write(self, text: str) -> int:
        if self._is_full:
            raise OSError(28, "No space left on device")
        return super().write(text)


def logged(monkeypatch: pytest.MonkeyPatch, stream: Stream, least: int = logging.NOTSET) -> Stream:
    monkeypatch.setattr(sys, "stderr", stream)
    log.configure(least)
    logger = structlog.get_logger("test")
    logger.info("stage.noun_verbed", ip="192.0.2.1", helo=None, paths=["a@b.example"], odd={1})
    try:
        hidden = "rj_secret"
        raise ValueError(len(hidden))
    except ValueError:
        logger.exception("stage.noun_failed")
    return stream


def test_a_line_is_an_object_with_what_happened_first(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = logged(monkeypatch, Stream()).getvalue().splitlines()
    entry = json.loads(first)
    assert list(entry) == ["timestamp", "level", "event", "ip", "paths", "odd"]
    assert (entry["level"], entry["event"], entry["paths"]) == ("info", "stage.noun_verbed", ["a@b.example"])
    assert json.loads(second)["exception"].endswith("ValueError: 9")


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_traceback_has_no_variables(monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool) -> None:
    said = logged(monkeypatch, Stream(is_terminal=is_terminal)).getvalue()
    assert "ValueError: 9" in said
    # The line of the source stands in a traceback; the variable of the frame does not.
    assert "'rj_secret'" not in said
    assert said.startswith("{") is not is_terminal


def test_what_is_less_grave_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = logged(monkeypatch, Stream(), logging.WARNING).getvalue().splitlines()
    assert json.loads(line)["event"] == "stage.noun_failed"


def test_a_full_disk_under_the_log_fails_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    assert logged(monkeypatch, Stream(is_full=True)).getvalue() == ""
