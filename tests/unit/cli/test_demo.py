# SPDX-License-Identifier: Apache-2.0
"""The options of the demonstration; what it shows is in the acceptance tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from rejoinder.cli import main
from rejoinder.cli.demo import example


def test_the_example_of_the_clone_is_shown() -> None:
    assert example() == Path(__file__).parents[3] / "examples" / "ticket_autoresponder.py"


def test_mail_must_be_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--once", "--mail", str(tmp_path / "nothing.eml")])
    assert ended.value.code == 2
    assert "nothing.eml" in capsys.readouterr().err
