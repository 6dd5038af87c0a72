# SPDX-License-Identifier: Apache-2.0
"""SPF (RFC 7208) by spftrace, behind one function: our resolver in, a verdict out.

Its time limit is off, since the deadline is the caller's. Its 75 look-ups and the RFC's ten terms and
two void look-ups stay. This is the one place where ``mailauth`` needs asyncio to run under: spftrace waits
for each answer with asyncio's own timer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, cast, get_args

from spftrace import BaseResolver, Evaluator, Event, Limits

from rejoinder.dns import Answer, Mx, Rcode, RdType, Record, Resolver
from rejoinder.mailauth.verdict import SpfResult, SpfVerdict
from rejoinder.message.address import Mailbox, a_label

_LONGEST: Final = 8192  # octets of a record; the largest in use have 2,000, and reading more takes our time
_STEPS: Final = 12
_STEP: Final = 160
_LIMITS: Final = Limits(time_limit=math.inf)
# spftrace 0.3 drops an explanation with spaces, which RFC 7208 §12 allows (explain-string); so they go in
# and come out as a character that no explanation needs.
_SPACE: Final = "`"


async def check_host(
    ip: str, helo: str, reverse_path: Mailbox | None, resolver: Resolver, receiver: str
) -> SpfVerdict:
    """SPF of the reverse-path, or of the HELO name where it is null (RFC 7208 §2.4).

    Args:
        ip: the client's address.
        helo: what it said in HELO or EHLO.
        reverse_path: of MAIL FROM.
        resolver: asked for every record.
        receiver: our name, for the macro ``%{r}`` of an explanation.
    """
    sender, domain = identity(helo, reverse_path)
    if not domain:
        return SpfVerdict(SpfResult.NONE, steps=("no domain to ask about",))
    evaluator = Evaluator(_Adapter(resolver), _LIMITS, receiver)
    found = await evaluator.evaluate(ip, sender, a_label(helo))
    return SpfVerdict(
        SpfResult(found.result),
        domain,
        "helo" if reverse_path is None else "mailfrom",
        (found.explanation or "").replace(_SPACE, " ")[:_STEP],
        _steps(found.trace.events),
    )


def identity(helo: str, reverse_path: Mailbox | None) -> tuple[str, str]:
    """The sender that is checked, and its domain; the domain is empty if there is none."""
    if reverse_path is None:
        domain = a_label(helo)
        return f"postmaster@{domain}", domain
    return f"{reverse_path.local_part or 'postmaster'}@{reverse_path.host}", reverse_path.host


class _Adapter(BaseResolver):
    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def _lookup(self, name: str, rtype: str) -> tuple[str, list[str]]:
        assert rtype in get_args(RdType)
        answer = await self._resolver.query(name, cast(RdType, rtype))
        return _rcode(answer), [_written(record) for record in answer.records]


def _rcode(answer: Answer) -> str:
    return {
        Rcode.NOERROR: "NOERROR",
        Rcode.NXDOMAIN: "NXDOMAIN",
        Rcode.SERVFAIL: "SERVFAIL",
        Rcode.TIMEOUT: "TIMEOUT",
    }[answer.rcode]


def _written(record: Record) -> str:
    match record:
        case Mx(_, exchange):
            return exchange
        case bytes():
            return _text(record)
        case str():
            return record


def _text(record: bytes) -> str:
    text = record.decode("utf-8", "replace")
    if text[:6].lower() != "v=spf1":
        return text.replace(" ", _SPACE)
    return text if len(record) <= _LONGEST else "v=spf1 record-too-long"  # a syntax error, so permerror


def _steps(events: Sequence[Event]) -> tuple[str, ...]:
    """How the result came about: records, the terms that were tried, and why it ended."""
    lines = (_STEP_OF[event.kind](event.data) for event in events if event.kind in _STEP_OF)
    return tuple(line[:_STEP] for line in islice(lines, _STEPS))


_STEP_OF: Final[dict[str, Callable[[dict[str, object]], str]]] = {
    "check_start": lambda data: f"domain {data['domain']}",
    "policy_parsed": lambda data: f"record {data['policy']}",
    "dns_lookup": lambda data: f"{data['rtype']} {data['name']}: {str(data['rcode']).lower()}",
    "mech_nomatch": lambda data: f"{data['raw']}: no match",
    "mech_match": lambda data: f"{data['raw']}: {data['result']}",
    "exit": lambda data: str(data["reason"]),
}
