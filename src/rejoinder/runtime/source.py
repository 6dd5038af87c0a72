# SPDX-License-Identifier: Apache-2.0
"""Where a worker's ``raw`` comes from: content still in memory, or content in the store."""

from __future__ import annotations

from rejoinder.store.raw import RawStore, in_memory
from rejoinder.store.records import Raw


class Held:
    """Content that a session still holds."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def descriptor(self) -> int:
        """A read-only descriptor at offset 0 of an unnamed copy in memory."""
        return in_memory(self._content)


class Stored:
    """Content that is in the store."""

    def __init__(self, raws: RawStore, raw: Raw) -> None:
        self._raws = raws
        self._raw = raw

    async def descriptor(self) -> int:
        """A read-only descriptor at offset 0."""
        return await self._raws.descriptor(self._raw)
