# SPDX-License-Identifier: Apache-2.0
"""HTML as the plain text that a reader of text mail wants: paragraphs, lists, quotations, addresses of links.

By hand, because renderers that align tables or indent without limit turn a small input into gigabytes:
here a row of a table is a line, marks before a line end at ``_MAX_MARKS`` levels, and the whole at
``MAX_TEXT``. The surprise: nothing is wrapped; lines are as long as their paragraphs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from rejoinder.html.outline import ELLIPSIS, HEADINGS, VOID, outline
from rejoinder.html.tokens import End, Start

MAX_TEXT: Final = 1 << 20
"""Characters."""
_MAX_ATTRIBUTE: Final = 8_192
_MAX_MARKS: Final = 10
_MAX_GAP: Final = 3
_SPACE: Final = re.compile(r"[ \t\n\r\f\v]+")
_HIDDEN: Final = re.compile(r"(?i)display\s*+:\s*+none")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")

# How many line ends part an element from what is around it.
_GAPS: Final = {
    **dict.fromkeys(
        ("address", "article", "aside", "center", "dd", "details", "div", "dt", "figcaption", "figure",
         "footer", "header", "li", "main", "nav", "section", "table", "tr"), 1
    ),
    **dict.fromkeys(HEADINGS | {"blockquote", "dl", "p", "pre"}, 2),
}  # fmt: skip


def to_text(html: str) -> str:
    """The text, LF line ends, without a final one; what ``display:none`` hides is left out.

    What is longer than ``MAX_TEXT``, or takes too long to read, ends with ``ELLIPSIS``.
    """
    writer = _Writer()
    for token in outline(html):
        match token:
            case str():
                writer.text(token)
            case Start(name="br"):
                writer.gap(writer.line_ends + 1)
            case Start(name="hr"):
                writer.rule()
            case Start(name="img", attributes=attributes):
                writer.picture(attributes.get("alt", ""))
            case Start(name=name) if name not in VOID:
                writer.start(token)
            case End(name=name):
                writer.end(name)
            case _:
                pass
        if writer.size > MAX_TEXT:
            return shortened("".join(writer.written))
    return "".join(writer.written)


def shortened(text: str) -> str:
    """A text of at most ``MAX_TEXT`` characters and the mark that it was longer."""
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT].rstrip()} {ELLIPSIS}"


@dataclass(slots=True, eq=False)
class _Mark:
    """What stands before the lines of a list item or quotation."""

    first: str
    rest: str


@dataclass(slots=True)
class _Link:
    address: str
    said: list[str]


class _Writer:
    """What is written, what is due before the next word, and what is open."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.size = 0
        self.line_ends = 0
        self._space = ""
        self._marks: list[_Mark] = []
        self._marks_before: list[_Mark] = []
        self._counts: list[int | None] = []  # of the open lists; None for one without numbers
        self._link: _Link | None = None
        self._pre = 0
        self._fresh_pre = False
        self._open = 0
        self._hidden_at = 0  # how many elements were open with the one that hides; 0 for none

    def gap(self, line_ends: int) -> None:
        if not self._hidden_at:
            self.line_ends = max(self.line_ends, min(line_ends, _MAX_GAP))

    def start(self, token: Start) -> None:
        self._open += 1
        if self._hidden_at:
            return
        if "hidden" in token.attributes or _HIDDEN.search(token.attributes.get("style", "")):
            self._hidden_at = self._open
            return
        self._space = "  " if token.name in {"td", "th"} else self._space
        self.gap(_GAPS.get(token.name, 0))
        match token.name:
            case "ul" | "ol":
                self.gap(1 if self._counts else 2)
                self._counts.append(_first_number(token) if token.name == "ol" else None)
            case "li":
                self._mark(self._bullet())
            case "blockquote":
                self._mark("> ", "> ")
            case "pre":
                self._pre += 1
                self._fresh_pre = True
            case "a":
                self._link = _Link(_shown_address(token.attributes.get("href", "")), [])
            case _:
                pass

    def end(self, name: str) -> None:
        self._open -= 1
        if self._hidden_at:
            self._hidden_at = 0 if self._open < self._hidden_at else self._hidden_at
            return
        self.gap(_GAPS.get(name, 0))
        match name:
            case "ul" | "ol":
                self._counts.pop()
                self.gap(1 if self._counts else 2)
            case "li" | "blockquote":
                self._marks.pop()
            case "pre":
                self._pre -= 1
            case "a":
                self._end_link()
            case _:
                pass

    def text(self, text: str) -> None:
        if self._hidden_at:
            return
        if self._pre:
            self._preformatted(text)
            return
        text = _SPACE.sub(" ", text)
        words = text.strip(" ")
        if text.startswith(" "):
            self._space = self._space or " "
        if words:
            self._write(words.replace("\xa0", " "))
            self._space = " " if text.endswith(" ") else ""

    def picture(self, alternative: str) -> None:
        words = " ".join(alternative[:_MAX_ATTRIBUTE].split())
        if words and not self._hidden_at:
            self._write(f"[{words}]")

    def rule(self) -> None:
        if not self._hidden_at:
            self.gap(1)
            self._write("-" * 10)
            self.gap(1)

    def _preformatted(self, text: str) -> None:
        lines = text.replace("\r\n", "\n").split("\n")
        if self._fresh_pre and len(lines) > 1 and not lines[0]:
            del lines[0]  # HTML Standard §13.1.2.5: a line end right after the tag is none
        self._fresh_pre = False
        for position, line in enumerate(lines):
            if position:
                self.gap(self.line_ends + 1)
            if line:
                self._write(line)

    def _end_link(self) -> None:
        link, self._link = self._link, None
        if link and link.address and link.address.rstrip("/") != " ".join(link.said).rstrip("/"):
            self._space = " "
            self._write(f"<{link.address}>")

    def _write(self, text: str) -> None:
        if not self.written:
            before = self._line_start()
        elif self.line_ends:
            blank = "\n" + self._blank_start()
            before = f"{blank * (self.line_ends - 1)}\n{self._line_start()}"
        else:
            before = self._space
        self.written += [before, text]
        self.size += len(before) + len(text)
        self.line_ends, self._space = 0, ""
        if self._link:
            self._link.said.append(text)

    def _line_start(self) -> str:
        start = "".join(mark.first for mark in self._marks)
        for mark in self._marks:
            mark.first = mark.rest
        self._marks_before = self._marks.copy()
        return start

    def _blank_start(self) -> str:
        shared = (new.rest for old, new in zip(self._marks_before, self._marks, strict=False) if old is new)
        return "".join(shared).rstrip()

    def _mark(self, first: str, rest: str | None = None) -> None:
        if len(self._marks) >= _MAX_MARKS:
            first = rest = ""
        self._marks.append(_Mark(first, " " * len(first) if rest is None else rest))

    def _bullet(self) -> str:
        if not self._counts or (count := self._counts[-1]) is None:
            return "* "
        self._counts[-1] = count + 1
        return f"{count}. "


def _first_number(token: Start) -> int:
    start = token.attributes.get("start", "")
    return int(start) if _NUMBER.fullmatch(start) else 1


def _shown_address(href: str) -> str:
    """The address of a link, if a reader of text can follow it."""
    address = "".join(href.split()) if len(href) <= _MAX_ATTRIBUTE else ""
    scheme = address.partition(":")[0].lower()
    if scheme == "mailto":
        return address[7:].partition("?")[0]
    return address if scheme in {"http", "https"} else ""
