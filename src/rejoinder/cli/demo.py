# SPDX-License-Identifier: Apache-2.0
"""``rejoinder demo``: the options of the demonstration; the demonstration itself is an argument."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

Demonstrate = Callable[[bool, Path | None], int]
"""Runs the demonstration: whether it ends by itself, and the mail to run through it; returns the exit code."""


def command(demonstrate: Demonstrate) -> Callable[..., None]:
    """The command that runs this demonstration."""

    def demo(
        once: Annotated[
            bool, typer.Option("--once", help="End by itself; without a terminal it always does.")
        ] = False,
        mail: Annotated[
            Path | None,
            typer.Option(
                metavar="PATH", exists=True, help="Run this .eml file, or a folder of them, instead."
            ),
        ] = None,
    ) -> None:
        """See a mail come in, answered in its thread, and the answer leave signed."""
        ends = once or not sys.stdout.isatty()
        raise typer.Exit(demonstrate(ends, mail))

    return demo
