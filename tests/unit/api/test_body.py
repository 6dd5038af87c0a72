# SPDX-License-Identifier: Apache-2.0
"""Bodies as clients send them: forgiven, refused, and never our failure."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rejoinder.api.body import MAX_STRUCTURE, json_object
from rejoinder.errors import JsonInvalid, MessageTooLarge

JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"", {}),
        (b" \r\n\t ", {}),
        (b"{}", {}),
        # A byte order mark may be ignored (RFC 8259 §8.1).
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": 1,}', {"a": 1}),
        (b'{"a": [1, 2 , \n ] , }', {"a": [1, 2]}),
        # A comma before a bracket inside of a text is text.
        (b'{"a": ",]", "b": "\\",}",}', {"a": ",]", "b": '",}'}),
        (b'{"a": "\\\\",}', {"a": "\\"}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_what_is_forgiven_is_read(body: bytes, value: dict[str, object]) -> None:
    assert json_object(body) == value


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"7",
        b'{"a": 1,,}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b"{'a': 1}",
        b'{"a": "line\nbreak"}',
        b'{"a": "\xff"}',
        # UTF-8 cannot write a surrogate (RFC 3629 §3).
        b'{"a": "\xed\xa0\x80"}',
        '{"a": 1}'.encode("utf-16"),
        b'{"a": 1} {"b": 2}',
        b"a=1&b=2",
        b'{"a": ' + b"[" * 100_000,
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": ' + b"9" * 5_000 + b"}",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(JsonInvalid, match=r"^Invalid JSON in request body$"):
        json_object(body)


def test_texts_may_be_long_but_values_not_many() -> None:
    assert len(str(json_object(b'{"a": "' + b"x" * MAX_STRUCTURE + b'"}')["a"])) == MAX_STRUCTURE
    with pytest.raises(MessageTooLarge, match="characters outside of texts"):
        json_object(b'{"a": [' + b"1," * (MAX_STRUCTURE // 2) + b"1]}")


@pytest.mark.parametrize("ending", [b"", b"\\"])
def test_a_text_that_never_ends_is_read_once(ending: bytes) -> None:
    # Looked for again at each of its quotes, it would take minutes. Beyond MAX_STRUCTURE others look too.
    with pytest.raises(JsonInvalid):
        json_object(b'{"a": "' + b'\\"' * 500_000 + ending)
    with pytest.raises(JsonInvalid):
        json_object(b'{"a": "' + b'\\"' * (MAX_STRUCTURE + 1) + ending)


@given(st.dictionaries(st.text(), JSON, max_size=3))
@settings(max_examples=30, deadline=None)
def test_what_is_written_is_read(value: dict[str, object]) -> None:
    assert json_object(json.dumps(value).encode()) == value


@given(st.binary())
def test_any_bytes_are_an_object_or_refused(body: bytes) -> None:
    with suppress(JsonInvalid):
        assert isinstance(json_object(body), dict)
