# SPDX-License-Identifier: Apache-2.0
"""The application: which routes there are, and what they are given."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, FastAPI

from rejoinder import __version__
from rejoinder.api import refusal
from rejoinder.api.frame import Frame
from rejoinder.api.mail import IsHeld, mail_routes
from rejoinder.api.wire import Refusal
from rejoinder.errors import NotReady
from rejoinder.store.raw import RawStore
from rejoinder.store.unit import Store


def create_app(
    store: Store,
    raw: RawStore,
    *,
    is_held: IsHeld,
    is_ready: Callable[[], bool],
    new_request_id: Callable[[], str],
) -> FastAPI:
    """The HTTP API over these.

    Args:
        store: What is read.
        raw: Gives the bytes of messages.
        is_held: Whether a run that may still refuse it holds a mail (account, email id).
        is_ready: Whether the server takes mail; ``/readyz`` says so.
        new_request_id: Makes the id of a request that brings none.
    """
    app = FastAPI(
        title="Rejoinder",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={"4XX": {"model": Refusal}},
    )
    refusal.install(app)
    app.include_router(_health_routes(is_ready))
    app.include_router(mail_routes(store, raw, is_held), prefix="/api/v2")
    app.add_middleware(Frame, new_request_id=new_request_id)
    return app


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
