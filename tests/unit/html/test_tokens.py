# SPDX-License-Identifier: Apache-2.0
"""Splitting HTML as a browser does (HTML Standard §13.2.5)."""

from __future__ import annotations

import pytest

from rejoinder.html.tokens import MAX_STEPS, Cut, End, Start, Token, decoded, tokens


def a(**attributes: str) -> Start:
    return Start("a", attributes)


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("", []),
        ("x &lt; y &amp; z", ["x < y & z"]),
        ("a < b <3 <", ["a ", "<", " b ", "<", "3 ", "<"]),
        ("<A HREF=x>y</A >", [a(href="x"), "y", End("a")]),
        ("""<a b="1>2" c='3' d=4"5 e f = g>""", [a(b="1>2", c="3", d='4"5', e="", f="g")]),
        ("<a/b/c=1/>", [a(b="", c="1/")]),
        ("<a b=1 B=2>", [a(b="1")]),
        ("<a b=&quot;&#x41;&quot;>", [a(b='"A"')]),
        # A quote counts only where a value begins.
        ('<a "b">c', [Start("a", {'"b"': ""}), "c"]),
        ("<a =b>", [Start("a", {"=b": ""})]),
        ("<a b=>c", [a(b=""), "c"]),
        ("</a b=c>", [End("a")]),
        # What never ends takes the rest with it.
        ("x<a b='c>d", ["x"]),
        ("x<a ", ["x"]),
        ("x<!-- y", ["x"]),
        ("x<!y", ["x"]),
        ("<!-- a --> b<!--> c<!---> d<!-- e --!> f", [" b", " c", " d", " f"]),
        ("<!doctype html><?xml y?></3>z", ["z"]),
        ("<script>if (a<b) '</scripty>'</SCRIPT >x", [End("script"), "x"]),
        ("<style>p{}", []),
        ("<title><b></title>x", [End("title"), "x"]),
        ("&#" + "9" * 5000 + ";x", ["\ufffdx"]),
        ("&#0;&#xD800;&#x110000;", ["\ufffd\ufffd\ufffd"]),
    ],
)
def test_html_is_split(html: str, expected: list[Token]) -> None:
    assert list(tokens(html)) == expected


@pytest.mark.parametrize(
    "repeated", ["<b>", "<", "<!>", "<!---->", "</b/>", "&amp;", "&", "\n", "<a b>", "<title></title>"]
)
def test_reading_ends_where_it_takes_too_many_steps(repeated: str) -> None:
    read = list(tokens(repeated * (MAX_STEPS + 20_000)))
    assert read[-1] == Cut()
    assert len(read) <= MAX_STEPS + 1
    assert Cut() not in tokens(repeated * (MAX_STEPS // 20))


@pytest.mark.parametrize("attribute", ["b ", "b=&amp; "])
def test_reading_ends_in_a_tag_that_takes_too_many_steps(attribute: str) -> None:
    assert list(tokens("x<a " + attribute * MAX_STEPS + ">y")) == ["x", Cut()]


@pytest.mark.parametrize("offset", range(0, 45, 4))
@pytest.mark.parametrize("tail", ["&CounterClockwiseContourIntegral;z", "\r\nz", "&#x1F600;", "x<b>y"])
def test_the_pieces_of_a_long_text_split_nothing(offset: int, tail: str) -> None:
    text = "x" * (16_384 - offset)
    pieces = [each for each in tokens(text + tail) if isinstance(each, str)]
    assert "".join(pieces) == text + decoded(tail).replace("<b>", "")
    assert not any(piece.endswith("\r") for piece in pieces)
