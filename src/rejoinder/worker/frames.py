# SPDX-License-Identifier: Apache-2.0
"""What goes over the pipe between the host and a child: frames, the same code at both ends.

A frame is two lengths (JSON, blob; four octets each, big-endian), a JSON object whose ``frame`` names
its class and whose other members are the fields, and the blob as it is. Bytes travel as the blob,
never inside JSON. The surprise: the whole mail is in no frame; a child that wants it asks on a second
socket and gets a file descriptor (``worker.raw``).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import ClassVar, Final

MAX_BLOB: Final = 64 << 20
"""Octets that one frame may carry: more than any message that may leave."""
_MAX_JSON: Final = 4 << 20
_LENGTHS: Final = struct.Struct(">II")


class FrameError(Exception):
    """The other end sent what is no frame."""


@dataclass(frozen=True, slots=True)
class Load:
    """Host to child, first and once: the worker's source is the blob; a restart runs what ran before."""

    file: str
    name: str
    variables: dict[str, str]
    blob: bytes


@dataclass(frozen=True, slots=True)
class Loaded:
    """Child to host: the worker is ready; ``is_async`` allows more than one mail at a time."""

    pid: int
    is_async: bool
    blob: bytes = b""


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """Child to host: the worker cannot be loaded; the child ends."""

    error: str
    blob: bytes = b""


@dataclass(frozen=True, slots=True)
class Run:
    """Host to child: handle this mail; the blob is its header block, ``sender`` "" the null reverse-path."""

    run: int
    event_key: str
    event_key_stable: bool
    email_id: str
    sender: str
    to: str
    raw_size: int
    auth: str
    received_at: int
    attempt: int
    blob: bytes


@dataclass(frozen=True, slots=True)
class Cancel:
    """Host to child: the run is over its time limit; end it."""

    run: int
    blob: bytes = b""


@dataclass(frozen=True, slots=True)
class Call:
    """Child to host: an action. ``kind`` is reply-text, reply-raw (blob: text or message) or accept."""

    run: int
    call: int
    kind: str
    from_: str | None = None
    to: str | None = None
    blob: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """Host to child: what became of an action. ``code`` is empty where it was accepted."""

    run: int
    call: int
    result: str | None = None
    code: str = ""
    text: str = ""
    codes: list[str] = field(default_factory=list)
    blob: bytes = b""


@dataclass(frozen=True, slots=True)
class End:
    """Child to host: the run has ended, with every action answered and every background task done."""

    run: int
    ending: str
    reason: str = ""
    error: str = ""
    log: str = ""
    blob: bytes = b""


Frame = Load | Loaded | LoadFailed | Run | Cancel | Call | Answer | End

_CLASSES: Final[dict[str, type[Frame]]] = {
    kind.__name__: kind for kind in (Load, Loaded, LoadFailed, Run, Cancel, Call, Answer, End)
}
_NAMES: Final = {
    kind: tuple(each.name for each in fields(kind) if each.name != "blob") for kind in _CLASSES.values()
}


def encode(frame: Frame) -> bytes:
    """The frame as it goes over the pipe."""
    kind = type(frame)
    members: dict[str, object] = {"frame": kind.__name__}
    for name in _NAMES[kind]:
        members[name] = getattr(frame, name)
    text = json.dumps(members).encode()
    return b"".join((_LENGTHS.pack(len(text), len(frame.blob)), text, frame.blob))


class FrameReader:
    """Takes octets as they come and gives the frames that are whole."""

    NEEDS: ClassVar[int] = _LENGTHS.size

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, octets: bytes) -> Iterator[Frame]:
        """Every frame that is complete with these octets; exhaust it before feeding again.

        Raises:
            FrameError: this is no frame, or one that is too large; close the pipe.
        """
        self._buffer += octets
        at = 0
        while len(self._buffer) - at >= self.NEEDS:
            json_size, blob_size = _LENGTHS.unpack_from(self._buffer, at)
            if json_size > _MAX_JSON or blob_size > MAX_BLOB:
                raise FrameError(f"a frame of {json_size} and {blob_size} octets")
            start = at + self.NEEDS
            middle, end = start + json_size, start + json_size + blob_size
            if len(self._buffer) < end:
                break
            yield _decode(bytes(self._buffer[start:middle]), bytes(self._buffer[middle:end]))
            at = end
        del self._buffer[:at]


def _decode(text: bytes, blob: bytes) -> Frame:
    try:
        members: dict[str, object] = json.loads(text)
        kind = _CLASSES[str(members.pop("frame"))]
        return kind(**members, blob=blob)  # type: ignore[arg-type]  # Both ends are the same code.
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise FrameError(f"{text[:80]!r} is no frame: {error}") from error
