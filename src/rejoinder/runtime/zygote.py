# SPDX-License-Identifier: Apache-2.0
"""The host's side of a zygote: one for each interpreter, started when the first child is wanted.

A process of its own, because forking a server with threads and a loop copies locks in whatever state
they are. The package is handed to the interpreter as one module, not as a search path, so that another
interpreter sees none of the server's packages. A zygote that dies takes its children with it; the next
``spawn`` starts another.
"""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import rejoinder
from rejoinder.errors import ConfigError

_BOOTSTRAP: Final = """
import importlib.util, sys
root, control = sys.argv[1:]
start = root + "/__init__.py"
spec = importlib.util.spec_from_file_location("rejoinder", start, submodule_search_locations=[root])
sys.modules["rejoinder"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["rejoinder"])
from rejoinder.worker.zygote import main
main(int(control))
"""
_ROOT: Final = str(Path(rejoinder.__file__).parent)

OnExit = Callable[[int | None], None]
"""Told once when a child is dead: its exit status, negative for a signal, None if nobody knows."""


class Zygote:
    """Starts and kills children under one interpreter."""

    def __init__(self, python: str | None) -> None:
        self._python = python or sys.executable
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._on_exit: dict[int, OnExit] = {}
        self._burials: set[asyncio.Future[None]] = set()
        self._last = 0

    def spawn(self, memory: int, on_exit: OnExit) -> tuple[int, socket.socket, socket.socket]:
        """A new child: its number, and our ends of its frames and of its questions for raw mail.

        Raises:
            ConfigError: the interpreter cannot be started, or the server has no descriptor left.
        """
        control = self._control or self._launch()
        self._last += 1
        frames, its_frames, raw, its_raw = self._sockets()
        order = json.dumps({"spawn": self._last, "memory": memory}).encode()
        with its_frames, its_raw:
            self._on_exit[self._last] = on_exit
            self._send(control, order, [its_frames.fileno(), its_raw.fileno()])
        return self._last, frames, raw

    def kill(self, number: int) -> None:
        """End the child and what it started; ``on_exit`` is called when it is dead."""
        self._order("kill", number)

    def ask(self, number: int) -> None:
        """Have the child say on its raw socket which run holds its thread."""
        self._order("ask", number)

    async def stop(self) -> None:
        """End all children and the zygote; returns when they are gone."""
        self._lost()
        await asyncio.gather(*self._burials)

    def _sockets(self) -> tuple[socket.socket, socket.socket, socket.socket, socket.socket]:
        """The pair for a child's frames and the pair for its questions, or neither."""
        with ExitStack() as stack:
            try:
                frames = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
                stack.callback(_close, *frames)
                raw = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            except OSError as error:
                raise self._cannot_start(error) from None
            stack.pop_all()
            return *frames, *raw

    def _cannot_start(self, error: OSError) -> ConfigError:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            advice = "let the server have more open files (`ulimit -n`, LimitNOFILE= of systemd)"
        else:
            advice = "correct `python` of its [[worker]], or leave it out to use the server's own"
        return ConfigError(
            f"the interpreter {self._python} of a worker cannot be started: {error.strerror}; {advice}"
        )

    def _launch(self) -> socket.socket:
        try:
            control, its_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            raise self._cannot_start(error) from None
        control.setblocking(False)
        command = [self._python, "-P", "-c", _BOOTSTRAP, _ROOT, str(its_control.fileno())]
        try:
            with its_control:
                self._process = subprocess.Popen(  # noqa: S603  # The operator names the interpreter.
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=sys.__stderr__,
                    pass_fds=[its_control.fileno()],
                    start_new_session=True,
                )
        except OSError as error:
            control.close()
            raise self._cannot_start(error) from None
        self._control = control
        asyncio.get_running_loop().add_reader(control, self._read, control)
        return control

    def _order(self, what: str, number: int) -> None:
        if self._control is not None and number in self._on_exit:
            self._send(self._control, json.dumps({what: number}).encode(), [])

    def _send(self, control: socket.socket, order: bytes, descriptors: list[int]) -> None:
        try:
            socket.send_fds(control, [order], descriptors)
        except OSError:
            # It is dead, or has read nothing for so long that it will not.
            self._lost()

    def _read(self, control: socket.socket) -> None:
        try:
            text = control.recv(1 << 12)
        except BlockingIOError:
            return
        except OSError:
            text = b""
        if not text:
            self._lost()
            return
        report: dict[str, int] = json.loads(text)
        on_exit = self._on_exit.pop(report["exited"], None)
        if on_exit is not None:
            on_exit(report["status"])

    def _lost(self) -> None:
        process, control, told = self._process, self._control, self._on_exit
        self._process, self._control, self._on_exit = None, None, {}
        if control is not None:
            asyncio.get_running_loop().remove_reader(control)
            control.close()
        if process is not None:
            burial = asyncio.ensure_future(asyncio.to_thread(_bury, process))
            self._burials.add(burial)
            burial.add_done_callback(self._burials.discard)
        for on_exit in told.values():
            on_exit(None)


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        each.close()


def _bury(process: subprocess.Popen[bytes]) -> None:
    # It ends when its socket closes, after ending the children; a stopped one does not.
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
