# SPDX-License-Identifier: Apache-2.0
"""The documentation names everything that users meet, and nothing that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from rejoinder import errors
from rejoinder.cli import build
from rejoinder.config import Config, load
from rejoinder.config.sample import page
from rejoinder.errors import RejoinderError

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "rejoinder"
PAGES = sorted(
    path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("changelog.d/*.md")]
)
ADRS = sorted(ROOT.glob("docs/adr/*.md"))


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def headings(name: str) -> list[str]:
    return [match[1].strip() for match in re.finditer(r"(?m)^#+ (.+)$", read(name))]


def error_classes(root: type[RejoinderError] = RejoinderError) -> Iterator[type[RejoinderError]]:
    yield root
    for each in root.__subclasses__():
        yield from error_classes(each)


def commands(group: object, path: str = "rejoinder") -> Iterator[str]:
    inside = getattr(group, "commands", None)
    if not inside:
        yield path
        return
    for name, command in inside.items():
        yield from commands(command, f"{path} {name}")


def test_the_page_of_settings_is_that_of_the_program() -> None:
    assert read("docs/settings.md") == page(Config), "run `make docs`"


@pytest.mark.parametrize(
    "code", sorted({each.code for each in error_classes() if each.__module__ == errors.__name__})
)
def test_every_error_code_is_kebab_case_and_has_a_heading(code: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)
    assert code in headings("docs/errors.md")


def test_no_code_has_two_headings() -> None:
    found = headings("docs/errors.md")
    assert sorted(found) == sorted(set(found))


def test_every_error_is_in_the_tree_of_its_module() -> None:
    tree = (errors.__doc__ or "").split("Each class has")[0]
    for each in error_classes():
        if not each.__name__.startswith("Reply") or each.__name__ == "ReplyRefused":
            assert re.search(rf"\b{each.__name__}\b", tree), each.__name__


def test_every_command_has_a_heading_and_every_heading_is_a_command() -> None:
    assert set(headings("docs/commands.md")[1:]) == set(commands(typer.main.get_command(build())))


def test_the_architecture_names_each_package_and_no_other() -> None:
    table = read("ARCHITECTURE.md").partition("## Code map")[2].partition("## What is not there")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    existing = {
        path.stem if path.is_file() else path.name
        for path in SOURCE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert named == existing - {"__init__", "__main__"}


@pytest.mark.parametrize("path", re.findall(r"`([a-z_]+/[a-z_/]+\.py)`", read("ARCHITECTURE.md")))
def test_each_file_that_the_architecture_names_exists(path: str) -> None:
    assert (SOURCE / path).is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_link_to_a_file_leads_to_one(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", text):
        assert (page.parent / target).exists(), target
    for target in re.findall(r"`(docs/[\w./-]+\.md)`", text):
        assert (ROOT / target).is_file(), target


@pytest.mark.parametrize("page", ADRS, ids=lambda path: path.stem)
def test_each_decision_has_its_number_and_five_headings(page: Path) -> None:
    number = int(page.name[:4])
    title, *sections = headings(str(page.relative_to(ROOT)))
    assert title.startswith(f"{number}. ")
    assert sections == ["Status", "Context", "Decision", "Consequences"]


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(page.name[:4]) for page in ADRS] == list(range(1, len(ADRS) + 1))


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", read("README.md"))


@pytest.mark.parametrize("block", code_blocks("python"))
def test_each_python_block_of_the_readme_compiles(block: str) -> None:
    compile(block, "README.md", "exec")


def test_the_worker_of_the_readme_has_at_most_ten_lines() -> None:
    first, *_ = code_blocks("python")
    assert len(first.splitlines()) <= 10


@pytest.mark.parametrize("block", code_blocks("toml"))
def test_each_configuration_of_the_readme_is_right(block: str, tmp_path: Path) -> None:
    path = tmp_path / "rejoinder.toml"
    path.write_text(block, encoding="utf-8")
    load(path, {})


FRAGMENTS = [path for path in ROOT.glob("changelog.d/*.md") if path.name != "README.md"]


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda path: path.name)
def test_each_changelog_fragment_is_of_a_known_kind_and_short(fragment: Path) -> None:
    assert re.fullmatch(r"[a-z0-9-]+\.(added|changed|fixed|removed)\.md", fragment.name)
    assert 0 < len(fragment.read_text(encoding="utf-8").split()) <= 80
