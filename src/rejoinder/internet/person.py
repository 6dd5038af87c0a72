# SPDX-License-Identifier: Apache-2.0
"""Somebody who writes mail: composes, signs with their domain's key, sends over SMTP, answers answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rejoinder.clock import Clock
from rejoinder.ids import Ids
from rejoinder.mailauth.dkim.sign import Signer
from rejoinder.message.address import Address, Mailbox
from rejoinder.message.compose import Draft, compose
from rejoinder.message.headers import Headers
from rejoinder.message.thread import reply_fields
from rejoinder.outbound.connection import HopResult, NextHop
from rejoinder.outbound.pool import Pool
from rejoinder.smtp.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Person:
    """A mailbox with a name, and the key of its domain."""

    address: Address
    signer: Signer
    clock: Clock
    ids: Ids

    def write(
        self,
        to: Mailbox,
        subject: str,
        text: str,
        *,
        answering: Headers | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> bytes:
        """A signed message; ``answering`` makes it a reply in that thread."""
        now = self.clock.now()
        thread = None if answering is None else reply_fields(answering)
        draft = Draft(
            from_=self.address,
            to=(Address("", to),),
            subject=subject if thread is None else thread.subject,
            text=text,
            html=None,
            message_id=f"<{self.ids.unique(now)}@{self.address.mailbox.host}>",
            date=now,
            in_reply_to=None if thread is None else thread.in_reply_to,
            references=() if thread is None else thread.references,
            headers=tuple(headers),
        )
        raw = compose(draft)
        return self.signer.sign(raw, now) + raw


async def post(
    pool: Pool, hop: NextHop, ehlo: str, raw: bytes, *, reverse_path: Mailbox | None, to: Mailbox
) -> HopResult:
    """Hand a message to a mail server; the envelope is the caller's."""
    return await pool.send(hop, ehlo, Envelope(reverse_path, (to,), len(raw)), raw)
