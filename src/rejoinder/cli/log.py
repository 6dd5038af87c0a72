# SPDX-License-Identifier: Apache-2.0
"""The log of a process: on standard error, for people on a terminal, one JSON object a line elsewhere.

A line is made and written where it is said, in about ten microseconds. The surprise: what cannot be written
is dropped without a word, because a full disk under the log must not make the server refuse mail.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from typing import Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), default=repr)
_FIRST: Final = ("timestamp", "level", "event")


def configure(least: int = logging.NOTSET) -> None:
    """Send the log of this process where it belongs, without what is less grave than ``least``."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_unknown,
            *(_for_people() if sys.stderr.isatty() else _for_programs()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(_Unfailing(sys.stderr)),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )


def _for_people() -> list[Processor]:
    # Not the default, which prints the variables of every frame: among them are keys and mail.
    return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]


def _for_programs() -> list[Processor]:
    return [structlog.processors.format_exc_info, _as_json]


def _without_unknown(_: WrappedLogger, __: str, entry: EventDict) -> EventDict:
    return {key: value for key, value in entry.items() if value is not None}


def _as_json(_: WrappedLogger, __: str, entry: EventDict) -> str:
    return _ENCODER.encode({**{key: entry[key] for key in _FIRST}, **entry})


class _Unfailing:
    """A stream to which writing never fails."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write, if that is possible."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        """Have it leave the process, if that is possible."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()
