# SPDX-License-Identifier: Apache-2.0
"""Mail that no person wrote, and what tells it."""

from __future__ import annotations

import pytest

from rejoinder.message.address import Mailbox
from rejoinder.message.automatic import Automatic, AutomaticKind, detect
from rejoinder.message.headers import split

JANE = Mailbox("jane", "x.example")


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("Auto-Submitted: auto-replied", "auto-replied"),
        ("auto-submitted: Auto-Replied (vacation)", "auto-replied"),
        ("Auto-Submitted: auto-generated; owner-email=a@b", "auto-generated"),
        ("Auto-Submitted: auto-notified", "auto-generated"),
        # RFC 3834 §5: any keyword but "no".
        ("Auto-Submitted: x-new-keyword", "auto-generated"),
        ("Auto-Submitted: yes", "auto-generated"),
        ("Auto-Submitted: no", None),
        ("Auto-Submitted: No (a person)", None),
        ("Auto-Submitted: (a person) no; x=y", None),
        ("Auto-Submitted:", None),
        ("Precedence: bulk", "bulk"),
        ("Precedence: JUNK", "bulk"),
        ("Precedence: list", "list"),
        ("Precedence: auto_reply", "auto-replied"),
        ("X-Precedence: bulk", "bulk"),
        ("Precedence: first-class", None),
        ("List-Id: <l.x.example>", "list"),
        ("List-Unsubscribe: <mailto:a@b>", "list"),
        ("List-Post: NO", "list"),
        ("Mailing-List: contact a@b", "list"),
        ("Content-Type: multipart/report; report-type=delivery-status; boundary=x", "dsn"),
        ('Content-Type: multipart/report; boundary=x; report-type="disposition-notification"', "mdn"),
        ("Content-Type: multipart/report; report-type=feedback-report", "report"),
        ("Content-Type: multipart/report", "report"),
        ("Content-Type: message/delivery-status", "dsn"),
        ("Content-Type: message/disposition-notification", "mdn"),
        ("Content-Type: text/plain; report-type=delivery-status", None),
        ("X-Auto-Response-Suppress: All", "suppressed"),
        ("X-Auto-Response-Suppress: DR, OOF (out of office), RN", "suppressed"),
        ("X-Auto-Response-Suppress: AutoReply", "suppressed"),
        ("X-Auto-Response-Suppress: DR, RN", None),
        ("X-Auto-Response-Suppress: none", None),
        ("X-Autoreply: yes", "auto-replied"),
        ("X-Autorespond: Re: x", "auto-replied"),
        ("X-POST-MessageClass: 9; Autoresponder", "auto-replied"),
        ("X-Failed-Recipients: a@b", "dsn"),
        ("X-Loop: a@b", "auto-generated"),
        ("From: Mail Delivery System <MAILER-DAEMON@x.example>", "daemon"),
        ("From: no-reply@x.example", "daemon"),
        ("From: noreply+token@x.example", "daemon"),
        ("From: do_not_reply@x.example", "daemon"),
        ("Sender: owner-list@x.example", "daemon"),
        ("Sender: list-request@x.example", "daemon"),
        ("From: jane@x.example, no-reply@x.example", None),
        ("From: noreplyson@x.example", None),
        ("From: nobody", None),
        ("Subject: Out of office", None),
        ("X-Mailer: bulk", None),
    ],
)
def test_a_field_tells_its_kind(field: str, kind: str | None) -> None:
    headers, _ = split(f"{field}\r\n\r\n".encode())
    assert [str(found.kind) for found in detect(headers, JANE)] == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("reverse_path", "kind"),
    [
        (None, AutomaticKind.NULL_REVERSE_PATH),
        (Mailbox("MAILER-DAEMON", "x.example"), AutomaticKind.DAEMON),
        (Mailbox("owner-list", "x.example"), AutomaticKind.DAEMON),
        (Mailbox("list-bounces", "x.example"), AutomaticKind.DAEMON),
        (Mailbox("bounces+jane=x.example", "y.example"), AutomaticKind.DAEMON),
        (Mailbox("LISTSERV", "x.example"), AutomaticKind.DAEMON),
    ],
)
def test_the_envelope_tells_its_kind(reverse_path: Mailbox | None, kind: AutomaticKind) -> None:
    (found,) = detect(split(b"\r\n")[0], reverse_path)
    assert found == Automatic(kind, "reverse-path", str(reverse_path or "<>"))


def test_each_thing_says_what_tells_it() -> None:
    headers, _ = split(b"AUTO-submitted: auto-replied\r\nSubject: x\r\nPrecedence: bulk\r\n\r\n")
    assert detect(headers, None) == (
        Automatic(AutomaticKind.NULL_REVERSE_PATH, "reverse-path", "<>"),
        Automatic(AutomaticKind.AUTO_REPLIED, "AUTO-submitted", "auto-replied"),
        Automatic(AutomaticKind.BULK, "Precedence", "bulk"),
    )


def test_a_persons_mail_has_nothing() -> None:
    headers, _ = split(b"From: Jane <jane@x.example>\r\nTo: a@b\r\nSubject: Hi\r\n\r\n")
    assert detect(headers, JANE) == ()
