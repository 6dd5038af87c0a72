# SPDX-License-Identifier: Apache-2.0
"""One server for each data_dir: the lock by which a starting server knows that all leases are void."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final, Self

from rejoinder.errors import StoreError
from rejoinder.store import failure

_FILE_NAME: Final = "server.lock"


class ServerLock:
    """A lock on ``data_dir`` that ends with the process, however that ends."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / _FILE_NAME
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock and write our process id beside it.

        Raises:
            StoreError: another process has it, or the file cannot be written.
        """
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise failure.of_os(error, self._path) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreError(
                f"{self._path.parent} is used by another server (process {holder}): one server owns a"
                " data_dir; end that one, or set another store.data_dir"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Let others have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        """Take the lock."""
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        """Let others have it."""
        self.release()
