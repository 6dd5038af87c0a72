# SPDX-License-Identifier: Apache-2.0
"""The rows that one recipient of a mail leaves; values only."""

from __future__ import annotations

from dataclasses import dataclass

from rejoinder.ingress.arrival import Arrival
from rejoinder.ingress.decide import Handling
from rejoinder.routing.table import TargetKind
from rejoinder.runtime.conclusion import Conclusion
from rejoinder.smtp.reply import Reply
from rejoinder.store.evidence import Json
from rejoinder.store.records import Email, EmailStatus, Job, Raw, Run, Seen


@dataclass(frozen=True, slots=True)
class Course:
    """What happens to a mail: its status, and the run, its end and the job that carries on, if any."""

    status: EmailStatus
    run: Run | None = None
    conclusion: Conclusion | None = None
    job: Job | None = None


def email_row(arrival: Arrival, handling: Handling, raw: Raw, status: EmailStatus, trace: bytes) -> Email:
    """The mail; its thread is known in the transaction."""
    delivery, to, original = arrival.delivery, handling.to, handling.original
    subject = arrival.headers.fields("Subject")
    author = original.authors[0] if original.authors else None
    return Email(
        id=to.email_id,
        account=to.target.account,
        thread_id="",
        raw_id=raw.id,
        raw_size=raw.size,
        reverse_path=None if original.reverse_path is None else str(original.reverse_path),
        forward_path=str(to.forward_path),
        client_ip=delivery.client.ip,
        helo=delivery.client.helo or "",
        trace=trace,
        verdict=original.verdict.as_json(),
        event_key=to.event_key,
        event_key_stable=to.event_key_stable,
        status=status,
        mark="return-path" if to.target.kind is TargetKind.RETURN_PATH else None,
        route=to.target.match,
        message_id=arrival.message_id,
        subject=subject[0].decoded if subject else None,
        author=None if author is None else str(author.mailbox),
        author_name=(author.display_name or None) if author is not None else None,
        received_at=delivery.received_at,
    )


def seen_row(handling: Handling, answer: Reply, at: int) -> Seen | None:
    """The answer to remember; None for a mail that has no identity."""
    to = handling.to
    if not to.event_key_stable:
        return None
    text = f"{answer.enhanced or ''} {answer.text}"
    return Seen(to.target.account, to.event_key, to.email_id, answer.code, text, at)


def received_evidence(arrival: Arrival, handling: Handling, answer: Reply) -> dict[str, Json]:
    """What the event ``received`` (or ``rejected``) tells."""
    delivery, original = arrival.delivery, handling.original
    verdict = original.verdict
    return {
        "client_ip": delivery.client.ip,
        "helo": delivery.client.helo,
        "reverse_path": str(original.reverse_path or ""),
        "forward_path": str(handling.to.forward_path),
        "message_id": arrival.message_id,
        "size": len(delivery.raw),
        "answer": str(answer),
        "spf": verdict.spf.result,
        "dkim": [f"{each.result} {each.domain}".strip() for each in verdict.dkim],
        "dmarc": f"{verdict.dmarc.result} {verdict.dmarc.domain}".strip(),
        "transcript": [*delivery.transcript, f"S: {answer}"],
    }
