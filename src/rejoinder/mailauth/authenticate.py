# SPDX-License-Identifier: Apache-2.0
"""Authenticate a message that has arrived: envelope, header and body in, a Verdict out.

Never raises for what a message or the DNS contains. There are two rounds to the DNS for most mail: the
keys, policies and the SPF record that the message names are asked for together, then whatever SPF still
needs and the organizations of signers other than the author.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rejoinder.dns import Question, Resolver
from rejoinder.mailauth import dmarc, spf
from rejoinder.mailauth.dkim import verify
from rejoinder.mailauth.lookups import Lookups
from rejoinder.mailauth.verdict import Verdict
from rejoinder.message.address import Mailbox, author_domains
from rejoinder.message.headers import Headers


async def authenticate(
    raw: bytes,
    headers: Headers,
    body_offset: int,
    *,
    ip: str,
    helo: str,
    reverse_path: Mailbox | None,
    resolver: Resolver,
    now: int,
    receiver: str = "unknown",
) -> Verdict:
    """SPF, DKIM and DMARC of one message.

    Args:
        raw: the message as received.
        headers: its header fields.
        body_offset: where its body starts.
        ip: the client's address.
        helo: the client's HELO or EHLO name.
        reverse_path: of MAIL FROM, None for ``<>``.
        resolver: asked for every record, each question once.
        now: microseconds since the epoch.
        receiver: our name, for SPF's macro ``%{r}``.
    """
    lookups = Lookups(resolver)
    # RFC 5322 §3.6: From occurs once; which of two a reader sees is not for us to guess.
    authors = author_domains(headers) if len(headers.fields("From")) == 1 else frozenset()
    signatures = verify.find(headers, now)
    _, sender_domain = spf.identity(helo, reverse_path)
    await lookups.many(_first_questions(authors, sender_domain, signatures))
    spf_verdict = await spf.check_host(ip, helo, reverse_path, lookups, receiver)
    dkim_verdicts = await verify.verify(headers, raw[body_offset:], signatures, lookups)
    dmarc_verdict, organizations = await dmarc.evaluate(
        authors, spf_verdict, dkim_verdicts, lookups, [sender_domain] if sender_domain else []
    )
    return Verdict(spf_verdict, dkim_verdicts, dmarc_verdict, organizations)


def _first_questions(
    authors: Collection[str], sender_domain: str, signatures: Sequence[verify.Found]
) -> list[Question]:
    """What will be asked whatever the answers are."""
    asked = verify.questions(signatures)
    if sender_domain:
        asked.append(Question(sender_domain, "TXT"))
    walked = {*authors, sender_domain} if len(authors) == 1 else {sender_domain}
    return asked + [question for domain in sorted(walked) for question in dmarc.walk_questions(domain)]
