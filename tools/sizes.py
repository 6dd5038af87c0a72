# SPDX-License-Identifier: Apache-2.0
"""Print modules over 600 lines and functions over 60: to think about, not forbidden."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MODULE_LINES: Final = 600
FUNCTION_LINES: Final = 60


def large(path: Path) -> Iterator[str]:
    """A line for the module and for each of its functions that is large."""
    source = path.read_text(encoding="utf-8")
    count = source.count("\n")
    if count > MODULE_LINES:
        yield f"{path}: {count} lines"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{path}:{node.lineno}: {node.name} has {lines} lines"


def main(folders: list[str]) -> None:
    """Walk the folders and print what is large."""
    paths = sorted(path for folder in folders for path in Path(folder).rglob("*.py"))
    found = [line for path in paths for line in large(path)]
    print(f"{len(paths)} modules, {len(found)} large (over {MODULE_LINES} and {FUNCTION_LINES} lines):")
    print("\n".join(f"  {line}" for line in found) or "  none")


if __name__ == "__main__":
    main(sys.argv[1:])
