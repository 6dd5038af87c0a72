# SPDX-License-Identifier: Apache-2.0
"""Quoting a message in plain text: a line that says who wrote when, then each line behind ``> ``.

A line that is a quotation already gets its mark without a space (``>> ``), so that depth is read as in
RFC 3676 §4.5 and readers that stuff spaces see no quoted space. How HTML is quoted is ``html.quote``'s
matter; both put the same line above.
"""

from __future__ import annotations

from rejoinder.message.address import Address
from rejoinder.message.trace import format_date


def attribution(author: Address | None, date: int | str | None) -> str:
    """The line that says who wrote when; what is unknown is left out or said to be.

    ``date`` is in microseconds since the epoch, or the text of a Date field, or unknown.
    """
    when = format_date(date) if isinstance(date, int) else date or ""
    line = f"{author or 'Unknown Sender'} wrote:"
    return " ".join((f"On {when}, {line}" if when.strip() else line).split())


def quote_text(author: Address | None, date: int | str | None, text: str) -> str:
    """The attribution and the quoted text, LF line ends, without a final one."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").rstrip().split("\n")
    return "\n".join([attribution(author, date), *map(_quoted, lines)])


def _quoted(line: str) -> str:
    line = line.rstrip()
    if not line:
        return ">"
    return f">{line}" if line.startswith(">") else f"> {line}"
