# SPDX-License-Identifier: Apache-2.0
"""What an error of SQLite or of the file system means, and what to do about it."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Final

from rejoinder.errors import StoreError, StoreFull

_ADVICE: Final = {
    sqlite3.SQLITE_BUSY: "another process holds the database; end it, or wait until it is done",
    sqlite3.SQLITE_LOCKED: "another connection holds the database; end it, or wait until it is done",
    sqlite3.SQLITE_READONLY: "the file or its folder is read-only; make both writable for this user",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore it from a backup",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database; restore a backup, or set another store.data_dir",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened; check that store.data_dir is writable for this user",
    sqlite3.SQLITE_IOERR: "the disk gives an input/output error; check it",
}
_FULL: Final = "there is no room left; free some on the disk of store.data_dir"
_FULL_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def of_sqlite(error: sqlite3.Error, path: Path) -> StoreError:
    """The error as the store's own."""
    # The low byte is the primary code, the rest says more (SQLITE_IOERR_WRITE, …).
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return StoreFull(f"{path} cannot grow ({error}): {_FULL}")
    advice = _ADVICE.get(primary)
    return StoreError(f"{path}: {error}" + (f": {advice}" if advice else ""))


def of_os(error: OSError, path: Path) -> StoreError:
    """The error as the store's own."""
    if error.errno in _FULL_ERRNOS:
        return StoreFull(f"{path} cannot be written ({error.strerror}): {_FULL}")
    return StoreError(
        f"{path} cannot be used: {error.strerror}; check that store.data_dir is writable for this user"
    )
