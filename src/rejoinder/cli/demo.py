# SPDX-License-Identifier: Apache-2.0
"""``rejoinder demo``: the real server in a town of its own, for whoever wants to see it at work."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from rejoinder.api.key import digest, new_key
from rejoinder.app import Server, Surroundings
from rejoinder.cli import log
from rejoinder.clock.live import LiveClock
from rejoinder.config import Config
from rejoinder.errors import ConfigError
from rejoinder.ids import Ids
from rejoinder.internet.demo import Stage, play, play_mail
from rejoinder.internet.desk import House
from rejoinder.internet.proof import verify
from rejoinder.internet.show import Show
from rejoinder.internet.town import SUPPORT, Town
from rejoinder.store import keys
from rejoinder.store.records import ApiKey

_EXAMPLE = Path("examples", "ticket_autoresponder.py")


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End when all is shown, also on a terminal.", show_default=False)
    ] = False,
    mail: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            exists=True,
            help="Run this mail through the server instead: a file, or a folder with all below it.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show a mail come in, answered in its thread, and the answer leave signed, all on this machine.

    Ends with 0 if every step was as it must be. On a terminal it stays up until Ctrl-C.
    """
    log.configure(logging.WARNING)
    console = Console()
    show = Show(console)
    stage = Stage(
        show=show,
        clock=LiveClock(),
        ids=Ids(os.urandom),
        start=_start,
        make_key=make_key,
        worker=example(),
        stay=_Staying(show) if console.is_terminal and not once else None,
    )
    faults = uvloop.run(play(stage) if mail is None else play_mail(stage, mail))
    raise typer.Exit(1 if faults else 0)


def example() -> Path:
    """The worker that is shown: beside the sources in a clone, within the package elsewhere.

    Raises:
        ConfigError: it is in neither place.
    """
    package = Path(sys.modules["rejoinder"].__path__[0])
    for folder in (package, package.parents[1]):
        if (folder / _EXAMPLE).is_file():
            return folder / _EXAMPLE
    raise ConfigError(
        f"{_EXAMPLE} is neither in {package} nor in {package.parents[1]}; install rejoinder again, or run "
        "`make demo` in a clone"
    )


async def make_key(house: House) -> str:
    """A key of the server's HTTP API that may do everything but answer programs."""
    secret, now = new_key(os.urandom), LiveClock().now()
    key = ApiKey(Ids(os.urandom).new("key", now), "default", digest(secret), "", now, None, None)
    await house.store.transaction(lambda: keys.insert(key))
    return secret


async def _start(settings: Mapping[str, object]) -> Server:
    return await Server.start(Config.model_validate(settings), Surroundings.live())


class _Staying:
    """Keeps the server up until Ctrl-C, with what is needed to try it."""

    def __init__(self, show: Show) -> None:
        self._show = show

    async def __call__(self, town: Town, house: House) -> None:
        """Tell where everything is, and wait."""
        secret = await make_key(house)
        http = "http://{}:{}".format(*house.http_address)
        smtp = "{}:{}".format(*house.smtp_addresses[0])
        show = self._show
        show.title("The server stays up until Ctrl-C")
        show.line(1, f"It receives mail for {SUPPORT} at {smtp} and answers HTTP at {http}.")
        show.line(1, f"An API key: {secret}")
        show.line(1, "What came in, and what became of it:")
        show.command(f"curl -s -H 'Authorization: Bearer {secret}' {http}/api/v2/mail")
        show.line(1, "Another mail from the customer, whose answer is shown here:")
        show.command(
            "printf 'From: %s\\nSubject: Hello\\n\\nHow do you do?\\n' alice@customer.example | curl -sT - "
            f"smtp://{smtp} --crlf --mail-from alice@customer.example --mail-rcpt {SUPPORT}"
        )
        await _until_interrupted(show, town)


async def _until_interrupted(show: Show, town: Town) -> None:
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    arrivals = asyncio.create_task(_show_arrivals(show, town))
    await interrupted.wait()
    arrivals.cancel()


async def _show_arrivals(show: Show, town: Town) -> None:
    while True:
        answer = await town.sink.next()
        show.answer(1, answer, await verify(town, answer))
