# SPDX-License-Identifier: Apache-2.0
"""The server's own secret, from which the Message-IDs of runs are derived; made once, kept for good."""

from __future__ import annotations

from typing import Final

from rejoinder.store.unit import Statement, Unit

_SECRET: Final = "secret"


def server_secret() -> Unit[bytes | None]:
    """The secret, if there is one."""
    rows = yield Statement("server_get", {"name": _SECRET})
    if not rows:
        return None
    value = rows[0]["value"]
    assert isinstance(value, bytes)
    return value


def keep_server_secret(secret: bytes) -> Unit[None]:
    """Keep this secret unless there is one: ask for it afterwards, another process may have been first."""
    yield Statement("server_keep", {"name": _SECRET, "value": secret})
