# SPDX-License-Identifier: Apache-2.0
"""Where in a TOML text each table and key stands.

``tomllib`` reads values and forgets lines, and an error without a line sends people searching. This
reads only the structure of a text that ``tomllib`` has accepted: headers, keys, and enough of the
values to know where they end. The surprise: a value over several lines has the line of its key, and
what stands inside an inline table or an array has it too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

Step = str | int
Place = tuple[Step, ...]
"""Keys, and the position in an array of tables: ``("worker", 1, "file")``."""

_KEY: Final = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_DOTTED: Final = rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*"
_HEADER: Final = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_DOTTED})[ \t]*\]\]?")
_ASSIGNMENT: Final = re.compile(rf"[ \t]*({_DOTTED})[ \t]*=")
_PART: Final = re.compile(_KEY)
# What can hide a bracket, a newline or a hash from us; longest first (TOML 1.0, "String").
_TOKEN: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*|[\[{]|[\]}]|\n|[^\"'\#\[\]{}\n]+|.",
    re.DOTALL,
)


def lines_of(text: str) -> Mapping[Place, int]:
    """The line, counted from 1, of every table and key of a well-formed TOML text."""
    found: dict[Place, int] = {}
    table: Place = ()
    elements: Counter[Place] = Counter()
    for line, statement in _statements(text):
        if header := _HEADER.match(statement):
            table = _opened(header, elements)
            found.setdefault(table, line)
        elif assignment := _ASSIGNMENT.match(statement):
            found[table + _parts(assignment[1])] = line
    return found


def line_at(lines: Mapping[Place, int], place: Place) -> int | None:
    """The line of a place, or of the nearest thing around it; None if nothing around it is written."""
    for length in range(len(place), 0, -1):
        if (line := lines.get(place[:length])) is not None:
            return line
    return None


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each header or assignment with the line on which it begins."""
    line, depth, start, first = 1, 0, 0, 1
    for token in _TOKEN.finditer(text):
        if token[0] in {"[", "{"}:
            depth += 1
        elif token[0] in {"]", "}"}:
            depth -= 1
        elif token[0] == "\n" and depth == 0:
            yield first, text[start : token.start()]
            start, first = token.end(), line + 1
        line += token[0].count("\n")
    yield first, text[start:]


def _opened(header: re.Match[str], elements: Counter[Place]) -> Place:
    """The place that a header opens; ``[a.b]`` after ``[[a]]`` means the last element of a."""
    place: Place = ()
    *outer, last = _parts(header[2])
    for part in outer:
        place = _within((*place, part), elements)
    place += (last,)
    if header[1] == "[[":
        elements[place] += 1
    return _within(place, elements)


def _within(place: Place, elements: Counter[Place]) -> Place:
    return (*place, elements[place] - 1) if elements[place] else place


def _parts(dotted: str) -> Place:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))
