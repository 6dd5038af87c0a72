# SPDX-License-Identifier: Apache-2.0
"""The application: which routes there are, and what they are given."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from rejoinder import __version__
from rejoinder.api import refusal
from rejoinder.api.emails import Emails, email_routes
from rejoinder.api.frame import Frame
from rejoinder.api.gate import Gate
from rejoinder.api.mail import IsHeld, mail_routes
from rejoinder.api.shortcut import bare, is_reply
from rejoinder.api.wire import Refusal
from rejoinder.clock import Clock
from rejoinder.errors import NotReady
from rejoinder.replies.answer import Answering
from rejoinder.store.raw import RawStore
from rejoinder.store.unit import Store


def create_app(
    store: Store,
    raw: RawStore,
    answering: Answering,
    *,
    clock: Clock,
    rate: int,
    is_held: IsHeld,
    is_ready: Callable[[], bool],
    new_request_id: Callable[[], str],
) -> FastAPI:
    """The HTTP API over these.

    Args:
        store: What is read.
        raw: Gives the bytes of messages.
        answering: Answers mail.
        clock: Tells when a key was used.
        rate: Requests that a key may make in a second, 0 for any number.
        is_held: Whether a run that may still refuse it holds a mail (account, email id).
        is_ready: Whether the server takes mail; ``/readyz`` says so.
        new_request_id: Makes the id of a request that brings none.
    """
    gate = Gate(store, clock, rate)
    emails = Emails(gate, store, raw, answering, is_held)
    app = _Application(
        title="Rejoinder",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={"4XX": {"model": Refusal}, "5XX": {"model": Refusal}},
    )
    app.reply = Frame(bare(emails.reply), new_request_id)
    refusal.install(app)
    app.include_router(_health_routes(is_ready))
    app.include_router(email_routes(emails), prefix="/api/v2")
    app.include_router(mail_routes(gate, store, raw, is_held), prefix="/api/v2")
    app.add_middleware(Frame, new_request_id=new_request_id)
    return app


class _Application(FastAPI):
    """Says in its OpenAPI document that everything below ``/api`` needs a key, and lets replies pass by."""

    reply: ASGIApp
    """What answers replies, past the framework."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.reply if is_reply(scope) else super().__call__
        await app(scope, receive, send)

    def openapi(self) -> dict[str, object]:
        document: dict[str, dict[str, dict[str, dict[str, object]]]] = super().openapi()
        document.setdefault("components", {})["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer"}
        }
        for path, operations in document["paths"].items():
            if path.startswith("/api/"):
                for operation in operations.values():
                    operation["security"] = [{"key": []}]
        return {**document}


def _health_routes(is_ready: Callable[[], bool]) -> APIRouter:
    router = APIRouter()

    @router.get("/healthz", summary="Whether the process answers")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz", summary="Whether the server takes mail")
    async def ready() -> dict[str, str]:
        if not is_ready():
            raise NotReady
        return {"status": "ready"}

    return router
