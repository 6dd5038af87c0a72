# SPDX-License-Identifier: Apache-2.0
"""Parameters of Content-Type and Content-Disposition as others write them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rejoinder.message.parameters import parse_parameters


@pytest.mark.parametrize(
    ("value", "kind", "parameters"),
    [
        (None, "", {}),
        ("", "", {}),
        ("text/plain", "text/plain", {}),
        ("Text/Plain; Charset=UTF-8", "text/plain", {"charset": "UTF-8"}),
        (
            'text/plain; charset="utf-8"; format=flowed',
            "text/plain",
            {"charset": "utf-8", "format": "flowed"},
        ),
        ("text/plain (a comment); charset=us-ascii (Plain text)", "text/plain", {"charset": "us-ascii"}),
        ('a/b; name="x \\"y\\"; z"', "a/b", {"name": 'x "y"; z'}),
        ('a/b; name="no end', "a/b", {"name": "no end"}),
        ("a/b; name = spaced", "a/b", {"name": "spaced"}),
        ("a/b;; name=x;", "a/b", {"name": "x"}),
        ("a/b; lonely; name=x", "a/b", {"name": "x"}),
        # The first of two wins.
        ("a/b; name=x; name=y", "a/b", {"name": "x"}),
        # RFC 2231 §3 and §4, with the sections in any order.
        ("a/b; url*1=b; url*0=a", "a/b", {"url": "ab"}),
        ("a/b; title*=us-ascii'en'This%20is", "a/b", {"title": "This is"}),
        ("a/b; t*0*=utf-8'en'%C3; t*1*=%BC%20; t*2=50%25", "a/b", {"t": "ü 50%25"}),
        ("a/b; t*=iso-8859-1''gr%FCn", "a/b", {"t": "grün"}),
        ("a/b; t*=gr%C3%BCn", "a/b", {"t": "grün"}),
        ("a/b; t*0=x; t*1*=%C3%BC", "a/b", {"t": "xü"}),
        # Against RFC 2047 §5, and everywhere.
        ('a/b; name="=?utf-8?q?gr=C3=BCn.txt?="', "a/b", {"name": "grün.txt"}),
        ("a/b; *=x; t**=y; name=z", "a/b", {"name": "z"}),
    ],
)
def test_parameters_are_read(value: str | None, kind: str, parameters: dict[str, str]) -> None:
    assert parse_parameters(value) == (kind, parameters)


@pytest.mark.parametrize(
    "piece", [";", "; a", "; a=", '; a="', "; a*1=x", "=", '"', "\\", "(", " ", '; a="\\', "; =x"]
)
def test_hostile_parameters_are_read_once(
    piece: str, steps: Callable[[Callable[[int], object]], float]
) -> None:
    assert steps(lambda size: parse_parameters("a/b; x" + piece * size)) < 4
