# SPDX-License-Identifier: Apache-2.0
"""What the customer's mail server thinks of an answer: who sent it, and to which conversation it belongs.

Each check tells its faults in sentences. Nothing here knows the server; it has the bytes that arrived and
the DNS, like anybody to whom mail is sent.
"""

from __future__ import annotations

from collections.abc import Iterator

from rejoinder.ingress.session import Delivery
from rejoinder.internet.town import CUSTOMER_HOST, SUPPORT, Town
from rejoinder.mailauth.authenticate import authenticate
from rejoinder.mailauth.verdict import Policy, SpfResult, Verdict
from rejoinder.message.headers import Headers, split
from rejoinder.message.thread import msg_ids


async def verify(town: Town, delivery: Delivery) -> Verdict:
    """SPF, DKIM and DMARC of a mail, as the customer's mail server finds them in the DNS."""
    headers, body_offset = split(delivery.raw)
    return await authenticate(
        delivery.raw,
        headers,
        body_offset,
        ip=delivery.client.ip,
        helo=delivery.client.helo or "",
        reverse_path=delivery.envelope.reverse_path,
        resolver=town.resolver,
        now=delivery.received_at,
        receiver=CUSTOMER_HOST,
    )


def unproven(verdict: Verdict) -> Iterator[str]:
    """What keeps an answer from being proven ours."""
    spf = verdict.spf
    passes = spf.result is SpfResult.PASS
    yield from unless(passes, f"SPF does not pass at the customer: {spf.result} for {spf.domain}")
    signed = any(each.proves and each.domain == SUPPORT.domain for each in verdict.dkim)
    found = ", ".join(f"{each.result} ({each.reason})" for each in verdict.dkim) or "no signature"
    yield from unless(signed, f"DKIM does not pass for {SUPPORT.domain} at the customer: {found}")
    by_policy = verdict.dmarc_valid and verdict.dmarc.policy is Policy.REJECT
    yield from unless(by_policy, f"DMARC does not pass at the customer: {verdict.dmarc.result}")


def badly_threaded(letter: Headers, answer: Delivery) -> Iterator[str]:
    """What keeps an answer from standing below the letter (RFC 5322 §3.6.4)."""
    headers = split(answer.raw)[0]
    own = msg_ids(letter.get("Message-ID"))
    chain = (*msg_ids(letter.get("References")), *own)
    answered = msg_ids(headers.get("In-Reply-To"))
    yield from unless(answered == own, f"In-Reply-To is {answered}, the letter is {own}")
    references = msg_ids(headers.get("References"))
    yield from unless(references == chain, f"References are {references}, the thread is {chain}")
    subject, wanted = headers.get("Subject", ""), f"Re: {letter.get('Subject', '').removeprefix('Re: ')}"
    yield from unless(subject == wanted, f"the subject is {subject!r}, not {wanted!r}")


def unless(holds: bool, fault: str) -> Iterator[str]:
    """The fault, unless it holds."""
    if not holds:
        yield fault
