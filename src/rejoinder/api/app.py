# SPDX-License-Identifier: Apache-2.0
"""The application: which routes there are, and what they are given."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, FastAPI

from rejoinder import __version__
from rejoinder.api import refusal
from rejoinder.api.emails import email_routes
from rejoinder.api.frame import Frame
from rejoinder.api.gate import Gate
from rejoinder.api.mail import IsHeld, mail_routes
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
    app = _Documented(
        title="Rejoinder",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={"4XX": {"model": Refusal}, "5XX": {"model": Refusal}},
    )
    gate = Gate(store, clock, rate)
    refusal.install(app)
    app.include_router(_health_routes(is_ready))
    app.include_router(email_routes(gate, store, raw, answering, is_held), prefix="/api/v2")
    app.include_router(mail_routes(gate, store, raw, is_held), prefix="/api/v2")
    app.add_middleware(Frame, new_request_id=new_request_id)
    return app


class _Documented(FastAPI):
    """Says in its OpenAPI document that everything below ``/api`` needs a key."""

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
