# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rejoinder.clock.manual import ManualClock
from rejoinder.errors import StoreError, StoreFull
from rejoinder.ids import Ids
from rejoinder.store.raw import RawStore, in_memory
from rejoinder.store.raw.files import RawFiles
from rejoinder.store.settings import StoreSettings
from tests.store.samples import NOW

pytestmark = pytest.mark.anyio

SMALL = b"Subject: x\r\n\r\n\0\xff"
LARGE = SMALL * 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "raw"


@pytest.fixture
def raw_store(folder: Path) -> RawStore:
    settings = StoreSettings(inline_max=len(SMALL))
    return RawStore(settings, Ids(os.urandom), ManualClock(), RawFiles(folder))


def files_of(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def everything(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


@pytest.mark.parametrize("content", [b"", SMALL, LARGE])
async def test_what_is_kept_comes_back_not_one_byte_changed(raw_store: RawStore, content: bytes) -> None:
    raw = await raw_store.keep(content, NOW + 1)
    assert (raw.size, raw.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert raw.created_at == NOW + 1
    assert await raw_store.load(raw) == content
    assert everything(await raw_store.descriptor(raw)) == content


async def test_small_ones_lie_in_the_row_and_large_ones_in_a_file(raw_store: RawStore, folder: Path) -> None:
    small, large = await raw_store.keep(SMALL), await raw_store.keep(LARGE)
    assert (small.content, small.location) == (SMALL, None)
    assert large.content is None
    assert large.location is not None
    assert files_of(folder) == {folder / large.location}
    assert (folder / large.location).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [SMALL, LARGE])
async def test_nothing_can_be_changed_through_a_descriptor(raw_store: RawStore, content: bytes) -> None:
    raw = await raw_store.keep(content)
    descriptor = await raw_store.descriptor(raw)
    try:
        with pytest.raises(OSError, match=r"Operation not permitted|Bad file descriptor"):
            os.write(descriptor, b"x")
        with pytest.raises(OSError, match=r"Operation not permitted|Invalid argument"):
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def test_bytes_in_memory_leave_no_descriptor_when_they_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, _: object) -> int:
        written.append(descriptor)
        raise OSError(errno.ENOSPC, "No space left on device")

    written: list[int] = []
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        in_memory(SMALL)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(written[0])


async def test_a_file_is_synced_before_its_folder_and_both_before_keep_returns(
    raw_store: RawStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[str, str]] = []
    real_write, real_fsync = os.write, os.fsync

    def noting(step: str, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append((step, str(path.relative_to(folder.parent))))

    def write(descriptor: int, content: bytes) -> int:
        noting("write", descriptor)
        return real_write(descriptor, content)

    def fsync(descriptor: int) -> None:
        noting("sync", descriptor)
        real_fsync(descriptor)

    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(os, "fsync", fsync)
    raw = await raw_store.keep(LARGE)
    assert raw.location is not None
    shard = f"raw/{raw.location[:2]}"
    assert steps == [
        # New folders, each synced into the one that names it.
        ("sync", "."),
        ("sync", "raw"),
        ("write", f"raw/{raw.location}"),
        ("sync", f"raw/{raw.location}"),
        ("sync", shard),
    ]


def failing(error: int) -> Callable[[int], None]:
    def fsync(descriptor: int) -> None:
        raise OSError(error, os.strerror(error))

    return fsync


@pytest.mark.parametrize(
    ("error", "kind"), [(errno.ENOSPC, StoreFull), (errno.EDQUOT, StoreFull), (errno.EIO, StoreError)]
)
async def test_what_cannot_be_written_leaves_no_file(
    raw_store: RawStore, folder: Path, monkeypatch: pytest.MonkeyPatch, error: int, kind: type[StoreError]
) -> None:
    await raw_store.keep(LARGE)
    before = files_of(folder)
    monkeypatch.setattr(os, "fsync", failing(error))
    with pytest.raises(kind):
        await raw_store.keep(LARGE)
    assert files_of(folder) == before


async def test_a_file_that_is_gone_is_the_stores_error(raw_store: RawStore, folder: Path) -> None:
    raw = await raw_store.keep(LARGE)
    assert raw.location is not None
    (folder / raw.location).unlink()
    with pytest.raises(StoreError, match=raw.id):
        await raw_store.load(raw)
    with pytest.raises(StoreError, match=raw.id):
        await raw_store.descriptor(raw)


def test_a_file_is_never_written_twice(folder: Path) -> None:
    files = RawFiles(folder)
    location = files.write("raw_xyz", b"first")
    with pytest.raises(StoreError, match="exists"):
        files.write("raw_xyz", b"second")
    assert files.read(location) == b"first"
