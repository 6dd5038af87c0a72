# SPDX-License-Identifier: Apache-2.0
"""``/emails``: answer a mail, and read what was sent.

A request is refused by the first of these that holds: no key (401), an asking too often (429), an id that is
none (400), a mail that is not there (404) or not yet (409), no JSON (400), a wrong field (400), a wrong
Idempotency-Key (400); a key that answered before gives that answer; then a foreign domain (403), mail from
a program (409), a budget or quota (429). The surprise: a received mail's id is not found by reading here,
and a sent mail's not below ``/mail``, because clients ask both and take the one that answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from fastapi import APIRouter, Request, Response

from rejoinder.api import render, wire
from rejoinder.api.body import Room, json_object, read_body
from rejoinder.api.email_id import email_id
from rejoinder.api.gate import Gate
from rejoinder.api.key import Scope, may_reply_to_any
from rejoinder.api.mail import IsHeld
from rejoinder.api.reply_document import REPLY
from rejoinder.api.reply_wire import reply_request
from rejoinder.errors import EmailNotFound, EmailNotYetAccepted, IdempotencyKeyInvalid, NotFound
from rejoinder.ids import is_id
from rejoinder.replies.answer import Answer, Answering, Idempotency
from rejoinder.replies.answered import Answered
from rejoinder.replies.request import ReplyRequest
from rejoinder.replies.sent_mail import sent_mail
from rejoinder.store.raw import RawStore
from rejoinder.store.unit import Store

MAX_KEY: Final = 256
"""Characters of an Idempotency-Key."""

_IN_THE_LOOP: Final = 64 << 10
"""Bytes of a body that are read quicker than a thread is asked."""


def email_routes(own: Emails) -> APIRouter:
    """The routes below ``/emails``."""
    router = APIRouter(prefix="/emails")
    for path in ("/schedule", "/schedule/{rest:path}"):
        router.add_api_route(path, own.schedule, methods=["GET", "POST", "DELETE"], include_in_schema=False)
    # Where a client left the id out, the path is another: these say so.
    router.add_api_route("/reply", own.reply, methods=["POST"], include_in_schema=False)
    router.add_api_route("/", own.detail, include_in_schema=False)
    router.add_api_route(
        "/{email_id:path}/reply",
        own.reply,
        methods=["POST"],
        summary="Answer a mail",
        responses={
            200: {"model": wire.Reply, "description": "It will be sent, and is not forgotten any more"}
        },
        openapi_extra=REPLY,
    )
    router.add_api_route(
        "/{email_id}", own.detail, summary="Read a sent mail", response_model=wire.SentDetail
    )
    return router


class Emails:
    """What is done below ``/emails``."""

    def __init__(
        self, gate: Gate, store: Store, raw: RawStore, answering: Answering, is_held: IsHeld
    ) -> None:
        self._gate = gate
        self._store = store
        self._raw = raw
        self._answering = answering
        self._is_held = is_held
        self._room = Room()

    async def reply(self, request: Request) -> Response:
        """Answer a mail."""
        key = await self._gate.admit(request, Scope.SEND)
        answered = await self._answered(key.account, request)
        with self._room.place() as take:
            wanted = await _reply_request(request, take)
            answer = await self._answering.reply(
                answered, wanted, reply_any=may_reply_to_any(key), idempotency=_idempotency(request)
            )
        return _response(answer)

    async def detail(self, request: Request) -> Response:
        """Give a sent mail."""
        account = (await self._gate.admit(request, Scope.MAIL_READ)).account
        sent_id = _id_in_path(request)
        if is_id(sent_id, "sent"):
            mail = await sent_mail(self._store, self._raw, account, sent_id)
            if mail is not None:
                return _json(render.sent_detail(mail))
        raise EmailNotFound(field="id", details=f"The account {account} has sent no mail with this id.")

    async def schedule(self, request: Request) -> Response:
        """Say that mail is not scheduled."""
        await self._gate.admit(request, Scope.SEND)
        raise NotFound(f"There is nothing at {request.url.path}: mail is not scheduled here")

    async def _answered(self, account: str, request: Request) -> Answered:
        asked = _id_in_path(request)
        if self._is_held(account, asked):
            raise EmailNotYetAccepted(field="id")
        answered = await self._answering.find(account, asked)
        if answered is None:
            raise EmailNotFound(
                field="id",
                details=f"The account {account} has no received or sent mail and no thread with this id.",
            )
        return answered


def _id_in_path(request: Request) -> str:
    return email_id(request.path_params.get("email_id", ""))


async def _reply_request(request: Request, take: Callable[[int], None]) -> ReplyRequest:
    body = await read_body(request, take)
    if len(body) <= _IN_THE_LOOP:
        return _read(body)
    return await asyncio.to_thread(_read, body)


def _read(body: bytes) -> ReplyRequest:
    return reply_request(json_object(body))


def _idempotency(request: Request) -> Idempotency | None:
    key = request.headers.get("Idempotency-Key", "").strip()
    if len(key) > MAX_KEY:
        raise IdempotencyKeyInvalid(
            f"the Idempotency-Key has {len(key)} characters; at most {MAX_KEY} are kept: hash a longer name",
            field="Idempotency-Key",
        )
    return Idempotency(request.method, request.scope["path"], key) if key else None


def _response(answer: Answer) -> Response:
    response = _json(render.reply(answer.sent))
    if answer.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    if answer.differing:
        response.headers["Idempotency-Warning"] = (
            "the answer is that of the first request under this key; this one differs in "
            + ", ".join(answer.differing)
        )
    return response


def _json(answer: wire.Reply | wire.SentDetail) -> Response:
    return Response(
        answer.model_dump_json(by_alias=True, exclude_none=isinstance(answer, wire.Reply)),
        media_type="application/json",
    )
