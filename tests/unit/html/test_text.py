# SPDX-License-Identifier: Apache-2.0
"""HTML read as text."""

from __future__ import annotations

import pytest

from rejoinder.html.text import MAX_TEXT, to_text
from rejoinder.html.tokens import MAX_STEPS


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("<html><head><title>T</title><style>p{}</style></head><body>x</body></html>", "x"),
        (" a\n  <b>b</b>c <i> d</i> ", "a bc d"),
        ("a&nbsp;b &lt;&euro;&gt;", "a b <€>"),
        ("a<br>b<br><br>c", "a\nb\n\nc"),
        ("<p>a</p><p>b</p>c", "a\n\nb\n\nc"),
        ("<h1>a</h1>b", "a\n\nb"),
        # How mail programs write lines and empty lines.
        ("<div>a<br></div><div><br></div><div>b</div>", "a\n\nb"),
        ("a" + "<br>" * 50 + "b", "a\n\n\nb"),
        ("a<hr>b", "a\n----------\nb"),
        ("<ul><li>a<li>b<br>c<ol><li>d<li>e</ol></ul>f", "* a\n* b\n  c\n  1. d\n  2. e\n\nf"),
        ("<ol start=9><li>a<li>b<br>c", "9. a\n10. b\n    c"),
        ("<ol start=-1><li>a</ol><ol start=99999999999><li>b</ol>", "1. a\n\n1. b"),
        ("<li>a<li>b", "* a\n* b"),
        ("<ul><li><ul><li>a</ul></ul>", "* * a"),
        ("<blockquote>a<p>b<blockquote>c</blockquote>d</blockquote>e",
         "> a\n>\n> b\n>\n> > c\n>\n> d\n\ne"),
        ("<dl><dt>a<dd>b</dl>", "a\nb"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c<td> <td>d</table>e", "a  b\nc  d\ne"),
        ("<pre>\n a\n\n  b </pre>c", " a\n\n  b \n\nc"),
        ("<pre>a<b>b</b>\r\nc</pre>", "ab\nc"),
        # Where a link leads is said where its words do not say it.
        ("<a href=https://x.example/y>here</a>!", "here <https://x.example/y>!"),
        ("<a href=https://x.example/>https://x.example</a>", "https://x.example"),
        ("<a href='mailto:a@x.example?subject=b'>a@x.example</a>", "a@x.example"),
        ("<a href=javascript:x>a</a><a href=#b>b</a><a>c</a>", "abc"),
        ("<a href='https://x.example/\n y'>a</a>", "a <https://x.example/y>"),
        ("a<img src=x alt=' a  b '><img alt=''><img>c", "a[a b]c"),
        # What is not shown is not said.
        ("a<div style='DISPLAY : none'>b<br><img alt=c><hr><p>d</p></div>e<span hidden>f</span>g", "aeg"),
        ("x<wbr>y<script>c</script><o:p>z</o:p>", "xyz"),
    ],
)  # fmt: skip
def test_html_reads_as_text(html: str, text: str) -> None:
    assert to_text(html) == text


def test_marks_before_a_line_have_an_end() -> None:
    assert to_text("<blockquote>" * 400 + "x") == "> " * 10 + "x"
    assert to_text("<ul><li>" * 200 + "x") == "* " * 10 + "x"


@pytest.mark.parametrize(
    "html", ["<b>x" * MAX_STEPS, "<p hidden>" + "<b>x" * MAX_STEPS, "<table><tr>" * MAX_STEPS]
)
def test_what_takes_too_long_to_read_says_so_at_its_end(html: str) -> None:
    assert to_text(html).endswith("[…]")


@pytest.mark.parametrize(
    "html",
    [
        "words " * MAX_TEXT,
        "<ul><li>" * 100 + "<pre>" + "x\n" * 100_000,
        "<p>x<p>" + "<img alt='" + "x" * 8_000 + "'>" * 1_000,
        "<a href=http://x.example/" + "x" * 8_000 + ">y</a>" * 1_000,
    ],
)
def test_a_text_that_is_too_long_ends_with_a_mark(html: str) -> None:
    html = html if len(html) > MAX_TEXT else html * 200
    text = to_text(html)
    assert text.endswith(" […]")
    assert MAX_TEXT // 2 < len(text) <= MAX_TEXT + 4


def test_an_attribute_that_nobody_can_read_is_not_said() -> None:
    assert len(to_text("<img alt='" + "ab " * 1_000_000 + "'>")) < 10_000
    assert to_text("<a href=http://x.example/" + "x" * 10_000 + ">y</a>") == "y"
