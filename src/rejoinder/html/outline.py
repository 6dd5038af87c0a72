# SPDX-License-Identifier: Apache-2.0
"""The walk of an HTML tree: known elements only, properly nested, at most ``MAX_DEPTH`` deep.

Every element that a browser would close unasked is closed here, in so many words. That is what protects
the parsers behind: a bold that a paragraph left open is opened again in each paragraph that follows, and
text straight in a table is moved before it, so that some kilobytes can grow to gigabytes there. The
surprise: a start tag beyond the depth is dropped and its content stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rejoinder.html.tokens import Cut, End, Start, Token, tokens

MAX_DEPTH: Final = 500
ELLIPSIS: Final = "[…]"
"""Stands at the end of what was too long to be read to its end."""

VOID: Final = frozenset({"br", "hr", "img", "wbr"})
HEADINGS: Final = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_CELLS: Final = frozenset({"td", "th"})
_SECTIONS: Final = frozenset({"tbody", "thead", "tfoot"})
_IN_TABLE: Final = _CELLS | _SECTIONS | {"tr"}
_FRAME: Final = _SECTIONS | {"table", "tr"}  # what holds rows and cells, but no text
_BLOCKS: Final = HEADINGS | {
    "address", "article", "aside", "blockquote", "center", "dd", "details", "div", "dl", "dt", "figcaption",
    "figure", "footer", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table", "ul",
}  # fmt: skip
_INLINE: Final = frozenset(
    {
        "a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em", "font", "i", "ins", "kbd",
        "mark", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "var",
    }
)  # fmt: skip
KNOWN: Final = _BLOCKS | _INLINE | _IN_TABLE | VOID

# What a start tag ends, as far as the nearest of its fence (HTML Standard §13.1.2.4, optional tags).
_ENDS: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(_BLOCKS, ("p",)),
    "a": ("a",),
    "li": ("p", "li"),
    "dt": ("p", "dt", "dd"),
    "dd": ("p", "dt", "dd"),
    **dict.fromkeys(_CELLS, ("td", "th")),
    "tr": ("td", "th", "tr"),
    **dict.fromkeys(_SECTIONS, ("td", "th", "tr", "tbody", "thead", "tfoot")),
}
_CELL_FENCE: Final = ("td", "th", "table")
_FENCES: Final[dict[str, tuple[str, ...]]] = {
    "table": (),
    **dict.fromkeys(_IN_TABLE, ("table",)),
    "li": ("ul", "ol", *_CELL_FENCE),
    "dt": ("dl", *_CELL_FENCE),
    "dd": ("dl", *_CELL_FENCE),
}


def outline(html: str) -> Iterator[Token]:
    """The walk; each start tag but those of ``VOID`` has its end tag, in order. Never raises.

    Of an input that takes too long to read it is the beginning, followed by ``ELLIPSIS``.
    """
    walk = _Walk()
    for token in tokens(html):
        match token:
            case Start(name=name) if name in KNOWN:
                walk.start(token)
            case End(name=name) if name in KNOWN:
                walk.end(name)
            case str():
                walk.text(token)
            case Cut():
                walk.finish()
                walk.text(f" {ELLIPSIS}")
            case _:
                continue
        yield from walk.written
        walk.written.clear()
    walk.finish()
    yield from walk.written


class _Walk:
    """The open elements, and for each name where it stands among them, so that no step searches."""

    def __init__(self) -> None:
        self.written: list[Token] = []
        self._open: list[str] = []
        self._places: dict[str, list[int]] = {name: [] for name in KNOWN}

    def start(self, token: Start) -> None:
        name = token.name
        if name in _IN_TABLE and not self._places["table"]:
            return
        for ended in _ENDS.get(name, ()):
            self.end(ended)
        if name not in _IN_TABLE:
            self._into_cell()
        if name in VOID:
            self.written.append(token)
        elif len(self._open) < MAX_DEPTH:
            self._push(token)

    def text(self, text: str) -> None:
        if not text.isspace():
            self._into_cell()
        elif self._open and self._open[-1] in _FRAME:
            return
        self.written.append(text)

    def end(self, name: str) -> None:
        """Close the innermost of this name and all in it, unless a fence stands between."""
        places = self._places[name]
        if places and not any(
            fence[-1] > places[-1] for each in _FENCES.get(name, _CELL_FENCE) if (fence := self._places[each])
        ):
            self._close(places[-1])

    def finish(self) -> None:
        self._close(0)

    def _close(self, place: int) -> None:
        while len(self._open) > place:
            name = self._open.pop()
            self._places[name].pop()
            self.written.append(End(name))

    def _push(self, token: Start) -> None:
        self._places[token.name].append(len(self._open))
        self._open.append(token.name)
        self.written.append(token)

    def _into_cell(self) -> None:
        """Content between cells gets a cell of its own."""
        if self._open and self._open[-1] in _FRAME:
            if self._open[-1] != "tr":
                self._push(Start("tr", {}))
            self._push(Start("td", {}))
