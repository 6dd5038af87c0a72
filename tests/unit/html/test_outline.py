# SPDX-License-Identifier: Apache-2.0
"""The walk of a tree: balanced, bounded, with every implied end said."""

from __future__ import annotations

import pytest

from rejoinder.html.outline import MAX_DEPTH, VOID, outline
from rejoinder.html.tokens import MAX_STEPS, End, Start


def walk(html: str) -> str:
    def written(token: str | Start | End) -> str:
        match token:
            case Start(name=name):
                return f"<{name}>"
            case End(name=name):
                return f"</{name}>"
            case str():
                return token

    return "".join(map(written, outline(html)))


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>a<p>b", "<p>a</p><p>b</p>"),
        ("<p><b>a<p>b", "<p><b>a</b></p><p>b</p>"),
        ("<p>a<div>b</div>c</p>", "<p>a</p><div>b</div>c"),
        ("<ul><li>a<li>b<ul><li>c</ul><li>d</ul>",
         "<ul><li>a</li><li>b<ul><li>c</li></ul></li><li>d</li></ul>"),
        ("<dl><dt>a<dd>b<dt>c", "<dl><dt>a</dt><dd>b</dd><dt>c</dt></dl>"),
        ("<a>x<a>y", "<a>x</a><a>y</a>"),
        ("<b><i>x</b>y</i>", "<b><i>x</i></b>y"),
        ("</p>x</b>", "x"),
        ("<o:p>x</o:p><form><input>y", "xy"),
        ("a<br/>b<hr>c</br>", "a<br>b<hr>c"),
        ("<table><tr><td>a<td>b<tr><td>c</table>d",
         "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>d"),
        # What stands between cells would be moved before the table.
        ("<table>x<b>y</b><tr>z", "<table><tr><td>x<b>y</b></td></tr><tr><td>z</td></tr></table>"),
        ("<table> <tr> <td>x</td> </tr> </table>", "<table><tr><td>x</td></tr></table>"),
        ("<td>x</td><tr>y", "xy"),
        # A cell is a fence: its content ends nothing outside.
        ("<b><table><td>x</b>y", "<b><table><td>xy</td></table></b>"),
        ("<p><table><td><p>x<td></p>y",
         "<p></p><table><td><p>x</p></td><td>y</td></table>"),
        ("<table><td><table><tr>x</table></td></table>",
         "<table><td><table><tr><td>x</td></tr></table></td></table>"),
        ("<div>" * 2, "<div><div></div></div>"),
    ],
)  # fmt: skip
def test_every_end_is_said(html: str, expected: str) -> None:
    assert walk(html) == expected


@pytest.mark.parametrize("tag", ["<div>", "<b>", "<table><tr><td>", "<ul><li>", "<blockquote>", "<a><table>"])
def test_nothing_is_deeper_than_the_limit(tag: str) -> None:
    depth = deepest = 0
    for token in outline(tag * MAX_DEPTH * 2 + "the end"):
        if isinstance(token, Start) and token.name not in VOID:
            depth += 1
            deepest = max(deepest, depth)
        elif isinstance(token, End):
            depth -= 1
    assert depth == 0
    assert deepest <= MAX_DEPTH + 2  # a row and a cell, where only a table fitted
    assert "the end" in walk(tag * MAX_DEPTH * 2 + "the end")


def test_what_takes_too_long_to_read_is_balanced_and_ends_with_a_mark() -> None:
    written = walk("<div><table><tr><td>x" + "<i>" * MAX_STEPS)
    assert written.startswith("<div><table><tr><td>x<i>")
    assert written.endswith("</i></td></tr></table></div> […]")
