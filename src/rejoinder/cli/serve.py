# SPDX-License-Identifier: Apache-2.0
"""``rejoinder serve``: the server, in the foreground.

The process is the server's alone, so the interpreter is set for it here and nowhere else.
"""

from __future__ import annotations

import gc
import sys
from typing import Final

import typer
import uvloop

from rejoinder import app
from rejoinder.cli import log
from rejoinder.cli.option import ConfigFile
from rejoinder.config import load

_TURN: Final = 0.0005
"""Seconds that a thread may go on while another waits: a commit waits some thirty times while the loop is
busy, and would wait 5 ms each time."""


def serve(config: ConfigFile = None) -> None:
    """Receive mail, run workers and deliver their answers, until SIGTERM or Ctrl-C."""
    settings = load(config)
    log.configure()
    sys.setswitchinterval(_TURN)
    uvloop.run(app.serve(settings, ready=_announce))


def _announce(server: app.Server) -> None:
    # What is there now stays: to look through it for garbage later would stop the loop for 50 ms.
    gc.collect()
    gc.freeze()
    for host, port in server.smtp_addresses:
        typer.echo(f"Receiving mail at {host}:{port}")
    host, port = server.http_address
    typer.echo(f"Answering HTTP at http://{host}:{port}")
