# SPDX-License-Identifier: Apache-2.0
"""What a run prints and logs, kept with the run; whatever else is printed goes to the real stderr.

The run is known by a context variable, so that two mails handled at once do not mix. Of a flood the
beginning and the end are kept, since one says what happened and the other how it ended.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import traceback
from contextvars import ContextVar
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, BinaryIO, Final, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

LIMIT: Final = (16 << 10) - 512
"""Octets kept of one run's output, and of one traceback; the host may put a line before it."""
_HALF: Final = LIMIT // 2 - 64
_OURS: Final = str(Path(__file__).parent)


class Capture:
    """The beginning and the end of what is written to it."""

    def __init__(self) -> None:
        self._head = b""
        self._tail = b""
        self._size = 0

    def write(self, octets: bytes) -> None:
        """Take some more."""
        self._size += len(octets)
        if room := _HALF - len(self._head):
            self._head += octets[:room]
            octets = octets[room:]
        if octets:
            self._tail = (self._tail + octets[-_HALF:])[-_HALF:]

    def text(self) -> str:
        """What was kept, with a line that tells how much was not."""
        left_out = self._size - len(self._head) - len(self._tail)
        between = f"\n… {left_out} octets left out …\n".encode() if left_out else b""
        return (self._head + between + self._tail).decode(errors="ignore")


current: Final[ContextVar[Capture | None]] = ContextVar("rejoinder_run_output", default=None)
"""Where the run that is executing writes to."""


class RunStream(io.RawIOBase):
    """Writes to the current run's capture, or to the stream it stands before."""

    def __init__(self, outside: int) -> None:
        self._outside = outside

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """The real descriptor, for programs that the worker starts."""
        return self._outside

    def write(self, octets: ReadableBuffer, /) -> int:
        """All of it is always taken."""
        data = bytes(octets)
        capture = current.get()
        if capture is not None:
            capture.write(data)
            return len(data)
        return os.write(self._outside, data)


def capture_output() -> None:
    """Put stdout, stderr and logging of this process behind ``current``."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        binary = cast("BinaryIO", RunStream(descriptor))  # A writer without a buffer serves as well.
        text = io.TextIOWrapper(binary, encoding="utf-8", errors="backslashreplace", write_through=True)
        setattr(sys, name, text)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", force=True
    )


def where(frame: FrameType) -> str:
    """The stack of a thread without the frames that are ours, at most ``LIMIT`` octets."""
    stack = traceback.StackSummary.from_list(
        [each for each in traceback.extract_stack(frame) if not each.filename.startswith(_OURS)]
    )
    return trimmed("".join(stack.format()))


def explain(error: BaseException) -> str:
    """The traceback without the frames that are ours, at most ``LIMIT`` octets."""
    whole = traceback.TracebackException.from_exception(error, compact=True)
    part: traceback.TracebackException | None = whole
    while part is not None:
        part.stack = traceback.StackSummary.from_list(
            [frame for frame in part.stack if not frame.filename.startswith(_OURS)]
        )
        part = part.__cause__ or part.__context__
    return trimmed("".join(whole.format()))


def trimmed(text: str) -> str:
    """The beginning and the end of a text, at most ``LIMIT`` octets."""
    capture = Capture()
    capture.write(text.encode(errors="backslashreplace"))
    return capture.text()
