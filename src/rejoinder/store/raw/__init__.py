# SPDX-License-Identifier: Apache-2.0
"""The bytes of messages: small ones travel in their row, large ones lie in a file before their row exists.

``keep`` first, then ``raws.insert`` in the transaction that needs the message, and ``discard`` where that
comes to nothing. A process that dies between leaves at most a file that nobody names.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
from contextlib import suppress
from typing import Final

from rejoinder.clock import Clock
from rejoinder.errors import StoreError
from rejoinder.ids import Ids
from rejoinder.store import raws
from rejoinder.store.raw.files import RawFiles
from rejoinder.store.records import Raw
from rejoinder.store.settings import StoreSettings
from rejoinder.store.unit import Store

_ALL_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class RawStore:
    """Keeps and gives the bytes of messages."""

    def __init__(self, settings: StoreSettings, ids: Ids, clock: Clock, files: RawFiles) -> None:
        self._inline_max = settings.inline_max
        self._ids = ids
        self._clock = clock
        self._files = files

    async def keep(self, raw: bytes, now: int | None = None) -> Raw:
        """Make the bytes durable, or ready to be so with their row; ``now`` is the clock's if not given.

        Raises:
            StoreError: a file that was needed could not be written.
        """
        at = self._clock.now() if now is None else now
        raw_id = f"raw_{self._ids.unique(at)}"
        if len(raw) <= self._inline_max:
            return Raw(raw_id, hashlib.sha256(raw).hexdigest(), len(raw), raw, None, at)
        return await asyncio.to_thread(self._keep_in_file, raw_id, raw, at)

    async def discard(self, raw: Raw, store: Store) -> None:
        """Remove the file of a message whose row was not written after all.

        Where even that cannot be done it stays, until the next start of the server puts stray files away.
        """
        if raw.location is None:
            return
        locations = [raw.location]
        with suppress(StoreError):
            for location in await store.read(lambda: raws.without_row(locations)):
                await asyncio.to_thread(self._files.remove, location)

    async def load(self, raw: Raw) -> bytes:
        """The bytes.

        Raises:
            StoreError: the file is gone or cannot be read.
        """
        if raw.content is not None:
            return raw.content
        assert raw.location is not None
        return await asyncio.to_thread(self._files.read, raw.location)

    async def descriptor(self, raw: Raw) -> int:
        """A file descriptor at offset 0 through which nothing can be changed; whoever asked closes it.

        Raises:
            StoreError: the file is gone or cannot be read.
        """
        if raw.content is not None:
            return in_memory(raw.content)
        assert raw.location is not None
        return await asyncio.to_thread(self._files.descriptor, raw.location)

    def _keep_in_file(self, raw_id: str, raw: bytes, at: int) -> Raw:
        digest = hashlib.sha256(raw).hexdigest()
        return Raw(raw_id, digest, len(raw), None, self._files.write(raw_id, raw), at)


def in_memory(content: bytes) -> int:
    """A file descriptor of the bytes, at offset 0, sealed: nobody can change them. Whoever asked closes it.

    Raises:
        OSError: no descriptor or no memory is left.
    """
    descriptor = os.memfd_create("raw", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _ALL_SEALS)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
