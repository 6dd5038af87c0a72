# SPDX-License-Identifier: Apache-2.0
"""Keys at the command line: who sees which, and that an end is an end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rejoinder.cli import main
from rejoinder.clock.manual import ManualClock
from rejoinder.store import keys
from rejoinder.store.records import ApiKey
from rejoinder.store.settings import StoreSettings
from rejoinder.store.sqlite import SqliteStore
from rejoinder.store.unit import Unit


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REJOINDER_CONFIG", raising=False)
    Path("rejoinder.toml").write_text('[[domain]]\nname = "desk.example"\naccount = "desk"\n')


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    code = ended.value.code
    assert code is None or isinstance(code, int)
    return code or 0


def create(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Make a key; its id."""
    assert run("key", "create", *arguments) == 0
    return capsys.readouterr().out.split()[0]


def stored(key_id: str, change: Unit[None] | None = None) -> ApiKey:
    async def look() -> ApiKey:
        store = await SqliteStore.open(StoreSettings(), ManualClock())
        if change is not None:
            await store.transaction(lambda: change)
        found = await store.read(lambda: keys.get(key_id))
        await store.close()
        assert found is not None
        return found

    return asyncio.run(look())


def test_without_keys_the_list_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("key", "list") == 0
    assert not capsys.readouterr().out


def test_the_list_says_whose_a_key_is_and_what_it_may_do(capsys: pytest.CaptureFixture[str]) -> None:
    ours = create(capsys)
    desks = create(capsys, "--account", "desk", "--scope", "send", "--scope", "reply:any")
    assert run("key", "list") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split()[:3] == [ours, "default", "everything"]
    assert second.split()[:3] == [desks, "desk", "send,reply:any"]
    assert first.endswith("never used")


def test_the_list_can_be_that_of_an_account(capsys: pytest.CaptureFixture[str]) -> None:
    create(capsys)
    desks = create(capsys, "--account", "desk")
    assert run("key", "list", "--account", "desk") == 0
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith(desks)


def test_the_list_shows_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("key", "create") == 0
    secret = capsys.readouterr().out.split()[-1]
    assert run("key", "list") == 0
    assert secret not in capsys.readouterr().out


def test_the_list_tells_the_last_use(capsys: pytest.CaptureFixture[str]) -> None:
    key_id = create(capsys)
    stored(key_id, keys.touch(key_id, 1_700_000_000_000_000))
    assert run("key", "list") == 0
    assert "last used 2023-11-14 22:13" in capsys.readouterr().out


def test_a_revoked_key_stays_in_the_list_and_keeps_its_first_end(capsys: pytest.CaptureFixture[str]) -> None:
    key_id = create(capsys)
    assert run("key", "revoke", key_id) == 0
    assert capsys.readouterr().out == f"{key_id} of the account default is revoked.\n"
    ended = stored(key_id).revoked_at
    assert ended is not None
    assert run("key", "revoke", key_id) == 0
    assert stored(key_id).revoked_at == ended
    capsys.readouterr()
    assert run("key", "list") == 0
    assert ", revoked 20" in capsys.readouterr().out


def test_a_key_that_is_not_there_is_not_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("key", "revoke", "key_x") == 3
    assert "error: key-not-found: there is no key key_x" in capsys.readouterr().err
