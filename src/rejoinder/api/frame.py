# SPDX-License-Identifier: Apache-2.0
"""What every request gets: an id, one slash where a base address ended in one, HEAD, and an answer always.

The surprise: also where our own code failed the client gets the one shape of refusals, with the id by
which the log knows the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rejoinder.api.refusal import answer
from rejoinder.errors import InternalError, RejoinderError

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,100}")
# Only where a base address may have ended in a slash: an id that is missing must stay missing.
_BEFORE_API: Final = re.compile(r"^/{2,}(?=api/)")
_AFTER_BASE: Final = re.compile(r"^/api/v2/{2,}")
_log = structlog.get_logger("api")


class Frame:
    """Middleware; ``new_request_id`` makes the id of a request that brings none."""

    def __init__(self, app: ASGIApp, new_request_id: Callable[[], str]) -> None:
        self._app = app
        self._new_request_id = new_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answering = _Answering(send, self._request_id(scope), is_head=scope["method"] == "HEAD")
        scope = _plain(scope)
        try:
            # What is logged about the request, by whomever, has its id.
            with structlog.contextvars.bound_contextvars(request_id=answering.request_id.decode()):
                await self._app(scope, receive, answering.send)
        except ClientDisconnect:
            _log.info("api.client_gone", request_id=answering.request_id.decode(), path=scope["path"])
        except Exception as error:
            _log.exception("api.request_failed", request_id=answering.request_id.decode(), path=scope["path"])
            if answering.has_begun:
                raise
            failure = error if isinstance(error, RejoinderError) else InternalError()
            await answer(failure, scope)(scope, receive, answering.send)

    def _request_id(self, scope: Scope) -> bytes:
        given: bytes = dict(scope["headers"]).get(b"x-request-id", b"")
        return given if _REQUEST_ID.fullmatch(given) else self._new_request_id().encode()


class _Answering:
    """Sends what the application answers, with the request's id, and without a body for HEAD."""

    def __init__(self, send: Send, request_id: bytes, *, is_head: bool) -> None:
        self._send = send
        self.request_id = request_id
        self._is_head = is_head
        self.has_begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            message = {**message, "headers": [*message["headers"], (b"x-request-id", self.request_id)]}
        elif self._is_head and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)


def _plain(scope: Scope) -> Scope:
    """The request as the routes know it: clients whose base address ends in a slash write two."""
    path = _AFTER_BASE.sub("/api/v2/", _BEFORE_API.sub("/", scope["path"]))
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    return {**scope, "path": path, "raw_path": path.encode("utf-8", "surrogateescape"), "method": method}
