# SPDX-License-Identifier: Apache-2.0
"""The log of a process: on standard error, for people on a terminal, one JSON object a line elsewhere."""

from __future__ import annotations

import logging
import sys

import structlog


def configure(least: int = logging.NOTSET) -> None:
    """Send the log of this process where it belongs, without what is less grave than ``least``."""
    is_terminal = sys.stderr.isatty()
    exceptions = [] if is_terminal else [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *exceptions,
            _for_people() if is_terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _for_people() -> structlog.dev.ConsoleRenderer:
    # Not the default, which prints the variables of every frame: among them are keys and mail.
    return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
