# SPDX-License-Identifier: Apache-2.0
"""The one line of the log for each mail that came: who, to whom, how large, what was proven, our answer.

Never a word of the content. Where a mail is kept, ``email_ids`` lead to its trace, which has the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from rejoinder.ingress.arrival import Arrival
from rejoinder.ingress.decide import Handling
from rejoinder.ingress.session import Client
from rejoinder.smtp.envelope import Envelope
from rejoinder.smtp.event import ContentRefused
from rejoinder.smtp.reply import Reply

_log = structlog.get_logger("ingress")


def mail_kept(arrival: Arrival, handlings: Sequence[Handling], answer: Reply) -> None:
    """The mail is in the store, or was before."""
    delivery, verdict = arrival.delivery, handlings[0].original.verdict
    _log.info(
        _name(handlings, answer),
        ip=delivery.client.ip,
        helo=delivery.client.helo,
        reverse_path=_reverse_path(delivery.envelope),
        forward_paths=_forward_paths(delivery.envelope),
        size=len(delivery.raw),
        message_id=arrival.message_id,
        email_ids=[each.to.email_id for each in handlings if each.earlier is None],
        duplicate_of=[each.earlier.email_id for each in handlings if each.earlier is not None],
        spf=verdict.spf.result,
        dkim=[f"{each.result} {each.domain}".strip() for each in verdict.dkim],
        dmarc=f"{verdict.dmarc.result} {verdict.dmarc.domain}".strip(),
        answer=str(answer),
    )


def mail_refused(refusal: ContentRefused, client: Client) -> None:
    """The mail is not kept."""
    _log.info(
        "ingress.mail_deferred" if refusal.reply.is_transient else "ingress.mail_rejected",
        ip=client.ip,
        helo=client.helo,
        reverse_path=_reverse_path(refusal.envelope),
        forward_paths=_forward_paths(refusal.envelope),
        size=refusal.size or refusal.envelope.size,
        answer=str(refusal.reply),
    )


def _name(handlings: Sequence[Handling], answer: Reply) -> str:
    if all(each.earlier is not None for each in handlings):
        return "ingress.mail_duplicate"
    return "ingress.mail_rejected" if answer.is_permanent else "ingress.mail_received"


def _reverse_path(envelope: Envelope) -> str:
    return str(envelope.reverse_path or "")


def _forward_paths(envelope: Envelope) -> list[str]:
    return [str(path) for path in envelope.forward_paths]
