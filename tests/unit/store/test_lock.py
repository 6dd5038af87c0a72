# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path

import pytest

from rejoinder.errors import StoreError
from rejoinder.store.lock import ServerLock


def test_the_second_server_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    # flock belongs to the open file, so two locks in one process exclude each other as well.
    with (
        ServerLock(tmp_path),
        pytest.raises(StoreError, match=rf"used by another server \(process {os.getpid()}\)"),
    ):
        ServerLock(tmp_path).acquire()


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    lock = ServerLock(tmp_path / "new")
    lock.acquire()
    lock.release()
    lock.release()
    with ServerLock(tmp_path / "new"):
        pass


def test_what_a_longer_process_id_left_does_not_stay(tmp_path: Path) -> None:
    (tmp_path / "server.lock").write_text("99999999999\n")
    with ServerLock(tmp_path):
        assert (tmp_path / "server.lock").read_text() == f"{os.getpid()}\n"


def test_a_folder_that_cannot_be_made_is_the_stores_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file.*cannot be used"):
        ServerLock(tmp_path / "file" / "data").acquire()
