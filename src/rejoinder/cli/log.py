# SPDX-License-Identifier: Apache-2.0
"""The log of a process: on standard error, for people on a terminal, one JSON object a line elsewhere."""

from __future__ import annotations

import sys

import structlog


def configure() -> None:
    """Send the log of this process where it belongs."""
    is_terminal = sys.stderr.isatty()
    exceptions = [] if is_terminal else [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *exceptions,
            structlog.dev.ConsoleRenderer() if is_terminal else structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
