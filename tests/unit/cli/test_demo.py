# SPDX-License-Identifier: Apache-2.0
"""The options of the demonstration."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from rejoinder.cli.demo import command

Call = tuple[bool, Path | None]


def run(*arguments: str, result: int = 0) -> tuple[int, list[Call]]:
    calls: list[Call] = []

    def demonstrate(ends: bool, mail: Path | None) -> int:
        calls.append((ends, mail))
        return result

    app = typer.Typer()
    app.command()(command(demonstrate))
    with pytest.raises(SystemExit) as ended:
        app(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code, calls


def test_without_a_terminal_it_ends_by_itself() -> None:
    assert run() == (0, [(True, None)])


def test_on_a_terminal_it_stays_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert run() == (0, [(False, None)])
    assert run("--once") == (0, [(True, None)])


def test_what_went_wrong_is_the_exit_code() -> None:
    assert run(result=1)[0] == 1


def test_mail_must_be_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--mail", str(tmp_path)) == (0, [(True, tmp_path)])
    assert run("--mail", str(tmp_path / "nothing.eml")) == (2, [])
    assert "nothing.eml" in capsys.readouterr().err
