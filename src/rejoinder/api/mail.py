# SPDX-License-Identifier: Apache-2.0
"""Received mail over HTTP: list, read, trace. Nothing here changes anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request

from rejoinder.api import render, wire
from rejoinder.api.gate import Gate
from rejoinder.api.key import Scope
from rejoinder.errors import EmailNotFound, EmailNotYetAccepted, HeaderBlockTooLarge, StoreError
from rejoinder.ids import is_id
from rejoinder.message.limits import Limits
from rejoinder.message.parse import ParsedMessage, parse
from rejoinder.store import emails, events, raws, runs, sent
from rejoinder.store.raw import RawStore
from rejoinder.store.records import Email, Raw
from rejoinder.store.unit import Store, Unit

IsHeld = Callable[[str, str], bool]
"""Whether a run that may still refuse it holds the mail: account, email id."""

_MAX_OFFSET: Final = 1 << 53
"""Above it, JSON numbers are no longer exact (RFC 8259 §6)."""


def mail_routes(gate: Gate, store: Store, raw: RawStore, is_held: IsHeld) -> APIRouter:
    """The routes below ``/mail``."""
    mail = _Mail(gate, store, raw, is_held)
    # Before anything else is judged: who has no key learns nothing about parameters.
    router = APIRouter(prefix="/mail", dependencies=[Depends(mail.admit)])
    router.add_api_route("", mail.listing, summary="List received mail, the newest first")
    router.add_api_route("/{email_id}", mail.detail, summary="Read a received mail")
    router.add_api_route("/{email_id}/trace", mail.trace, summary="See what became of a received mail")
    return router


class _Mail:
    def __init__(self, gate: Gate, store: Store, raw: RawStore, is_held: IsHeld) -> None:
        self._gate = gate
        self._store = store
        self._raw = raw
        self._is_held = is_held

    async def listing(
        self,
        request: Request,
        limit: Annotated[int, Query(ge=1, le=100)] = 50,
        offset: Annotated[int, Query(ge=0, le=_MAX_OFFSET)] = 0,
    ) -> wire.MailList:
        account: str = request.state.account
        page, total = await self._store.read(lambda: emails.listing(account, limit, offset))
        return wire.MailList(
            emails=[render.item(email) for email in page],
            pagination=wire.Pagination(
                limit=limit, offset=offset, total=total, has_more=offset + len(page) < total
            ),
        )

    async def detail(self, request: Request, email_id: str) -> wire.MailDetail:
        email = await self._email(request, email_id)
        message = await self._message(email)
        # Decoding the parts of a large message would hold up every session of the loop.
        return await asyncio.to_thread(render.detail, email, message)

    async def trace(self, request: Request, email_id: str) -> wire.Trace:
        email = await self._email(request, email_id)
        return await self._store.read(lambda: _trace(email))

    async def admit(self, request: Request) -> None:
        key = await self._gate.admit(request, Scope.MAIL_READ)
        request.state.account = key.account

    async def _email(self, request: Request, email_id: str) -> Email:
        account: str = request.state.account
        if is_id(email_id, "email"):
            if self._is_held(account, email_id):
                raise EmailNotYetAccepted(field="id")
            email = await self._store.read(lambda: emails.get(account, email_id))
            if email is not None:
                return email
        raise EmailNotFound(details=f"The account {account} has no mail with this id.")

    async def _message(self, email: Email) -> ParsedMessage:
        kept = await self._store.read(lambda: raws.get(email.raw_id))
        return await asyncio.to_thread(_parsed, await self._raw.load(_present(kept, email)))


def _present(kept: Raw | None, email: Email) -> Raw:
    if kept is None:
        raise StoreError(f"the content {email.raw_id} of {email.id} is not in the store")
    return kept


def _parsed(content: bytes) -> ParsedMessage:
    try:
        return parse(content)
    except HeaderBlockTooLarge:
        # It was accepted under another limit, so it shall be shown whatever its size.
        return parse(content, Limits(header_block=len(content)))


def _trace(email: Email) -> Unit[wire.Trace]:
    """What happened to a mail, all of it at one instant."""
    steps = yield from events.of_email(email.account, email.id)
    tries = yield from runs.of_email(email.id)
    answers = yield from sent.of_email(email.id)
    with_deliveries = []
    for message in answers:
        deliveries = yield from sent.deliveries(message.id)
        with_deliveries.append((message, deliveries))
    return render.trace(email, steps, tries, with_deliveries)
