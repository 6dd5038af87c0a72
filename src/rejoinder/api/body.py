# SPDX-License-Identifier: Apache-2.0
"""The body of a request as a JSON object: bounded, and tolerant of what clients get wrong.

Forgiven are an empty body, a byte order mark, and a comma before a closing bracket. The surprise: what
stands outside of texts has a bound of its own, because a body of nothing but small values would take
thirty times its size in memory. All bodies together have one too, from their second MiB on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from starlette.requests import Request

from rejoinder.errors import JsonInvalid, MessageTooLarge, RoomTaken

MAX_BODY: Final = 64 << 20
"""Bytes of a request."""
MAX_AT_ONCE: Final = 128 << 20
"""Bytes of all requests at once, the first MiB of each aside; in memory they take about six times as much."""
_SMALL: Final = 1 << 20
MAX_STRUCTURE: Final = 1 << 20
"""Bytes of a request outside of its texts."""

# One that never ends takes the rest with it: looked for at each of its quotes, it would cost their square.
_TEXT: Final = r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?+\Z)'
_TEXTS: Final = re.compile(_TEXT, re.DOTALL)
_TRAILING_COMMA: Final = re.compile(rf"({_TEXT})|,(?=[ \t\r\n]*+[\]}}])", re.DOTALL)

JsonObject = dict[str, object]


class Room:
    """Room for what is more than small of all bodies at once."""

    def __init__(self) -> None:
        self._taken = 0

    @contextmanager
    def place(self) -> Iterator[Callable[[int], None]]:
        """A place for one body; call it for so many bytes more. It is empty again when the context ends.

        Raises:
            RoomTaken: by the call, when there is no room for them.
        """
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if self._taken + size > MAX_AT_ONCE:
                raise RoomTaken
            self._taken += size
            taken += size

        try:
            yield take
        finally:
            self._taken -= taken


async def read_body(request: Request, take: Callable[[int], None]) -> bytes:
    """All of the body; ``take`` gives it room.

    Raises:
        MessageTooLarge: it is over ``MAX_BODY``; the rest is not read.
        RoomTaken: other bodies leave no room for it; the rest is not read.
    """
    announced = request.headers.get("Content-Length", "")
    if announced.isdecimal() and (len(announced) > 15 or int(announced) > MAX_BODY):
        raise _too_large(announced)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY:
            raise _too_large(f"more than {MAX_BODY}")
        if size > _SMALL:
            take(len(chunk))
        chunks.append(chunk)
    return b"".join(chunks)


def json_object(body: bytes) -> JsonObject:
    """The object that the body holds; an empty one for an empty body.

    Raises:
        JsonInvalid: it is no JSON, or no object.
        MessageTooLarge: it has too many values.
    """
    try:
        # RFC 8259 §8.1: UTF-8, and a byte order mark may be ignored.
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise JsonInvalid(
            details=f"It is not UTF-8 (RFC 8259 §8.1): {error.reason} at {error.start}."
        ) from None
    if len(text) > MAX_STRUCTURE:
        _check_structure(text)
    value = _parsed(text) if text.strip(" \t\r\n") else {}
    if not isinstance(value, dict):
        raise JsonInvalid(details='It is JSON, but no object; write {"from": …}.')
    return value


def _check_structure(text: str) -> None:
    outside = len(text) - sum(match.end() - match.start() for match in _TEXTS.finditer(text))
    if outside > MAX_STRUCTURE:
        raise MessageTooLarge(
            f"the request has {outside} characters outside of texts; at most {MAX_STRUCTURE} are read: "
            "send fewer values"
        )


def _parsed(text: str) -> object:
    try:
        return _strictly_parsed(text)
    except ValueError:
        pass
    try:
        return _strictly_parsed(_TRAILING_COMMA.sub(r"\1", text))
    except ValueError as error:
        raise JsonInvalid(details=f"{error}.") from None


def _strictly_parsed(text: str) -> object:
    try:
        value: object = json.loads(text, parse_constant=_refused)
    except RecursionError:
        raise ValueError("It is nested too deeply") from None
    return value


def _refused(word: str) -> object:
    raise ValueError(f"{word} is no JSON")


def _too_large(size: str) -> MessageTooLarge:
    return MessageTooLarge(
        f"the request has {size} bytes; at most {MAX_BODY} ({MAX_BODY >> 20} MiB) are read: attach less"
    )
