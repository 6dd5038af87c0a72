# SPDX-License-Identifier: Apache-2.0
"""The forms in which header and body are hashed (RFC 6376 §3.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from dkim.canonicalization import Relaxed, Simple
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.mailauth.dkim import canonical
from rejoinder.message.headers import HeaderField, Headers


@pytest.mark.parametrize(
    ("content", "simple", "relaxed"),
    [
        (b"", b"\r\n", b""),
        (b"\r\n", b"\r\n", b""),
        (b"\r\n\r\n\r\n", b"\r\n", b""),
        (b"a", b"a\r\n", b"a\r\n"),
        (b"a\r\n", b"a\r\n", b"a\r\n"),
        (b"a\r\n\r\n", b"a\r\n", b"a\r\n"),
        (b"a \t b\r\n", b"a \t b\r\n", b"a b\r\n"),
        (b"a\t\r\n \r\n", b"a\t\r\n \r\n", b"a\r\n"),
        # RFC 6376 §3.4.5
        (b" C \r\nD \t E\r\n\r\n\r\n", b" C \r\nD \t E\r\n", b" C\r\nD E\r\n"),
        (b"\r\na", b"\r\na\r\n", b"\r\na\r\n"),
        # A bare line feed is no line end, so it is content.
        (b"a\n", b"a\n\r\n", b"a\n\r\n"),
        (b"a\n\r\n\r\n", b"a\n\r\n", b"a\n\r\n"),
        (b"a\r\n\r", b"a\r\n\r\r\n", b"a\r\n\r\r\n"),
        (b"a  ", b"a  \r\n", b"a\r\n"),
        # Vertical tab and form feed are no white space (§2.8).
        (b"a\x0b\x0c\r\n", b"a\x0b\x0c\r\n", b"a\x0b\x0c\r\n"),
    ],
)
def test_bodies(content: bytes, simple: bytes, relaxed: bytes) -> None:
    assert canonical.body(content, "simple") == simple
    assert canonical.body(content, "relaxed") == relaxed


@pytest.mark.parametrize(
    ("raw", "relaxed"),
    [
        (b"A: X\r\n", b"a:X\r\n"),
        (b"B : Y\t\r\n\tZ  \r\n", b"b:Y Z\r\n"),  # RFC 6376 §3.4.5
        (b"Subject:\r\n  folded\r\n  twice \r\n", b"subject:folded twice\r\n"),
        (b"X-Empty:\r\n", b"x-empty:\r\n"),
        (b"X: no line end", b"x:no line end\r\n"),
        (b"X: a:b\r\n", b"x:a:b\r\n"),
    ],
)
def test_header_fields(raw: bytes, relaxed: bytes) -> None:
    assert canonical.field(raw, "relaxed") == relaxed
    assert canonical.field(raw, "simple") == raw.removesuffix(b"\r\n") + b"\r\n"


def test_fields_of_one_name_are_taken_from_the_bottom_up() -> None:
    headers = Headers(HeaderField("Received", b"Received: %d\r\n" % number) for number in range(3))
    data = canonical.signed_data(
        headers, ["received", "Received", "absent"], b"DKIM-Signature: b=", "relaxed"
    )
    assert data == b"received:2\r\nreceived:1\r\ndkim-signature:b="


def test_a_signature_costs_what_it_names_and_not_what_is_there() -> None:
    class NeverGoneThrough(Headers):
        def __iter__(self) -> Iterator[HeaderField]:
            raise AssertionError("all fields are gone through again for one signature")

    headers = NeverGoneThrough([HeaderField("From", b"From: a@b\r\n")])
    data = canonical.signed_data(headers, ["from", "from"], b"DKIM-Signature: b=", "relaxed")
    assert data == b"from:a@b\r\ndkim-signature:b="


@pytest.mark.parametrize(
    ("signature", "emptied"),
    [
        (b"DKIM-Signature: v=1; b=abc; h=x\r\n", b"DKIM-Signature: v=1; b=; h=x"),
        (b"DKIM-Signature: v=1; bh=abc; b=abc\r\n\tdef \r\n", b"DKIM-Signature: v=1; bh=abc; b="),
        (b"DKIM-Signature: b = abc ;bh=b=1\r\n", b"DKIM-Signature: b =;bh=b=1"),
        (b"DKIM-Signature: z=b=x:b=y;\r\n\tb=abc=\r\n", b"DKIM-Signature: z=b=x:b=y;\r\n\tb="),
    ],
)
def test_only_the_value_of_b_is_left_out(signature: bytes, emptied: bytes) -> None:
    assert canonical.signed_data(Headers(), [], signature, "simple") == emptied


CONTENT = st.lists(
    st.sampled_from([b" ", b"\t", b"\r\n", b"\r\n", b"\r", b"\n", b"a", b"bc", b"\xff"]), max_size=30
).map(b"".join)


@given(CONTENT)
def test_only_whole_line_ends_are_empty_lines(content: bytes) -> None:
    kept = content
    while kept.endswith(b"\r\n"):
        kept = kept[:-2]
    assert canonical.body(content, "simple") == kept + b"\r\n"


@given(CONTENT)
def test_bodies_are_as_dkimpy_has_them(content: bytes) -> None:
    content = content if content.endswith(b"\r\n") or not content else content + b"\r\n"
    assert canonical.body(content, "simple") == Simple.canonicalize_body(content)
    assert canonical.body(content, "relaxed") == Relaxed.canonicalize_body(content)


@given(CONTENT)
def test_canonical_forms_do_not_change_again(content: bytes) -> None:
    for algorithm in ("simple", "relaxed"):
        form = canonical.body(content, algorithm)
        assert canonical.body(form, algorithm) == form


@given(CONTENT)
def test_the_relaxed_body_is_that_of_the_definition(content: bytes) -> None:
    lines = [re.sub(rb"[ \t]+", b" ", line).removesuffix(b" ") for line in content.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    assert canonical.body(content, "relaxed") == b"".join(line + b"\r\n" for line in lines)
