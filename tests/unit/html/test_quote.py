# SPDX-License-Identifier: Apache-2.0
"""Quoting in HTML."""

from __future__ import annotations

import pytest

from rejoinder.html.quote import MAX_QUOTED, append, html_of_text, quote_html

LINE = "On Thu, 01 Jan 1970 00:00:00 +0000, Jane <jane@x.example> wrote:"


def test_a_quotation_has_the_marks_that_readers_fold() -> None:
    assert quote_html(LINE, "<p>Hello", None) == (
        '<div class="gmail_quote gmail_quote_container"><div dir="ltr" class="gmail_attr">'
        "On Thu, 01 Jan 1970 00:00:00 +0000, Jane &lt;jane@x.example&gt; wrote:<br></div>\n"
        '<blockquote class="gmail_quote" style="margin:0px 0px 0px 0.8ex;'
        'border-left:1px solid rgb(204,204,204);padding-left:1ex">\n'
        "<p>Hello</p>\n</blockquote></div>\n"
    )


def test_what_is_quoted_cannot_leave_its_place() -> None:
    quoted = quote_html("<script>x</script>", "</blockquote></div></div><script>y</script><b>z", None)
    assert "<script" not in quoted
    assert quoted.endswith("\n<b>z</b>\n</blockquote></div>\n")


@pytest.mark.parametrize("html", [None, "", "<p>" + "x" * MAX_QUOTED])
def test_text_is_quoted_where_there_is_no_html_or_too_much(html: str | None) -> None:
    assert '\n<div style="white-space:pre-wrap">a<br>  b &lt;c&gt;</div>\n' in quote_html(
        LINE, html, "a\r\n  b <c>\n\n"
    )


def test_nothing_is_quoted_of_nothing() -> None:
    assert html_of_text("") == '<div style="white-space:pre-wrap"></div>'
    assert html_of_text("") in quote_html(LINE, None, None)


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>x</p>", "<p>x</p><br>\nQ"),
        ("<html><body>x</body></html>\n", "<html><body>x<br>\nQ</body></html>\n"),
        ("<HTML>x</HTML >", "<HTML>x<br>\nQ</HTML >"),
        # Only what a reader's program takes for the end of the body is one, and of several the last.
        ("<body>x<!-- </body> -->y</body></html>", "<body>x<!-- </body> -->y<br>\nQ</body></html>"),
        ("x<script>'</body>'</script>y", "x<script>'</body>'</script>y<br>\nQ"),
        ("<textarea></body></textarea>y</body>", "<textarea></body></textarea>y<br>\nQ</body>"),
        ("x<a title='</body>'>y</a></BODY\n>z", "x<a title='</body>'>y</a><br>\nQ</BODY\n>z"),
        ("<body>x</body><body>y</body>", "<body>x</body><body>y<br>\nQ</body>"),
        ("x</script>y</title></body>", "x</script>y</title><br>\nQ</body>"),
        ("</bodyguard>x</body-x>", "</bodyguard>x</body-x><br>\nQ"),
        ("x <3 y < z </> </3>", "x <3 y < z </> </3><br>\nQ"),
        # What never ends would swallow what comes after it.
        ("x<!-- y", "x<br>\nQ<!-- y"),
        ("x<!-- y</body></html>", "x<br>\nQ<!-- y</body></html>"),
        ("x</body><!-- y</body>", "x<br>\nQ</body><!-- y</body>"),
        ("x<style>y</body>", "x<br>\nQ<style>y</body>"),
        ("x<a href='y>z</body>", "x<br>\nQ<a href='y>z</body>"),
        ("x<!doctype", "x<br>\nQ<!doctype"),
        ("<!--> x <!--->y<!-- - --!>", "<!--> x <!--->y<!-- - --!><br>\nQ"),
    ],
)
def test_an_addition_stands_at_the_end_of_the_body(html: str, expected: str) -> None:
    assert append(html, "Q") == expected


@pytest.mark.parametrize(
    "repeated", ["<!--", "<a b='", "</body>", "<script>", "<", "<a '", "<a =", "<!", "</script", "<a b=''"]
)
def test_the_end_of_a_body_is_found_in_time_that_grows_with_the_input_only(repeated: str) -> None:
    assert "Q" in append(repeated * 300_000, "Q")
