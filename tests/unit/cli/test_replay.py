# SPDX-License-Identifier: Apache-2.0
"""Replaying at the command line: what is no dead letter is not found, and is said so."""

from __future__ import annotations

from pathlib import Path

import pytest

from rejoinder.cli import main


def test_what_is_no_dead_letter_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REJOINDER_CONFIG", raising=False)
    Path("rejoinder.toml").write_text('[[domain]]\nname = "desk.example"\n')
    with pytest.raises(SystemExit) as ended:
        main(["replay", "email_00000000000000000000000000"])
    assert ended.value.code == 3
    assert capsys.readouterr().err.startswith("error: dead-letter-not-found: nothing of email_0000")
