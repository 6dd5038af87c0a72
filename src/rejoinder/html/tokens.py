# SPDX-License-Identifier: Apache-2.0
"""HTML split into text, start tags and end tags, as a browser's tokenizer splits it (HTML Standard §13.2.5).

Comments, declarations and what is never shown (scripts, styles, titles) are left out. The surprise: a
construct that never ends takes the rest of the input with it, as the standard says, which is also what
makes one pass enough. And the pass ends early: a stranger decides how much there is to read, so it takes at
most ``MAX_STEPS`` steps, whether they are tags, attributes, comments, character references or lines.
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


@dataclass(frozen=True, slots=True)
class Cut:
    """The reading ends here, though the input does not."""


Token: TypeAlias = str | Start | End
"""A string is decoded text, which may come in several pieces."""

MAX_STEPS: Final = 200_000
"""About two seconds; a newsletter takes some thousands."""
_PIECE: Final = 16_384
_MAX_REFERENCE: Final = 40
"""Characters; the longest name of a reference has 32."""

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


def tokens(html: str) -> Iterator[Token | Cut]:
    """The tokens in order, and ``Cut`` at the end of an input that takes too many steps; never raises."""
    html = html.replace("\0", "")
    position, end, left = 0, len(html), MAX_STEPS
    while position < end and left > 0:
        left -= 1
        opening = html.find("<", position, position + _PIECE)
        if opening != position:
            text = html[position : opening if opening >= 0 else _piece_end(html, position)]
            left -= text.count("&") + text.count("\n")
            yield decoded(text)
            position += len(text)
            continue
        tag = _TAG.match(html, opening)
        if tag is None:
            position = _after_markup(html, opening)
            if position == opening:
                yield "<"
                position += 1
            continue
        name = tag[1].lower()
        attributes, position, left = _attributes(html, tag.end(), left)
        if position < 0:
            break
        if html[opening + 1] == "/":
            yield End(name)
        elif name in _UNSEEN:
            closing = _UNSEEN[name].search(html, position)
            position = closing.start() if closing else end
        else:
            yield Start(name, attributes)
    if left <= 0 and position < end:
        yield Cut()


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


def _attributes(html: str, position: int, left: int) -> tuple[dict[str, str], int, int]:
    """The attributes of the tag, where it ends (-1 if it never does), and how many steps are left."""
    found: dict[str, str] = {}
    while (closing := _TAG_END.match(html, position)) is None:
        attribute = _ATTRIBUTE.match(html, position)
        if attribute is None:
            return found, -1, left
        value = attribute[2] or ""
        position = attribute.end()
        if not value and html.startswith(('"', "'"), position) and attribute[2] is not None:
            return found, -1, left  # a quote that is never closed
        left -= 1 + value.count("&")
        if left <= 0:
            return found, -1, left
        found.setdefault(
            attribute[1].lower(), decoded(value[1:-1] if value.startswith(('"', "'")) else value)
        )
    return found, closing.end(), left


def _piece_end(html: str, position: int) -> int:
    """Where a piece of a long text ends, without splitting a character reference or a line end."""
    end = position + _PIECE
    if end >= len(html):
        return len(html)
    reference = html.find("&", end - _MAX_REFERENCE, end)
    end = reference if reference >= 0 else end
    return end - 1 if html[end - 1] == "\r" else end
