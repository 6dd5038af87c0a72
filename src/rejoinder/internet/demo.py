# SPDX-License-Identifier: Apache-2.0
"""The demonstration: a real server in a town of its own, and what the town does with it.

``play`` tells the conversation, ``play_mail`` runs files. Both are given a way to start a server, because a
town knows no server, and both tell how many things were not as they must be. The surprise: nothing of it is
acted; the customer's server believes the answers only because DKIM and DMARC pass in the zone, and so a
wrong key in the zone makes the demonstration fail.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, assert_never

from rejoinder.clock import Clock
from rejoinder.ids import Ids
from rejoinder.internet import mail_file
from rejoinder.internet.by_hand import answer_by_hand
from rejoinder.internet.caller import Caller
from rejoinder.internet.conversation import Exchange, three_rounds, unanswered
from rejoinder.internet.desk import Desk, House
from rejoinder.internet.mail_run import Fate, MailRun, Outcome
from rejoinder.internet.proof import unproven, verify
from rejoinder.internet.show import Show
from rejoinder.internet.town import BILLING, CUSTOMER_HOST, DESK_HOST, SUPPORT, Town, open_town

_STOP_WITHIN: Final = 2.0


class RunningHouse(House, Protocol):
    """A server that was started for the demonstration."""

    async def stop(self, within: float) -> None:
        """End it."""
        ...


Start = Callable[[Mapping[str, object]], Awaitable[RunningHouse]]
"""Starts a server with a configuration."""
MakeKey = Callable[[House], Awaitable[str]]
"""Makes a key of a server's HTTP API."""
Stay = Callable[[Town, House], Awaitable[None]]
"""Called when all is shown and the server still runs; returns when it may end."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What the demonstration is played with."""

    show: Show
    clock: Clock
    ids: Ids
    start: Start
    make_key: MakeKey
    worker: Path
    stay: Stay | None = None
    prepare: Callable[[Town], None] | None = None
    """Called before the server starts, to have the town another way."""


async def play(stage: Stage) -> list[str]:
    """Tell the conversation; what was not as it must be, a sentence each."""
    async with open_town(stage.clock, stage.ids) as town, _server(stage, town) as house:
        desk, show = Desk(house, stage.clock), stage.show
        _introduce(show, town, desk, stage.worker)
        exchanges, faults = await _rounds(show, town, desk)
        if all(each.answer is not None for each in exchanges):
            faults += await _not_answered(show, town, desk, exchanges)
        faults += await _by_hand(show, town, desk, Caller(desk.http, await stage.make_key(house)))
        email = exchanges[0].letter.email
        if email is not None:
            show.title("What the server did with the first mail")
            show.trace(email, await desk.events(email))
        _conclude(show, faults)
        if stage.stay is not None:
            await stage.stay(town, house)
        return faults


async def play_mail(stage: Stage, path: Path) -> list[str]:
    """Run the mail at a path through the server; what was not as it must be, a sentence each."""
    async with (
        open_town(stage.clock, stage.ids, vouching=True) as town,
        _server(stage, town, budgets=False) as house,
    ):
        run = MailRun(Desk(house, stage.clock))
        paths, others = mail_file.find(path)
        _introduce_mail(stage.show, len(paths))
        faults = [] if paths else [f"there is no mail at {path}"]
        async for outcome in run.run(paths):
            _line(stage.show, path, outcome)
            faults += [f"{outcome.path}: {fault}" for fault in outcome.faults]
        faults += await _unsettled(town, run)
        _count(stage.show, run, others)
        _conclude(stage.show, faults)
        if stage.stay is not None:
            await stage.stay(town, house)
        return faults


@asynccontextmanager
async def _server(stage: Stage, town: Town, *, budgets: bool = True) -> AsyncIterator[RunningHouse]:
    if stage.prepare is not None:
        stage.prepare(town)
    house = await stage.start(town.settings(stage.worker, budgets=budgets))
    try:
        yield house
    finally:
        await house.stop(_STOP_WITHIN)


