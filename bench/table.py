# SPDX-License-Identifier: Apache-2.0
"""The results as a table for people, with ratios where there is a peer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bench.road import Result

_ROWS: Final = (
    ("CPU per reply, as fast as it goes (ms)", "cpu_ms"),
    ("CPU per reply, at the steady rate (ms)", "steady_cpu_ms"),
    ("replies per second", "replies_per_second"),
    ("p50, final dot to answer (ms)", "p50_ms"),
    ("p99, final dot to answer (ms)", "p99_ms"),
    ("mails as fast as they go", "mails"),
    ("mails at the steady rate", "steady_mails"),
    ("lost", "lost"),
    ("doubled", "doubled"),
    ("unsigned", "unsigned"),
    ("one RSA-2048 signature (ms)", "signature_ms"),
)
_COMPARED: Final = {"cpu_ms", "steady_cpu_ms", "replies_per_second", "p50_ms", "p99_ms"}


def table(results: Sequence[Result]) -> str:
    """A row for each number, a column for each server."""
    lines = [_line("", [result.name for result in results], "peer / ours" if len(results) == 2 else "")]
    for label, field in _ROWS:
        values = [float(getattr(result, field)) for result in results]
        ratio = (
            f"{values[1] / values[0]:.1f}" if len(values) == 2 and field in _COMPARED and values[0] else ""
        )
        lines.append(_line(label, [_number(value) for value in values], ratio))
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:.0f}" if value.is_integer() else f"{value:.2f}"


def _line(label: str, values: Sequence[str], ratio: str) -> str:
    return f"{label:42}{''.join(f'{value:>12}' for value in values)}{ratio:>14}".rstrip()
