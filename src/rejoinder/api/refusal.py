# SPDX-License-Identifier: Apache-2.0
"""Every answer that is not a success, in one shape, whatever went wrong.

The texts of errors that are the client's to mend are shown; of what is ours to mend the client gets a
sentence and the log gets everything.
"""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from rejoinder.api.wire import Refusal
from rejoinder.errors import ApiError, MethodNotAllowed, NotFound, RejoinderError, RequestInvalid

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


def install(app: FastAPI) -> None:
    """Answer every refusal of the application in the one shape."""
    app.add_exception_handler(RejoinderError, _of_ours)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_routing)


def answer(error: RejoinderError) -> JSONResponse:
    """The answer to a request that ended with this error."""
    status = error.http_status
    # What failed inside is told to the log; the class says it in a sentence that holds no path or query.
    text = error.text if status < 500 else (type(error).__doc__ or "").partition("\n")[0]
    refusal = Refusal(
        error=text,
        message=text,
        name=_NAMES.get(status, "application_error"),
        status_code=status,
        code=error.code,
        field=error.field if isinstance(error, ApiError) else None,
        details=error.details if isinstance(error, ApiError) else None,
    )
    headers = dict(error.headers) if isinstance(error, ApiError) else None
    return JSONResponse(refusal.model_dump(by_alias=True, exclude_none=True), status, headers)


async def _of_ours(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RejoinderError)
    return answer(error)


async def _of_validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = str(first["loc"][-1])
    rule = str(first["msg"]).replace("Input should be", "it should be")
    return answer(RequestInvalid(f"{field} = {first.get('input')!r:.100} is refused: {rule}", field=field))


async def _of_routing(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "GET")
        response = answer(
            MethodNotAllowed(f"{request.method} is not possible at {request.url.path}; possible: {allowed}")
        )
        response.headers["Allow"] = allowed
        return response
    if error.status_code == 404:
        return answer(NotFound(f"There is nothing at {request.url.path}"))
    return answer(RequestInvalid(str(error.detail)))
