# SPDX-License-Identifier: Apache-2.0
"""The command ``rejoinder``: a file for each command, and one way to say that something failed.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 refused, 5 unreachable. The surprise: an error
of ours is one line on standard error, ``error: code: text``, and never a traceback; a traceback is
therefore always a defect.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from rejoinder import __version__
from rejoinder.cli import config, key
from rejoinder.cli.demo import demo
from rejoinder.cli.replay import replay
from rejoinder.cli.serve import serve
from rejoinder.errors import RejoinderError

__all__ = ["build", "exit_code", "main"]


def build() -> typer.Typer:
    """The whole command."""
    app = typer.Typer(
        name="rejoinder",
        help="Receive mail, run code on it, and answer in the thread.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback()(_options)
    app.command()(serve)
    app.command()(demo)
    app.command()(replay)
    app.add_typer(key.build(), name="key")
    app.add_typer(config.build(), name="config")
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit; the arguments are those of the process unless given."""
    try:
        build()(arguments)
    except RejoinderError as error:
        print(f"error: {error.code}: {error.text}", file=sys.stderr)  # noqa: T201 - this is the command's voice
        sys.exit(exit_code(error))


def exit_code(error: RejoinderError) -> int:
    """What the process ends with; the HTTP status tells not found and refused from failed."""
    if error.http_status == 404:
        return 3
    return 4 if 400 <= error.http_status < 500 else 1


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rejoinder {__version__}")
        raise typer.Exit


def _options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    pass
