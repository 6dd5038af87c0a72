# SPDX-License-Identifier: Apache-2.0
"""Quoting a message in HTML, with the marks by which Gmail and others fold a quotation away.

What is quoted has been made harmless and balanced before, so it cannot leave its blockquote.
"""

from __future__ import annotations

import re
from html import escape
from typing import Final

from rejoinder.html.sanitise import sanitise

MAX_QUOTED: Final = 1_000_000
"""Characters of HTML that are quoted as HTML; above, the text is quoted in its place."""

_BAR: Final = "margin:0px 0px 0px 0.8ex;border-left:1px solid rgb(204,204,204);padding-left:1ex"
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
# A document's constructs, each to its end; ``never`` is one without an end, which takes the rest with it.
_RAW: Final = r"(?:script|style|title|textarea|iframe|xmp|noembed|noframes|template)(?=[\s/>])"
_ATTRIBUTES: Final = r"""(?:[^>"'=]++|=\s*+(?:"[^"]*+"|'[^']*+'|(?!["']))|["'])*+>"""
_CONSTRUCT: Final = re.compile(
    rf"""(?aisx)<!--(?:-?>|.*?--!?>)
    | <(?P<raw>{_RAW}){_ATTRIBUTES}.*?</(?P=raw)(?=[\s/>])
    | </(?P<end>body|html)(?=[\s/>]){_ATTRIBUTES}
    | <(?:/|(?!{_RAW}))[a-z]{_ATTRIBUTES}
    | <[!?](?!--)[^>]*+>
    | (?P<never><(?:!--|/?[a-z]|[!?]))"""
)


def quote_html(attribution: str, html: str | None, text: str | None) -> str:
    """A quotation below its attribution, which is plain text; ``text`` is quoted where html is not."""
    quoted = sanitise(html) if html and len(html) <= MAX_QUOTED else html_of_text(text or "")
    return (
        '<div class="gmail_quote gmail_quote_container">'
        f'<div dir="ltr" class="gmail_attr">{escape(attribution)}<br></div>\n'
        f'<blockquote class="gmail_quote" style="{_BAR}">\n{quoted}\n</blockquote></div>\n'
    )


def html_of_text(text: str) -> str:
    """Plain text as HTML that keeps its lines and spaces."""
    lines = "<br>".join(escape(line, quote=False) for line in _LINE_END.split(text.rstrip()))
    return f'<div style="white-space:pre-wrap">{lines}</div>'


def append(html: str, addition: str) -> str:
    """A document or fragment with an addition at the end of its body, where a reader sees it."""
    places = {"never": len(html)}
    for construct in _CONSTRUCT.finditer(html):
        if construct["never"]:
            places["never"] = construct.start()
            break
        if construct["end"]:
            places[construct["end"].lower()] = construct.start()
    place = places.get("body", places.get("html", places["never"]))
    return f"{html[:place]}<br>\n{addition}{html[place:]}"
