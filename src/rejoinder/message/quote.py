# SPDX-License-Identifier: Apache-2.0
"""Quoting a message in plain text: a line that says who wrote when, then each line behind ``> ``.

A line that is a quotation already gets its mark without a space (``>> ``), so that depth is read as in
RFC 3676 §4.5 and readers that stuff spaces see no quoted space.
"""

from __future__ import annotations

from rejoinder.message.address import Address
from rejoinder.message.trace import format_date


def quote_text(author: Address, date: int | str | None, text: str) -> str:
    """The attribution and the quoted text, LF line ends, without a final one.

    ``date`` is in microseconds since the epoch, or the text of a Date field, or unknown.
    """
    when = format_date(date) if isinstance(date, int) else " ".join((date or "").split())
    attribution = f"On {when}, {author} wrote:" if when else f"{author} wrote:"
    lines = text.replace("\r\n", "\n").rstrip().split("\n")
    return "\n".join([" ".join(attribution.split()), *map(_quoted, lines)])


def _quoted(line: str) -> str:
    line = line.rstrip()
    if not line:
        return ">"
    return f">{line}" if line.startswith(">") else f"> {line}"
