# SPDX-License-Identifier: Apache-2.0
"""The process that children are forked from: everything of ours is loaded, nothing of the worker's.

It has one thread and no loop, so forking it is safe, which forking the server would not be. It takes
orders as datagrams of JSON: ``{"spawn": n, "memory": octets}`` with the child's two sockets, and
``{"kill": n}`` or ``{"ask": n}`` (who holds your thread?); it reports ``{"exited": n, "status": s}``. The
surprise: it kills a child's process
group while the child is still a zombie, since only until then does the number surely mean that group.

When the host is gone, it ends all children and itself; when it is killed, the kernel ends them.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Final, NoReturn

from rejoinder.worker import child

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36


class Zygote:
    """Forks, kills and buries."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._pids: dict[int, int] = {}
        self._numbers: dict[int, int] = {}
        self._prctl = ctypes.CDLL(None).prctl
        # What a worker starts and leaves behind is buried here instead of staying with init.
        self._prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        self._wake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake)

    def serve(self) -> None:
        """Obey until the host is gone."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        going = True
        while going:
            for descriptor, _ in poll.poll():
                if descriptor == self._wake:
                    os.read(self._wake, 1 << 10)
                    self._bury()
                else:
                    going = self._obey()
        for pid in self._numbers:
            _kill_group(pid)
        for pid in self._numbers:
            os.waitpid(pid, 0)

    def _obey(self) -> bool:
        try:
            text, descriptors, _, _ = socket.recv_fds(self._control, 1 << 12, 2)
        except ConnectionError:
            return False
        if not text:
            return False
        order: dict[str, int] = json.loads(text)
        if "spawn" in order:
            self._spawn(order["spawn"], order["memory"], descriptors)
        elif pid := self._pids.get(order.get("kill", 0)):
            _kill_group(pid)
        elif pid := self._pids.get(order.get("ask", 0)):
            os.kill(pid, signal.SIGUSR1)
        return True

    def _spawn(self, number: int, memory: int, descriptors: list[int]) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_child(parent, memory, descriptors)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # The child does so too; whoever comes second changes nothing.
        for descriptor in descriptors:
            os.close(descriptor)
        self._pids[number], self._numbers[pid] = pid, number

    def _become_child(self, parent: int, memory: int, descriptors: list[int]) -> NoReturn:
        status = 1
        try:
            os.setpgid(0, 0)
            self._prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(status)  # The signal was ordered too late.
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # Until the worker is loaded.
            self._control.close()
            os.close(self._wake)
            _limit(memory)
            frames, raw = (socket.socket(fileno=descriptor) for descriptor in descriptors)
            child.main(frames, raw)
            status = 0
        finally:
            os._exit(status)

    def _bury(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                number = self._numbers.pop(dead.si_pid, None)
                if number is not None:
                    _kill_group(dead.si_pid)
                _, status = os.waitpid(dead.si_pid, 0)
                if number is not None:
                    del self._pids[number]
                    self._report(number, os.waitstatus_to_exitcode(status))

    def _report(self, number: int, status: int) -> None:
        with contextlib.suppress(ConnectionError):
            self._control.send(json.dumps({"exited": number, "status": status}).encode())


def _limit(memory: int) -> None:
    if memory:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    # Where memory is short, the kernel is to take a worker and not the server.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def main(control: int) -> None:
    """Serve the host on this descriptor."""
    faulthandler.enable(sys.stderr)
    gc.collect()
    gc.freeze()  # What is here now stays, and collecting it would only copy pages.
    Zygote(socket.socket(fileno=control)).serve()
