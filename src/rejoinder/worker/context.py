# SPDX-License-Identifier: Apache-2.0
"""``env`` and ``ctx``, the second and third argument of a handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace


class Env(SimpleNamespace):
    """The worker's variables as attributes; one object for all mails of a process."""

    def __getattr__(self, name: str) -> str:
        raise AttributeError(
            f'env has no {name}: write {name} = "…" under variables of this [[worker]] in rejoinder.toml'
        )


class Context:
    """The run that the mail is handled in."""

    def __init__(self, wait_until: Callable[[Awaitable[object]], None]) -> None:
        self._wait_until = wait_until

    def wait_until(self, awaitable: Awaitable[object]) -> None:
        """Make this a part of the run: it ends when the awaitable has ended, and fails if that fails.

        Raises:
            EventEnded: the run has ended.
        """
        self._wait_until(awaitable)

    waitUntil = wait_until  # noqa: N815  # The name in the model that workers are ported from.
