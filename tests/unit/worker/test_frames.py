# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.worker.frames import (
    MAX_BLOB,
    Answer,
    Call,
    Cancel,
    End,
    Frame,
    FrameError,
    FrameReader,
    Load,
    Loaded,
    LoadFailed,
    Run,
    encode,
)

EVERY_FRAME: list[Frame] = [
    Load("/srv/desk.py", "desk", {"TEAM": "blue"}, b"async def email(): pass"),
    Loaded(42, is_async=True),
    LoadFailed("no `email`"),
    Run(7, "key", True, "email_1", "", "support@desk.example", 1234, "{}", 5, 1, b"Subject: \xff\r\n"),
    Cancel(7),
    Call(7, 0, "reply-raw", "a@desk.example", "b@customer.example", b"\x00\r\n" * 10),
    Answer(7, 0, "<id@desk.example>"),
    End(7, "reject", "no\nsuch \ud800 thing", "Traceback", "print"),
]


def test_every_kind_of_frame_comes_back_as_it_was() -> None:
    assert list(FrameReader().feed(b"".join(map(encode, EVERY_FRAME)))) == EVERY_FRAME


def test_the_codes_of_a_refusal_come_back() -> None:
    (answer,) = FrameReader().feed(encode(Answer(1, 2, code="a", text="b", codes=["a", "c"])))
    assert isinstance(answer, Answer)
    assert answer.codes == ["a", "c"]


@given(st.lists(st.integers(0, 2000), max_size=8))
def test_any_split_of_the_octets_gives_the_same_frames(cuts: list[int]) -> None:
    octets = b"".join(map(encode, EVERY_FRAME))
    reader, at = FrameReader(), 0
    frames: list[Frame] = []
    for cut in [*sorted(cuts), len(octets)]:
        frames += reader.feed(octets[at:cut])
        at = max(at, cut)
    assert frames == EVERY_FRAME


def _framed(text: bytes, blob_size: int = 0) -> bytes:
    return struct.pack(">II", len(text), blob_size) + text


@pytest.mark.parametrize(
    "octets",
    [
        _framed(b"{"),
        _framed(b"[]"),
        _framed(b"{}"),
        _framed(json.dumps({"frame": "Nothing"}).encode()),
        _framed(json.dumps({"frame": "Cancel"}).encode()),
        _framed(json.dumps({"frame": "Cancel", "run": 1, "more": 2}).encode()),
        _framed(b"{}", MAX_BLOB + 1),
        b"\xff" * 8,
    ],
)
def test_what_is_no_frame_is_refused(octets: bytes) -> None:
    with pytest.raises(FrameError):
        list(FrameReader().feed(octets))
