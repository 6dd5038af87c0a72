# SPDX-License-Identifier: Apache-2.0
"""HTML split into text, start tags and end tags, as a browser's tokenizer splits it (HTML Standard §13.2.5).

Comments, declarations and what is never shown (scripts, styles, titles) are left out. The surprise: a
construct that never ends takes the rest of the input with it, as the standard says, which is also what
makes one pass enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Start:
    """A start tag; attribute values are decoded, of a repeated attribute the first counts."""

    name: str
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class End:
    """An end tag."""

    name: str


Token: TypeAlias = str | Start | End
"""A string is decoded text, which may come in several pieces."""

_TAG: Final = re.compile(r"(?a)</?+([A-Za-z][^\s/>]*+)")
_ATTRIBUTE: Final = re.compile(
    r"""(?a)[\s/]*+([^\s/>][^\s/>=]*+)(?:\s*+=\s*+("[^"]*+"|'[^']*+'|[^\s>"'][^\s>]*+|))?+"""
)
_TAG_END: Final = re.compile(r"(?a)[\s/]*+>")
_COMMENT: Final = re.compile(r"(?s)<!--(?:-?>|.*?--!?>)")
_UNSEEN: Final = {
    name: re.compile(rf"(?ai)</{name}(?=[\s/>])")
    for name in ("script", "style", "title", "iframe", "noembed", "noframes", "template")
}
_HUGE_REFERENCE: Final = re.compile(r"&#\d{10,}+;?")


def tokens(html: str) -> Iterator[Token]:
    """The tokens in order; never raises."""
    html = html.replace("\0", "")
    position, end = 0, len(html)
    while position < end:
        opening = html.find("<", position)
        if opening != position:
            yield decoded(html[position : opening if opening >= 0 else end])
        if opening < 0:
            return
        tag = _TAG.match(html, opening)
        if tag is None:
            position = _after_markup(html, opening)
            if position == opening:
                yield "<"
                position += 1
            continue
        name = tag[1].lower()
        attributes, position = _attributes(html, tag.end())
        if position < 0:
            return
        if html[opening + 1] == "/":
            yield End(name)
        elif name in _UNSEEN:
            closing = _UNSEEN[name].search(html, position)
            position = closing.start() if closing else end
        else:
            yield Start(name, attributes)


def decoded(text: str) -> str:
    """Text with its character references resolved."""
    if "&" not in text:
        return text
    # A number of thousands of digits would be refused by ``int`` with an exception.
    return unescape(_HUGE_REFERENCE.sub("\ufffd", text))


def _after_markup(html: str, opening: int) -> int:
    """Where a comment, declaration or the like that starts here ends; ``opening`` if none does."""
    if html.startswith("<!--", opening):
        comment = _COMMENT.match(html, opening)
        return comment.end() if comment else len(html)
    if html.startswith(("<!", "<?", "</"), opening):
        return html.find(">", opening) + 1 or len(html)
    return opening


def _attributes(html: str, position: int) -> tuple[dict[str, str], int]:
    """The attributes of the tag, and where it ends: -1 if it never does."""
    found: dict[str, str] = {}
    while (closing := _TAG_END.match(html, position)) is None:
        attribute = _ATTRIBUTE.match(html, position)
        if attribute is None:
            return found, -1
        value = attribute[2] or ""
        position = attribute.end()
        if not value and html.startswith(('"', "'"), position) and attribute[2] is not None:
            return found, -1  # a quote that is never closed
        found.setdefault(
            attribute[1].lower(), decoded(value[1:-1] if value.startswith(('"', "'")) else value)
        )
    return found, closing.end()
