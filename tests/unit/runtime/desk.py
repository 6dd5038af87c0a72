# SPDX-License-Identifier: Apache-2.0
"""A runner over a real store, with a worker that the test plays itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from rejoinder.clock.manual import ManualClock
from rejoinder.ids import Ids
from rejoinder.replies.settings import RepliesSettings
from rejoinder.runtime.conclusion import Concluder
from rejoinder.runtime.run import Assignment, Runner
from rejoinder.runtime.settings import WorkersSettings
from rejoinder.runtime.source import Held
from rejoinder.runtime.values import Actions, Ended, Ending, MessageEvent
from rejoinder.store.raw import RawStore
from rejoinder.store.raw.files import RawFiles
from rejoinder.store.settings import StoreSettings
from rejoinder.store.sqlite import SqliteStore
from tests.unit.replies.originals import NOW, ORIGINAL

Play = Callable[[Actions], Awaitable[object]]
ASSIGNMENT = Assignment(
    account="default",
    worker="desk",
    run_id="run_1",
    attempt=1,
    event_key="key",
    event_key_stable=True,
    original=ORIGINAL,
    raw=Held(b"raw"),
    raw_size=3,
    auth="{}",
    received_at=NOW,
    references=(),
    in_reply_to=(),
)


async def nothing(_: Actions) -> None:
    """A worker that does nothing."""


class Stage:
    """The ``Host``: a worker is the function ``play``, and its end is ``ended``."""

    def __init__(self) -> None:
        self.play: Play = nothing
        self.ended = Ended(Ending.NORMAL)
        self.events: list[MessageEvent] = []

    def has_room(self, worker: str, runs: int = 1) -> bool:
        """Whether a run would start at once."""
        return True

    async def run(self, worker: str, event: MessageEvent, actions: Actions) -> Ended:
        """Play the worker."""
        self.events.append(event)
        await self.play(actions)
        return self.ended


class Desk:
    """The parts that a run needs."""

    def __init__(self, store: SqliteStore, folder: Path, clock: ManualClock, **changed: int) -> None:
        entropy = count(1)
        self.store, self.clock, self.stage = store, clock, Stage()
        self.ids = Ids(lambda size: next(entropy).to_bytes(size, "big"))
        self.raws = RawStore(StoreSettings(data_dir=folder), self.ids, clock, RawFiles(folder / "raw"))
        max_size = changed.pop("max_size", 50 << 20)
        self.runner = Runner(
            host=self.stage,
            store=store,
            clock=clock,
            secret=b"secret",
            settings=RepliesSettings.model_validate(changed),
            max_size=max_size,
        )
        self.concluder = Concluder(
            raw_store=self.raws,
            clock=clock,
            ids=self.ids,
            jitter=lambda: 0.0,
            secret=b"secret",
            settings=WorkersSettings(retries=(60.0, 300.0)),
            hostname="mx.desk.example",
        )


@asynccontextmanager
async def open_desk(folder: Path, **changed: int) -> AsyncIterator[Desk]:
    """The parts, with other budgets or another ``max_size``."""
    clock = ManualClock()
    store = await SqliteStore.open(StoreSettings(data_dir=folder), clock)
    try:
        async with asyncio.timeout(10):
            yield Desk(store, folder, clock, **changed)
    finally:
        await store.close()
