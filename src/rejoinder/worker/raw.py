# SPDX-License-Identifier: Apache-2.0
"""Fetching the whole mail: a number goes out on a socket of its own and a file descriptor comes back.

A socket of its own, because it blocks: ``message.raw`` is a property, and the loop's socket belongs to
the loop. Each datagram is one question or one answer (SOCK_SEQPACKET). For the same reason it carries
what a child whose loop is held up has to say: which run holds it, and where (``Held``).
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from typing import Final, NamedTuple

from rejoinder.errors import WorkerError

QUESTION: Final = struct.Struct(">Q")
"""The number of the run."""


class Held(NamedTuple):
    """What a child that was asked says of the run that holds its thread, after the run's number, as JSON."""

    where: str
    log: str


class RawSocket:
    """The child's end."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._turn = threading.Lock()

    def fetch(self, run: int) -> bytes:
        """The mail of this run.

        Raises:
            WorkerError: the host could not give it and says why.
        """
        with self._turn:
            self._socket.send(QUESTION.pack(run))
            reason, descriptors, _, _ = socket.recv_fds(self._socket, 1 << 10, 1)
        if not descriptors:
            raise WorkerError(f"the content of the mail could not be read: {reason.decode(errors='replace')}")
        with open(descriptors[0], "rb") as file:  # noqa: PTH123  # It is a descriptor.
            return file.read()

    def tell(self, run: int, held: Held) -> None:
        """Say which run holds the thread; from a signal handler, so without waiting for anything."""
        with contextlib.suppress(OSError):
            said = QUESTION.pack(run) + json.dumps(held, ensure_ascii=False).encode(errors="replace")
            self._socket.send(said, socket.MSG_DONTWAIT)
