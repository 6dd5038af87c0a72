# SPDX-License-Identifier: Apache-2.0
"""The results as tables for people, with ratios where there is something to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bench.reply import Result as ReplyResult
from bench.road import Result as RoadResult

_ROAD: Final = (
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
_REPLY: Final = (
    ("requests per second", "requests_per_second"),
    ("CPU of the server per request (ms)", "cpu_ms"),
    ("CPU of the client per request (ms)", "client_cpu_ms"),
    ("p50 (ms)", "p50_ms"),
    ("p99 (ms)", "p99_ms"),
    ("requests", "requests"),
    ("lost", "lost"),
    ("doubled", "doubled"),
)
_COMPARED: Final = {
    *("cpu_ms", "steady_cpu_ms", "replies_per_second", "requests_per_second"),
    *("p50_ms", "p99_ms"),
}


def road_table(results: Sequence[RoadResult]) -> str:
    """A row for each number, a column for each server."""
    return _table(_ROAD, results, ("peer", "rejoinder"))


def reply_table(results: Sequence[ReplyResult]) -> str:
    """A row for each number, a column for each server."""
    return _table(_REPLY, results, ("down", "plain"))


def _table(
    rows: Sequence[tuple[str, str]],
    results: Sequence[RoadResult] | Sequence[ReplyResult],
    compared: tuple[str, str],
) -> str:
    """With the ratio of these two, if both were measured."""
    of = {result.name: result for result in results}
    has_both = of.keys() >= set(compared)
    lines = [_line("", list(of), " / ".join(compared) if has_both else "")]
    for label, field in rows:
        values = {name: float(getattr(result, field)) for name, result in of.items()}
        ratio = _ratio(*(values[name] for name in compared)) if has_both and field in _COMPARED else ""
        lines.append(_line(label, [_number(value) for value in values.values()], ratio))
    return "\n".join(lines)


def _ratio(value: float, other: float) -> str:
    return f"{value / other:.2f}" if other else ""


def _number(value: float) -> str:
    return f"{value:.0f}" if value.is_integer() else f"{value:.2f}"


def _line(label: str, values: Sequence[str], ratio: str) -> str:
    return f"{label:42}{''.join(f'{value:>12}' for value in values)}{ratio:>20}".rstrip()
