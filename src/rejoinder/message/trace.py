# SPDX-License-Identifier: Apache-2.0
"""Trace fields and dates: Received, Return-Path, and how many hops a message has behind it.

The trace fields we add are put in front of a message when it is shown; they are no part of ``raw``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, Literal

from rejoinder.message.address import Mailbox
from rejoinder.message.encode import structured
from rejoinder.message.headers import Headers

Protocol = Literal["SMTP", "ESMTP", "ESMTPS", "ESMTPA", "ESMTPSA"]
"""What a session spoke (RFC 5321 §4.4, RFC 3848)."""

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ZONES: Final = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}
_COMMENT: Final = re.compile(r"\([^()]*+\)")
_DATE: Final = re.compile(
    r"(?i)\b(\d{1,2})[ -]+(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*+[ -]+(\d{2,4})"
    r"[ ,]+(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\.\d+)?[ ]*([+-]\d{4}|[a-z]{1,4})?"
)
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._:\[\]-]+")


def received_field(
    *,
    helo: str,
    peer: str,
    by: str,
    protocol: Protocol,
    message_id: str,
    received_at: int,
    forward_path: Mailbox | None = None,
) -> bytes:
    """Our Received field (RFC 5321 §4.4).

    ``peer`` is the client's IP address, ``message_id`` our id of the message, ``received_at`` in
    microseconds. ``forward_path`` is given only when the transaction has one recipient: more would tell
    each of the others (RFC 5321 §7.6).
    """
    literal = f"[IPv6:{peer}]" if ":" in peer else f"[{peer}]"
    parts = [f"from {_safe(helo)}", f"({literal})", f"by {by}", f"with {protocol}", f"id {message_id}"]
    if forward_path is not None:
        parts.append(f"for <{forward_path}>")
    return structured("Received", [*parts[:-1], f"{parts[-1]};", format_date(received_at)])


def return_path_field(reverse_path: Mailbox | None) -> bytes:
    """The Return-Path field of final delivery; ``<>`` for the null reverse-path (RFC 5321 §4.4)."""
    return structured("Return-Path", [f"<{reverse_path or ''}>"])


def received_count(headers: Headers) -> int:
    """How many hops the message has behind it; the measure of the loop rule (RFC 5321 §6.3)."""
    return len(headers.fields("Received"))


def format_date(at: int) -> str:
    """Microseconds since the epoch as an RFC 5322 §3.3 date in UTC, locale or not."""
    moment = datetime.fromtimestamp(at // 1_000_000, UTC)
    return (
        f"{_DAYS[moment.weekday()]}, {moment.day:02d} {_MONTHS[moment.month - 1]} {moment.year:04d} "
        f"{moment.hour:02d}:{moment.minute:02d}:{moment.second:02d} +0000"
    )


def parse_date(value: str | None) -> int | None:
    """Microseconds since the epoch of a date field; None for what is no date.

    Obsolete forms are read (RFC 5322 §4.3): years of two digits, named zones, no day of the week, no seconds.
    An unknown zone counts as UTC.
    """
    match = _DATE.search(_COMMENT.sub(" ", value or "")[:200])
    if not match:
        return None
    day, month, year, hour, minute, second, zone = match.groups()
    number = int(year) + ((2000 if int(year) < 50 else 1900) if len(year) < 4 else 0)
    try:
        moment = datetime(
            number, _MONTHS.index(month.title()) + 1, int(day), int(hour), int(minute),
            min(int(second or 0), 59), tzinfo=timezone(_offset(zone or "")),
        )  # fmt: skip
        return int(moment.timestamp()) * 1_000_000
    except (ValueError, OverflowError):
        return None


def _offset(zone: str) -> timedelta:
    if zone[:1] in ("+", "-"):
        minutes = int(zone[1:3]) * 60 + int(zone[3:5])
        return timedelta(minutes=-minutes if zone[0] == "-" else minutes)
    return timedelta(hours=_ZONES.get(zone.upper(), 0))


def _safe(helo: str) -> str:
    """What the client called itself, without what could be taken for a comment or a clause."""
    return _UNSAFE.sub("?", helo)[:255] or "unknown"
