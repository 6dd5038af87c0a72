# SPDX-License-Identifier: Apache-2.0
"""How the demonstration looks on terminals and elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from rejoinder.internet.show import Show
from rejoinder.store.records import Event, EventKind
from tests.unit.internet.samples import EMAIL

LONG = "Message-ID: <" + "x" * 120 + "@customer.example>"


def printed(*, terminal: bool, width: int = 40, encoding: str = "utf-8") -> tuple[Show, io.BytesIO]:
    out = io.BytesIO()
    text = io.TextIOWrapper(out, encoding=encoding, write_through=True)
    console = Console(file=text, force_terminal=terminal, width=width, color_system=None)
    return Show(console), out


def test_without_a_terminal_a_line_is_a_line() -> None:
    show, out = printed(terminal=False)
    show.line(2, LONG)
    assert out.getvalue().decode() == f"    {LONG}\n"


def test_on_a_narrow_terminal_lines_are_wrapped_below_where_they_begin() -> None:
    show, out = printed(terminal=True)
    show.line(2, LONG)
    lines = out.getvalue().decode().splitlines()
    assert len(lines) > 1
    assert all(line.startswith("    ") and len(line) <= 40 for line in lines)


def test_a_command_is_never_broken() -> None:
    show, out = printed(terminal=True)
    show.command(LONG)
    assert out.getvalue().decode() == LONG + "\n"


def test_control_characters_of_strangers_are_not_printed() -> None:
    show, out = printed(terminal=False)
    show.line(0, "Subject: \x1b]0;owned\x07\r\nX\u202ey [bold]no markup[/bold]")
    assert out.getvalue().decode() == "Subject: ·]0;owned···X·y [bold]no markup[/bold]\n"


def test_what_the_terminal_cannot_show_becomes_a_question_mark() -> None:
    show, out = printed(terminal=False, encoding="ascii")
    show.line(0, "café \udcff")
    assert out.getvalue() == b"caf? ?\n"


def test_a_trace_tells_each_step_with_its_time() -> None:
    show, out = printed(terminal=False)
    kinds = [(EventKind.RECEIVED, 0, '{"spf":"pass","size":7}'), (EventKind.DELAYED, 1500, "{}")]
    events = [
        Event("event_1", "default", kind, EMAIL.received_at + at, EMAIL.id, None, None, told)
        for kind, at, told in kinds
    ]
    show.trace(EMAIL, events)
    assert out.getvalue().decode().splitlines() == [
        f"  {EMAIL.id}, received 2024-01-02T03:04:05.000+00:00",
        "      +0.0 ms  received      spf pass, size 7",
        "      +1.5 ms  delayed       ",
    ]
