# SPDX-License-Identifier: Apache-2.0
"""Values that the tests of the demonstration share."""

from __future__ import annotations

from rejoinder.store.records import Email, EmailStatus

EMAIL = Email(
    id="email_1",
    account="default",
    thread_id="thread_1",
    raw_id="raw_1",
    raw_size=7,
    reverse_path="alice@customer.example",
    forward_path="support@desk.example",
    client_ip="127.0.0.1",
    helo="mail.customer.example",
    trace=b"",
    verdict="{}",
    event_key="key",
    event_key_stable=True,
    status=EmailStatus.HANDLED,
    mark=None,
    route="support@desk.example",
    message_id="<1@customer.example>",
    subject="Fire",
    author="alice@customer.example",
    author_name="Alice",
    received_at=1_704_164_645_000_000,
)
