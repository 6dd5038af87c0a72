# SPDX-License-Identifier: Apache-2.0
"""The page of the log names each event that the code says, with its keys, and no other."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
STAGES: Final = "api|app|dispatch|ingress|outbound|queue|runtime"
NAME: Final = re.compile(rf"(?:{STAGES})\.[a-z]+(?:_[a-z]+)*")
ROW: Final = re.compile(r"(?m)^\| `([a-z._]+)` \|([^|]*)\|")


def on_the_page() -> dict[str, set[str]]:
    text = (ROOT / "docs/logging.md").read_text(encoding="utf-8")
    return {match[1]: set(re.findall(r"`(\w+)`", match[2])) for match in ROW.finditer(text)}


def in_the_code() -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for path in (ROOT / "src/rejoinder").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and is_log(call.func) and call.args:
                for name in names(call.args[0], tree):
                    found[name] |= {each.arg for each in call.keywords if each.arg} - {"exc_info"}
    return found


def is_log(function: ast.expr) -> bool:
    """Whether this is a method of a logger, or a variable that holds one."""
    if isinstance(function, ast.Attribute):
        return isinstance(function.value, ast.Name) and function.value.id == "_log"
    return isinstance(function, ast.Name) and function.id == "say"


def names(expression: ast.expr, tree: ast.Module) -> Iterator[str]:
    """The events that an expression can be, directly or by a function or table of its module."""
    for node in ast.walk(expression):
        if isinstance(node, ast.Name):
            for statement in tree.body:
                if node.id in defined(statement):
                    yield from constants(statement)
    yield from constants(expression)


def defined(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef):
        return {statement.name}
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return {statement.target.id}
    return set()


def constants(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value):
            yield node.value


def test_each_event_of_the_log_is_on_its_page_with_its_keys() -> None:
    assert on_the_page() == in_the_code()


def test_nobody_logs_in_another_way() -> None:
    for path in (ROOT / "src/rejoinder").rglob("*.py"):
        assert "logging.getLogger" not in path.read_text(encoding="utf-8"), path
