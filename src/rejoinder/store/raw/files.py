# SPDX-License-Identifier: Apache-2.0
"""Raw mail in files, written once and never changed.

A file and the folder that names it are synced before ``write`` returns, so that the row which names the
file can never be there without it. The surprise: a file without a row may be left by a crash; it was
never promised to anybody.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from rejoinder.store import failure

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class RawFiles:
    """The files below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, raw_id: str, content: bytes) -> str:
        """Keep the bytes for good; returns the location.

        Raises:
            StoreError: the disk is full or read-only; nothing is left behind.
        """
        location = f"{raw_id[-2:]}/{raw_id}"
        path = self._folder / location
        try:
            _make_folder(path.parent)
            _write_synced(path, content)
            _sync_folder(path.parent)
        except OSError as error:
            raise failure.of_os(error, path) from error
        return location

    def read(self, location: str) -> bytes:
        """All of the bytes.

        Raises:
            StoreError: the file is gone or cannot be read.
        """
        try:
            return (self._folder / location).read_bytes()
        except OSError as error:
            raise failure.of_os(error, self._folder / location) from error

    def descriptor(self, location: str) -> int:
        """A read-only file descriptor; whoever asked closes it.

        Raises:
            StoreError: the file is gone or cannot be read.
        """
        try:
            return os.open(self._folder / location, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise failure.of_os(error, self._folder / location) from error

    def older_than(self, instant: int) -> list[str]:
        """The locations of the files that were written before an instant.

        Raises:
            StoreError: the folder cannot be read.
        """
        try:
            return [
                f"{file.parent.name}/{file.name}"
                for file in self._folder.glob("*/*")
                if file.stat().st_mtime_ns < instant * 1000
            ]
        except OSError as error:
            raise failure.of_os(error, self._folder) from error

    def remove(self, location: str) -> None:
        """Remove a file that no row names.

        Raises:
            StoreError: it cannot be removed.
        """
        try:
            (self._folder / location).unlink(missing_ok=True)
        except OSError as error:
            raise failure.of_os(error, self._folder / location) from error


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync_folder(folder.parent)


def _write_synced(path: Path, content: bytes) -> None:
    descriptor = os.open(path, _CREATE, 0o600)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