def _introduce(show: Show, town: Town, desk: Desk, worker: Path) -> None:
    show.line(0, ("Rejoinder, and a town around it", "bold"))
    for name, what in (
        (DESK_HOST, f"the server: mail at {_address(desk.smtp)}, HTTP at http://{_address(desk.http)}"),
        (str(SUPPORT), f"its route to the worker {worker.name}"),
        (str(BILLING), "its route to people: mail is stored, and waits"),
        (CUSTOMER_HOST, f"the customer's mail server, at {_address(town.sink_address)}"),
        ("DNS", f"at {town.resolver_address}, authoritative for the root"),
    ):
        show.line(1, f"{name:<22}", what)


async def _rounds(show: Show, town: Town, desk: Desk) -> tuple[list[Exchange], list[str]]:
    show.title("Three rounds in one thread")
    exchanges: list[Exchange] = []
    async for exchange in three_rounds(town, desk):
        show.exchange(1 + 2 * len(exchanges), exchange)
        exchanges.append(exchange)
    faults = [f"round {n}: {fault}" for n, each in enumerate(exchanges, 1) for fault in each.faults]
    return exchanges, faults


async def _not_answered(show: Show, town: Town, desk: Desk, exchanges: list[Exchange]) -> list[str]:
    show.title("Not answered, each for one reason")
    faults: list[str] = []
    async for case in unanswered(town, desk, exchanges):
        show.unanswered(1, case)
        faults += [f"{case.title}: {fault}" for fault in case.faults]
    return faults


async def _by_hand(show: Show, town: Town, desk: Desk, caller: Caller) -> list[str]:
    show.title("An operator answers through the REST API; the same request twice sends once")
    told = await answer_by_hand(town, desk, caller)
    show.by_hand(1, told)
    return [f"the operator's answer: {fault}" for fault in told.faults]


def _introduce_mail(show: Show, count: int) -> None:
    show.line(0, (f"{count} files to {SUPPORT}", "bold"))
    show.line(
        1, 'Line ends are made CRLF and a leading mbox "From " line is removed; nothing else is changed.'
    )
    show.line(1, "The reverse-path is Return-Path, else Sender, else the first From address, else <>.")
    show.line(
        1,
        "The zone vouches by SPF, with p=none, for example.com, example.net, example.org and everything "
        "under .example and .test; budgets are lifted.",
    )
    show.title("What became of each")


def _line(show: Show, root: Path, outcome: Outcome) -> None:
    name = _name(root, outcome.path)
    match outcome.fate:
        case Fate.ANSWERED:
            told = outcome.fate.value
        case Fate.NOT_ANSWERED | Fate.REFUSED:
            told = f"{outcome.fate} ({outcome.detail})"
        case Fate.DUPLICATE:
            told = f"duplicate of {_name(root, Path(outcome.detail))}"
        case _:
            assert_never(outcome.fate)
    show.line(1, (name, "bold"), f": {told}")


def _name(root: Path, path: Path) -> str:
    return os.fsencode(path.relative_to(root) if path != root else path.name).decode(errors="replace")


async def _unsettled(town: Town, run: MailRun) -> list[str]:
    """What is wrong with the answers, once all are delivered."""
    faults = [*run.unreadable, *await run.undelivered()]
    for delivery in town.sink.received:
        to = delivery.envelope.forward_paths[0]
        faults += [f"the answer to {to}: {fault}" for fault in unproven(await verify(town, delivery))]
    if len(town.sink.received) != run.counts[Fate.ANSWERED]:
        faults.append(f"{len(town.sink.received)} answers arrived for {run.counts[Fate.ANSWERED]} mails")
    return faults


def _count(show: Show, run: MailRun, others: int) -> None:
    show.title(f"{run.counts.total()} files")
    for fate in Fate:
        show.line(1, f"{run.counts[fate]:5} {fate}")
    show.line(
        1, f"Line ends were made CRLF in {run.line_ends} files, an mbox line removed from {run.mbox_lines}."
    )
    if others:
        show.line(1, f"{others} more files were left out: their names tell that they are no mail.")


def _conclude(show: Show, faults: list[str]) -> None:
    bad = f"{len(faults)} of it not as it must be"
    show.title(bad if faults else "Everything was as it must be")
    show.faults(1, faults)


def _address(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"
