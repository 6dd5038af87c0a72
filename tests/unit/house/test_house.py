# SPDX-License-Identifier: Apache-2.0
"""The house: locks without addresses, targets with sentences, sources with a licence."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tools.sizes import large

ROOT = Path(__file__).parents[3]


def locked(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return dict(re.findall(r"(?m)^([a-z0-9-]+)==(\S+)", text))


@pytest.mark.parametrize("name", ["runtime.txt", "test.txt"])
def test_a_lock_holds_hashes_and_no_address(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    assert not re.search(r"https?:|--index|--find-links", text)
    for entry in re.split(r"(?m)^(?=[a-z])", text):
        assert not entry or "--hash=sha256:" in entry


def test_the_lock_of_the_tests_holds_that_of_the_program() -> None:
    assert locked("runtime.txt").items() <= locked("test.txt").items()


def test_every_dependency_is_locked_and_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[>=<]", each)[0] for each in project["dependencies"]}
    assert names <= set(locked("runtime.txt"))
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    modules = {"dnspython": "dns", "httptools": "http=.httptools"}
    for name in names:
        pattern = modules.get(name, name)
        assert re.search(rf"(?m)^\s*(from|import) {pattern}\b|{pattern}\"", sources), f"{name} is not used"


def test_make_lists_every_target_with_a_sentence() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert targets is not None
    for target in targets[1].split():
        assert re.search(rf"(?m)^{target} +[A-Z].*\.$", listed), target


def test_every_source_begins_with_its_licence_and_its_purpose() -> None:
    for folder in ("src", "tools"):
        for path in (ROOT / folder).rglob("*.py"):
            first, _, rest = path.read_text(encoding="utf-8").partition("\n")
            assert first == "# SPDX-License-Identifier: Apache-2.0", path
            assert rest.lstrip().startswith(('"""', 'r"""')), path


def test_large_modules_and_functions_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("def long() -> None:\n" + "    pass\n" * 60 + "\n" * 600, encoding="utf-8")
    assert list(large(path)) == [f"{path}: 661 lines", f"{path}:1: long has 61 lines"]
