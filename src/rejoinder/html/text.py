# SPDX-License-Identifier: Apache-2.0
"""HTML as the plain text that a reader of text mail wants: paragraphs, lists, quotations, addresses of links.

By hand, because renderers that align tables or indent without limit turn a small input into gigabytes:
here a row of a table is a line, and marks before a line end at ``_MAX_MARKS`` levels. The surprise:
nothing is wrapped; lines are as long as their paragraphs.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from rejoinder.html.outline import HEADINGS, KNOWN, VOID, outline
from rejoinder.html.tokens import End, Start

_MAX_MARKS: Final = 10
_SPACE: Final = re.compile(r"[ \t\n\r\f\v]+")
_HIDDEN: Final = re.compile(r"(?i)display\s*+:\s*+none")
_GAPS: Final = {
    **dict.fromkeys(
        ("address", "article", "aside", "center", "dd", "details", "div", "dt", "figcaption", "figure", "footer",
         "header", "hr", "li", "main", "nav", "section", "table", "tr"), 1
    ),
    **dict.fromkeys(HEADINGS | {"blockquote", "dl", "ol", "p", "pre", "ul"}, 2),
}  # fmt: skip


def to_text(html: str) -> str:
    """The text, LF line ends, without a final one."""
    writer = _Writer()
    for token in outline(html):
        match token:
            case Start():
                writer.start(token)
            case End(name=name):
                writer.end(name)
            case str():
                writer.text(token)
    return writer.result()
