# SPDX-License-Identifier: Apache-2.0
"""What was said in a session, as ``C: …`` and ``S: …`` lines: the evidence in events and logs.

Bounded, and safe to print: what is not printable US-ASCII is escaped, content is only counted. It keeps
the session's opening and the mail transaction that goes on; ``begin`` forgets the one before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, takewhile
from typing import Final

_MAX_LINES: Final = 512
_MAX_WIDTH: Final = 512
_MAX_EXCERPT: Final = 4096
_LAST: Final = 4


class Transcript:
    """Collects the lines of a session's opening and of its last mail transaction."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._opening: int | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """Everything kept: the first 512 lines, and each count of content."""
        return tuple(self._lines)

    def begin(self) -> None:
        """A mail transaction begins: what came before the first one is the opening, and is kept."""
        if self._opening is None:
            self._opening = len(self._lines)
        del self._lines[self._opening :]

    def client(self, line: bytes) -> None:
        """The client said this command."""
        text = line[:_MAX_WIDTH].decode("latin-1")
        if not (text.isascii() and text.isprintable()):
            text = text.encode("unicode_escape").decode("ascii")
        self._add(f"C: {text}")

    def content(self, octets: int) -> None:
        """The client sent content."""
        self._lines.append(f"C: ({octets} octets)")

    def server(self, lines: Iterable[str]) -> None:
        """The server said these lines, which are printable already (``Reply.to_lines``)."""
        for line in lines:
            self._add(f"S: {line[:_MAX_WIDTH]}")

    def note(self, text: str) -> None:
        """Nothing was said, and this is why."""
        self._lines.append(f"({text})")

    def _add(self, line: str) -> None:
        if len(self._lines) < _MAX_LINES:
            self._lines.append(line)


def excerpt(lines: Sequence[str]) -> list[str]:
    """The beginning and the last four lines, within 4 KiB: evidence of what leaves nothing but an event."""
    if sum(map(len, lines)) <= _MAX_EXCERPT:
        return list(lines)
    last = lines[-_LAST:]
    room = _MAX_EXCERPT - sum(map(len, last))
    first = lines[: len(list(takewhile(lambda size: size <= room, accumulate(map(len, lines[:-_LAST])))))]
    return [*first, f"({len(lines) - len(first) - len(last)} lines are not shown)", *last]
