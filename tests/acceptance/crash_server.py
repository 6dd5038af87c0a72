# SPDX-License-Identifier: Apache-2.0
"""The control of the crash test: a server that answers 250 first and makes the mail durable afterwards.

    python -m tests.acceptance.crash_server CONFIG

Everything else is the real server. If the crash test passed with this one, it would prove nothing.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import ClassVar
from unittest import mock

import uvloop

from rejoinder import app
from rejoinder.cli import log
from rejoinder.config import load
from rejoinder.ingress.accept import Acceptor
from rejoinder.ingress.decide import OK
from rejoinder.ingress.session import Delivery
from rejoinder.smtp.reply import Reply


class HastyAcceptor(Acceptor):
    """Answers before anything is durable, as many a script does."""

    unfinished: ClassVar[set[asyncio.Task[Reply]]] = set()

    async def accept(self, delivery: Delivery) -> Reply:
        """The 250 that promises what nobody has done yet."""
        task = asyncio.get_running_loop().create_task(super().accept(delivery))
        self.unfinished.add(task)
        task.add_done_callback(self.unfinished.discard)
        return OK


def main(config: Path) -> None:
    """Serve like ``rejoinder serve``, hastily."""
    log.configure()  # to standard error: nobody reads the rest of standard output
    with mock.patch.object(app, "Acceptor", HastyAcceptor):
        uvloop.run(app.serve(load(config), ready=_announce))


def _announce(server: app.Server) -> None:
    sys.stdout.write("Answering HTTP\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
