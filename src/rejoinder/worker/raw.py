# SPDX-License-Identifier: Apache-2.0
"""Fetching the whole mail: a number goes out on a socket of its own and a file descriptor comes back.

A socket of its own, because it blocks: ``message.raw`` is a property, and the loop's socket belongs to
the loop. Each datagram is one question or one answer (SOCK_SEQPACKET).
"""

from __future__ import annotations

import socket
import struct
import threading
from typing import Final

from rejoinder.errors import WorkerError

QUESTION: Final = struct.Struct(">Q")
"""The number of the run."""


class RawFetcher:
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
