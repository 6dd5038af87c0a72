# SPDX-License-Identifier: Apache-2.0
"""The report to a sender whose mail was refused after it had its 250 (RFC 3464); pure.

A report goes only where a reply might go too: to a reverse-path that is proven. Otherwise it would be
backscatter, mail to somebody who never wrote.
"""

from __future__ import annotations

from rejoinder.message.address import Address, Mailbox
from rejoinder.message.dsn import DsnRecipient, compose_dsn
from rejoinder.replies.compose import Reply
from rejoinder.replies.original import Original


def report_goes_to(original: Original) -> Mailbox | None:
    """The sender, if it may be told of a refusal: there is a reverse-path, and it is proven."""
    reverse_path = original.reverse_path
    proven = reverse_path is not None and original.verdict.reverse_path_proven(reverse_path)
    return reverse_path if proven else None


def compose_report(
    original: Original, to: Mailbox, reason: str, *, hostname: str, token: str, now: int
) -> Reply:
    """The report that the mail was refused for ``reason``; ``token`` is the left side of its Message-ID."""
    ours = original.forward_path
    author = Mailbox("postmaster", ours.domain)
    message_id = f"<{token}@{ours.host}>"
    diagnostic = f"550 5.7.1 {reason}"
    raw = compose_dsn(
        reporting_mta=hostname,
        from_=Address("Mail delivery", author),
        to=to,
        original=original.headers,
        recipients=[DsnRecipient(ours, "failed", "5.7.1", diagnostic)],
        message_id=message_id,
        date=now,
    )
    return Reply(raw, author, to, message_id, "Delivery Status Notification (Failure)", (), ())
