# SPDX-License-Identifier: Apache-2.0
"""From the JSON of attachments to files: base64 as people send it, and the limits of number and size.

Line breaks, a missing padding and a ``data:`` prefix are forgiven; anything else that is no base64 is not,
because a file with a hole is worse than none. What a name, type or id may hold is judged where it is written,
in ``message.compose``. The surprise: sizes are judged before anything is decoded.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from mimetypes import MimeTypes
from typing import Final

from rejoinder.api.field_wire import given, items, members, refused, text
from rejoinder.errors import MessageTooLarge, RemoteAttachment, RequestInvalid
from rejoinder.message.compose import Attached

MAX_FILES: Final = 20
MAX_FILE: Final = 25 << 20
MAX_ALL: Final = 40 << 20
"""Bytes, decoded."""
MAX_TYPE: Final = 200
"""Characters."""

_DATA_URL: Final = re.compile(r"data:([^,;]*+)[^,]*;base64,")
_BREAKS: Final = re.compile(r"[ \t\r\n]+")


def attachments(field: str, value: object) -> tuple[Attached, ...]:
    """The files to attach.

    Raises:
        MessageTooLarge: they are too many or too large.
        RemoteAttachment: one is not here but elsewhere.
        RequestInvalid: one is no file.
    """
    given_files = [(name, members(name, each)) for name, each in items(field, value)]
    if len(given_files) > MAX_FILES:
        raise MessageTooLarge(
            f"{field} has {len(given_files)} files; {MAX_FILES} can be attached: send an archive", field=field
        )
    left = MAX_ALL
    files = []
    for name, file in given_files:
        files.append(_attached(f"{name}.", file, left))
        left -= len(files[-1].content)
    return tuple(files)


def _attached(at: str, file: Mapping[str, object], left: int) -> Attached:
    filename = given(file, text, "filename", at=at)
    if filename is None or not filename.strip():
        raise RequestInvalid(f"{at}filename is missing; name the file", field=f"{at}filename")
    if file.get("path") is not None:
        raise RemoteAttachment(
            f"{at}path is refused: files are not fetched from elsewhere; send the file in base64 as content",
            field=f"{at}path",
        )
    declared, content = _content(f"{at}content", file.get("content"), left)
    content_type = given(file, text, "content_type", "contentType", at=at) or declared or _guessed(filename)
    if len(content_type) > MAX_TYPE:
        raise refused(f"{at}content_type", content_type, f"a type of at most {MAX_TYPE} characters")
    return Attached(filename, content_type.strip(), content, _content_id(at, file))


def _content(field: str, value: object, left: int) -> tuple[str, bytes]:
    """The type that a ``data:`` prefix declares, if there is one, and the bytes."""
    if not isinstance(value, str):
        raise refused(field, value, "the file in base64")
    prefix = _DATA_URL.match(value) if value.startswith("data:") else None
    encoded = _BREAKS.sub("", value[prefix.end() :] if prefix else value)
    size = len(encoded) * 3 // 4 - encoded[-2:].count("=")
    if size > min(MAX_FILE, left):
        raise MessageTooLarge(
            f"{field} has {size} bytes; a file may have {MAX_FILE >> 20} MiB, all {MAX_ALL >> 20} MiB",
            field=field,
        )
    try:
        # RFC 4648 §3.2: the padding says nothing that the length does not.
        content = binascii.a2b_base64(
            encoded.rstrip("=") + "=" * (-len(encoded.rstrip("=")) % 4), strict_mode=True
        )
    except (binascii.Error, ValueError) as error:
        raise RequestInvalid(f"{field} is no base64 (RFC 4648 §4): {error}", field=field) from None
    return prefix[1] if prefix else "", content


def _guessed(filename: str) -> str:
    # The types that Python knows, not those of this machine: the same file is the same on every server.
    guessed, compression = MimeTypes().guess_type(filename)
    return guessed if guessed and not compression else "application/octet-stream"


def _content_id(at: str, file: Mapping[str, object]) -> str | None:
    """Without the brackets that it has in its field."""
    value = given(file, text, "content_id", "contentId", at=at)
    return None if value is None else value.strip().removeprefix("<").removesuffix(">")
