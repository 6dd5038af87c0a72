# SPDX-License-Identifier: Apache-2.0
"""The short way of the busiest request past the framework; everything else goes through it as ever.

The framework's layers take a tenth of a reply's time and do nothing for it: its body is read by hand, its
answer is ready, and it has no dependencies (docs/adr/0013). The surprise: only a path as our own
documentation writes it goes this way. One with a slash too many, or with an id that is none, takes the
long way to the same function and gets the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from rejoinder.api import refusal
from rejoinder.errors import RejoinderError

_REPLY: Final = re.compile(r"/api/v2/emails/(?P<email_id>(?:email|sent|thread)_[0-9a-z]{26})/reply")

Endpoint = Callable[[Request], Awaitable[Response]]


def is_reply(scope: Scope) -> bool:
    """Whether this is a reply's request, whose path's parameters are then in the scope."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return False
    match = _REPLY.fullmatch(scope["path"])
    if match is not None:
        scope["path_params"] = match.groupdict()
    return match is not None


def bare(endpoint: Endpoint) -> ASGIApp:
    """An endpoint as an application of its own, whose refusals are answered as everywhere."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await endpoint(request)
        except RejoinderError as error:
            response = await refusal.of_ours(request, error)
        await response(scope, receive, send)

    return app
