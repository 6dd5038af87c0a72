# SPDX-License-Identifier: Apache-2.0
"""The worker's file, loaded: its ``email`` and how to call it."""

from __future__ import annotations

import inspect
import linecache
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from rejoinder.worker.output import explain

EXAMPLE = "`async def email(message, env, ctx): …`"


class LoadError(Exception):
    """The worker's file cannot be used; the text is for its author."""


@dataclass(frozen=True, slots=True)
class Handler:
    """The worker's ``email``, and how many of (message, env, ctx) it takes."""

    function: Callable[..., object]
    arity: int
    is_async: bool

    def call(self, *arguments: object) -> object:
        """Call it with as many of the arguments as it takes."""
        return self.function(*arguments[: self.arity])


def load(source: bytes, file: str, name: str) -> Handler:
    """Run the file's source and find its ``email``; modules beside the file can be imported.

    The source is given, not read: a process that is started again runs what ran before, whatever the
    file holds by then.

    Raises:
        LoadError: the file raises, or has no ``email`` that can be called.
    """
    module = ModuleType(f"worker_{name.replace('-', '_')}")
    module.__file__ = file
    sys.modules[module.__name__] = module
    sys.path.insert(0, str(Path(file).parent))
    text = source.decode(errors="replace")
    linecache.cache[file] = (len(source), None, text.splitlines(keepends=True), file)
    try:
        exec(compile(source, file, "exec"), module.__dict__)  # noqa: S102  # This is what a worker is.
    except BaseException as error:  # noqa: BLE001  # Even `exit()`: the author is to read of it.
        raise LoadError(f"{file} cannot be imported:\n{explain(error)}") from None
    return _handler(getattr(module, "email", None), file)


def _handler(function: object, file: str) -> Handler:
    if not callable(function) or isinstance(function, type):
        raise LoadError(f"{file} has no function `email`, which handles the mail; write {EXAMPLE}")
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
    return Handler(function, _arity(function, file), is_async)


def _arity(function: Callable[..., object], file: str) -> int:
    signature = inspect.signature(function)
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return 3
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    arity = min(3, sum(kind in positional for kind in kinds))
    try:
        signature.bind(*range(arity))
    except TypeError as error:
        raise LoadError(
            f"`email` of {file} is called with (message, env, ctx) at most: {error}; write {EXAMPLE}"
        ) from None
    return arity
