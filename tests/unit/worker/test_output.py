# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.worker.output import LIMIT, Capture, explain, trimmed


@given(st.lists(st.binary(max_size=30_000), max_size=6))
def test_what_is_kept_is_bounded_and_holds_beginning_and_end(writes: list[bytes]) -> None:
    capture, whole = Capture(), b"".join(writes)
    for octets in writes:
        capture.write(octets)
    text = capture.text()
    assert len(text.encode()) <= LIMIT
    if len(whole) < LIMIT - 200:
        assert text == whole.decode(errors="ignore")
    else:
        assert "octets left out" in text
        assert text.startswith(whole[:4000].decode(errors="ignore")[:-4])


@pytest.mark.parametrize("text", ["", "short", "ü" * 8000, "\ud800", "🎉" * 9000, "x" * 10_000_000])
def test_a_trimmed_text_has_at_most_the_limit(text: str) -> None:
    assert len(trimmed(text).encode()) <= LIMIT


def test_a_cause_is_explained_too() -> None:
    try:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise ValueError("outer") from inner
    except ValueError as error:
        text = explain(error)
    assert text.index("KeyError: 'inner'") < text.index("direct cause") < text.index("ValueError: outer")


def test_an_exception_that_cannot_be_shown_is_explained_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "exception str() failed" in explain(Mute())
