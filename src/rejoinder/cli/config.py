# SPDX-License-Identifier: Apache-2.0
"""``rejoinder config``: what can be set, and whether what is set makes sense."""

from __future__ import annotations

import typer

from rejoinder.cli.option import ConfigFile
from rejoinder.config import Config, find, load
from rejoinder.config.sample import sample


def build() -> typer.Typer:
    """The command and what is below it."""
    app = typer.Typer(help="What can be set, and whether what is set makes sense.", no_args_is_help=True)
    app.command("sample")(print_sample)
    app.command("check")(check)
    return app


def print_sample() -> None:
    """Print a configuration file with every setting, its meaning and its default."""
    typer.echo(sample(Config), nl=False)


def check(config: ConfigFile = None) -> None:
    """Read the configuration as `serve` would and list what is wrong."""
    load(config)
    typer.echo(f"{find(config)} is right.")
