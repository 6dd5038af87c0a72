# SPDX-License-Identifier: Apache-2.0
"""Every answer that is not a success, in one shape, whatever went wrong.

The texts of errors that are the client's to mend are shown; of what is ours to mend the client gets the one
sentence for that and a code, and the log gets everything.
"""

from __future__ import annotations

from typing import Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Scope

from rejoinder.api.wire import Problem, Refusal
from rejoinder.errors import (
    ApiError,
    InternalError,
    MethodNotAllowed,
    NotFound,
    RejoinderError,
    ReplyRefused,
    RequestInvalid,
    StoreError,
)

# The words of other mail APIs, whose clients choose their exception by them.
_NAMES: Final = {
    400: "validation_error",
    401: "missing_api_key",
    403: "invalid_api_key",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    422: "validation_error",
    429: "rate_limit_exceeded",
}
_log = structlog.get_logger("api")


def install(app: FastAPI) -> None:
    """Answer every refusal of the application in the one shape."""
    app.add_exception_handler(RejoinderError, of_ours)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_routing)


def answer(error: RejoinderError, scope: Scope) -> Response:
    """The answer to the request of this scope, which ended with this error."""
    refusal = Refusal(
        error=_text(error),
        message=_text(error),
        name=_NAMES.get(error.http_status, "application_error"),
        status_code=error.http_status,
        code=error.code,
        field=error.field,
        details=error.details if isinstance(error, ApiError) else None,
    )
    content: Refusal | Problem = refusal
    media_type = "application/json"
    if _wants_problem(scope):
        content, media_type = _problem(error, refusal), "application/problem+json"
    body = content.model_dump_json(by_alias=True, exclude_none=True)
    headers = {**error.headers}
    if isinstance(error, ReplyRefused):
        headers.setdefault("x-should-retry", "false")
    return Response(body, error.http_status, headers, media_type)


def _text(error: RejoinderError) -> str:
    """What the caller reads: of what failed inside nothing else, because its text may name a path."""
    if error.http_status < 500 or isinstance(error, ApiError):
        return error.text
    return InternalError().text


def _problem(error: RejoinderError, refusal: Refusal) -> Problem:
    """The same, as RFC 9457 says it."""
    return Problem(
        type=f"/help/errors#{error.code}",
        title=_summary(error),
        status=refusal.status_code,
        detail=refusal.error,
        code=refusal.code,
        field=refusal.field,
        details=refusal.details,
    )


def _summary(error: RejoinderError) -> str:
    return (type(error).__doc__ or "").partition("\n")[0]


def _wants_problem(scope: Scope) -> bool:
    return any(
        name == b"accept" and b"application/problem+json" in value.lower() for name, value in scope["headers"]
    )


async def of_ours(request: Request, error: Exception) -> Response:
    """The answer to a request that one of our errors ended; the log gets what is ours to mend."""
    assert isinstance(error, RejoinderError)
    if error.http_status >= 500:
        _log.error(
            "api.request_failed",
            path=request.url.path,
            code=error.code,
            error=error.text,
            cause=str(error.__cause__) if error.__cause__ else None,
            exc_info=None if _is_foreseen(error) else error,
        )
    return answer(error, request.scope)


def _is_foreseen(error: RejoinderError) -> bool:
    """Whether its text says all; anything else is a defect of ours, and the log gets the traceback."""
    return isinstance(error, StoreError | ApiError) and not isinstance(error, InternalError)


async def _of_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = str(first["loc"][-1])
    rule = str(first["msg"]).replace("Input should be", "it should be")
    return answer(
        RequestInvalid(f"{field} = {first.get('input')!r:.100} is refused: {rule}", field=field),
        request.scope,
    )


async def _of_routing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "GET")
        response = answer(
            MethodNotAllowed(f"{request.method} is not possible at {request.url.path}; possible: {allowed}"),
            request.scope,
        )
        response.headers["Allow"] = allowed
        return response
    if error.status_code == 404:
        return answer(NotFound(f"There is nothing at {request.url.path}"), request.scope)
    return answer(RequestInvalid(str(error.detail)), request.scope)
