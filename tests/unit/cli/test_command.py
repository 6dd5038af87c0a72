# SPDX-License-Identifier: Apache-2.0
"""The command as people type it: what it prints, what it ends with."""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path

import pytest

from rejoinder.cli import exit_code, main
from rejoinder.clock.manual import ManualClock
from rejoinder.errors import (
    ConfigError,
    EmailNotFound,
    RejoinderError,
    ReplyBudget,
    StoreError,
    Unauthorized,
)
from rejoinder.store import keys
from rejoinder.store.records import ApiKey
from rejoinder.store.settings import StoreSettings
from rejoinder.store.sqlite import SqliteStore


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REJOINDER_CONFIG", raising=False)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    code = ended.value.code
    assert code is None or isinstance(code, int)
    return code or 0


def kept(key: str) -> ApiKey | None:
    async def look() -> ApiKey | None:
        store = await SqliteStore.open(StoreSettings(), ManualClock())
        found = await store.read(lambda: keys.by_hash(hashlib.sha256(key.encode()).hexdigest()))
        await store.close()
        return found

    return asyncio.run(look())


def write_config(text: str = "") -> None:
    Path("rejoinder.toml").write_text(text, encoding="utf-8")


def test_without_arguments_it_lists_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 2
    assert "config" in capsys.readouterr().out


def test_wrong_usage_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("key", "create", "--nonsense") == 2
    assert "--nonsense" in capsys.readouterr().err


def test_the_sample_is_a_configuration_that_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("config", "sample") == 0
    write_config(capsys.readouterr().out)
    assert run("config", "check") == 0
    assert capsys.readouterr().out == "rejoinder.toml is right.\n"


def test_an_error_is_one_clean_message_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    write_config("[http]\nlisten = 1\n")
    assert run("config", "check") == 1
    said = capsys.readouterr().err
    assert said.startswith("error: config-invalid: rejoinder.toml:2: http.listen = 1 is refused")
    assert "Traceback" not in said


def test_another_file_can_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("other.toml").touch()
    assert run("config", "check", "--config", "other.toml") == 0
    assert run("config", "check") == 1
    assert "rejoinder config sample" in capsys.readouterr().err


def test_a_key_is_printed_once_as_the_last_word_and_kept_as_a_hash(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_config()
    assert run("key", "create") == 0
    key = capsys.readouterr().out.split()[-1]
    assert re.fullmatch(r"rj_[A-Za-z0-9_-]{43}", key)
    record = kept(key)
    assert record is not None
    assert (record.account, record.scopes, record.revoked_at) == ("default", "", None)
    assert not [
        path for path in Path("data").rglob("*") if path.is_file() and key.encode() in path.read_bytes()
    ]


def test_a_key_has_the_scopes_and_the_account_that_were_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    write_config('[[domain]]\nname = "desk.example"\naccount = "desk"\n')
    assert run("key", "create", "--account", "desk", "--scope", "mail:read") == 0
    record = kept(capsys.readouterr().out.split()[-1])
    assert record is not None
    assert (record.account, record.scopes) == ("desk", "mail:read")


def test_an_unknown_account_is_not_found(capsys: pytest.CaptureFixture[str]) -> None:
    write_config()
    assert run("key", "create", "--account", "nobody") == 3
    assert "error: account-not-found: there is no account nobody" in capsys.readouterr().err
    assert not Path("data").exists()


def test_an_unknown_scope_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    write_config()
    assert run("key", "create", "--scope", "everything") == 2
    assert "mail:read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RejoinderError(), 1),
        (ConfigError("x"), 1),
        (StoreError("x"), 1),
        (EmailNotFound("x"), 3),
        (Unauthorized("x"), 4),
        (ReplyBudget("x"), 4),
    ],
)
def test_an_error_ends_with_the_code_of_its_kind(error: RejoinderError, code: int) -> None:
    assert exit_code(error) == code
