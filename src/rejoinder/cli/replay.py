# SPDX-License-Identifier: Apache-2.0
"""``rejoinder replay``: give a dead letter another chance."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from rejoinder.cli.opened import done
from rejoinder.cli.option import ConfigFile
from rejoinder.config import load
from rejoinder.dispatch import replay as dead_letters
from rejoinder.errors import DeadLetterNotFound


def replay(
    asked: Annotated[
        str,
        typer.Argument(metavar="ID", help="The id of a received mail (email_…) or a sent message (sent_…)."),
    ],
    config: ConfigFile = None,
) -> None:
    """Run the worker again on a mail whose run failed for good, or send again what is a dead letter."""
    if not asyncio.run(done(load(config), lambda: dead_letters.replay(asked))):
        raise DeadLetterNotFound(
            f"nothing of {asked} is a dead letter; its trace shows where it stands "
            f"(GET /api/v2/mail/{asked}/trace)"
        )
    typer.echo(f"{asked} is due again; a running server takes it up within a second.")
