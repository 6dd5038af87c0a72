# SPDX-License-Identifier: Apache-2.0
"""``rejoinder serve``: the server, in the foreground."""

from __future__ import annotations

import typer
import uvloop

from rejoinder import app
from rejoinder.cli import log
from rejoinder.cli.option import ConfigFile
from rejoinder.config import load


def serve(config: ConfigFile = None) -> None:
    """Receive mail, run workers and deliver their answers, until SIGTERM or Ctrl-C."""
    settings = load(config)
    log.configure()
    uvloop.run(app.serve(settings, ready=_announce))


def _announce(server: app.Server) -> None:
    for host, port in server.smtp_addresses:
        typer.echo(f"Receiving mail at {host}:{port}")
    host, port = server.http_address
    typer.echo(f"Answering HTTP at http://{host}:{port}")
