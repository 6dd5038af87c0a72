# SPDX-License-Identifier: Apache-2.0
"""What holds for any HTML: it comes out balanced, harmless and in time."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.html.outline import KNOWN, MAX_DEPTH, VOID, outline
from rejoinder.html.sanitise import sanitise
from rejoinder.html.text import to_text
from rejoinder.html.tokens import End, Start

_PIECES = [
    *(f"<{name}>" for name in sorted(KNOWN)),
    *(f"</{name}>" for name in sorted(KNOWN)),
    "<script>", "</script>", "<style>", "</style>", "<svg>", "<math>", "<mtext>", "<select>", "<template>",
    "<textarea>", "</textarea>", "<title>", "<!--", "-->", "--!>", "<![CDATA[", "]]>", "<", ">", "&", "&lt;",
    "&#60;", '"', "'", "=", "/", " ", "x", "\0", "\n", "<a href='", "<img src=", " onerror=x ",
    "javascript:x", "style='color:red;x:url(y)'",
]  # fmt: skip
html = st.lists(st.sampled_from(_PIECES) | st.text(max_size=5), max_size=60).map("".join)


@given(html)
def test_the_walk_is_balanced(source: str) -> None:
    opened: list[str] = []
    for token in outline(source):
        if isinstance(token, Start) and token.name not in VOID:
            opened.append(token.name)
            assert len(opened) <= MAX_DEPTH + 2
        elif isinstance(token, End):
            assert opened.pop() == token.name
    assert opened == []


@given(html)
def test_what_was_sanitised_stays_as_it_is(source: str) -> None:
    clean = sanitise(source)
    assert sanitise(clean) == clean
    assert "<script" not in clean
    assert "<!--" not in clean


@given(html)
def test_sanitising_changes_no_word_that_is_read(source: str) -> None:
    assert to_text(sanitise(source)).split() == to_text(source).split()


@given(st.text())
def test_escaped_text_is_read_as_it_was(text: str) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    assert to_text(escaped).split() == text.replace("\0", "").split()


_HOSTILE: dict[str, Callable[[int], str]] = {
    "nested": lambda size: "<div>" * (size // 5),
    "nested tables": lambda size: "<table><tr><td>" * (size // 15),
    "lists": lambda size: "<ul>" * 400 + "<li>x" * (size // 5),
    "open formatting": lambda size: (
        "<p>" + "".join(f"<b title={n}>" for n in range(400)) + "<p>x" * (size // 4)
    ),
    "formatting in cells": lambda size: (
        "<table><td>" + "".join(f"<b title={n}>" for n in range(400)) + "<table><td>x</table>" * (size // 20)
    ),
    "astray in a table": lambda size: "<table>" + "x<b></b>" * (size // 8),
    "ends that match nothing": lambda size: "<div>" * 490 + "</p></b></td>" * (size // 13),
    "paragraphs in depth": lambda size: "<p><table><td>" + "<b>" * 480 + "<p></p>" * (size // 7),
    "wide and long": lambda size: (
        "<table><tr><td>" + "x" * (size // 2) + "</td></tr>" + "<tr><td>y" * (size // 18)
    ),
    "attributes": lambda size: "<p " + " ".join(f"a{n}" for n in range(size // 7)) + ">",
    "open quotes": lambda size: "<a b='" * (size // 6) + '"',
    "quotes": lambda size: "<a '\"" * (size // 5),
    "open comments": lambda size: "<!--" * (size // 4),
    "comments": lambda size: "<!---->" * (size // 7),
    "open scripts": lambda size: "<script>" * (size // 8),
    "scripts": lambda size: "<script></scr</script>" * (size // 22),
    "less than": lambda size: "<" * size,
    "references": lambda size: "&#" + "9" * size + "&" * size,
    "ampersands": lambda size: "&" * size,
    "no-break spaces": lambda size: "<b>" + "\xa0" * size + "</b>",
    "texts in pieces": lambda size: "\xa0<x>" * (size // 4),
    "ampersands in a value": lambda size: f"<a href='https://x/{'&' * 8_000}'>" * (size // 8_000),
    "spaces": lambda size: "a" + " " * size + "b" + "&nbsp;" * (size // 6),
    "links": lambda size: "<a href=http://x>y" * (size // 18),
    "styles": lambda size: "<p style='" + "color:red;display :" * (size // 19) + "'>",
    "line ends": lambda size: "<pre>" + "\n" * size + "<br>" * (size // 4) + "</pre>",
    "quotations": lambda size: "<blockquote>" * 50 + "x<br>" * (size // 5),
}


@pytest.mark.parametrize("shape", _HOSTILE)
@pytest.mark.parametrize("read", [sanitise, to_text])
def test_time_and_size_grow_with_the_input_only(shape: str, read: Callable[[str], str]) -> None:
    small, large = _HOSTILE[shape](10_000), _HOSTILE[shape](100_000)
    first, second = _cost(read, small), _cost(read, large)
    # Ten times the input; a square would be a hundred times.
    assert second <= 35 * max(first, 0.002), (shape, first, second)
    assert len(read(large)) <= 8 * len(large) + 1_000


def _cost(read: Callable[[str], str], source: str) -> float:
    """Seconds of CPU, the better of two runs where one is short."""
    costs = []
    for _ in range(2 if len(source) < 50_000 else 1):
        begin = time.process_time()
        read(source)
        costs.append(time.process_time() - begin)
    return min(costs)
