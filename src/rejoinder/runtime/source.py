# SPDX-License-Identifier: Apache-2.0
"""Where a worker's ``raw`` comes from: content still in memory, or content in the store."""

from __future__ import annotations

import os
import tempfile

from rejoinder.store.raw import RawStore
from rejoinder.store.records import Raw


class Held:
    """Content that a session still holds."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def descriptor(self) -> int:
        """A read-only descriptor at offset 0 of an unnamed copy."""
        with tempfile.TemporaryFile(buffering=0) as file:
            file.write(self._content)
            file.seek(0)
            return os.dup(file.fileno())


class Stored:
    """Content that is in the store."""

    def __init__(self, raws: RawStore, raw: Raw) -> None:
        self._raws = raws
        self._raw = raw

    async def descriptor(self) -> int:
        """A read-only descriptor at offset 0."""
        return await self._raws.descriptor(self._raw)
