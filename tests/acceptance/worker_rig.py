# SPDX-License-Identifier: Apache-2.0
"""What tests of the host share: a judge of actions, mails made up, and a host with one worker in it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import dedent
from typing import Final

from rejoinder.clock.manual import ManualClock
from rejoinder.errors import ActionRefused
from rejoinder.runtime.child import LiveRun
from rejoinder.runtime.host import WorkerHost
from rejoinder.runtime.settings import WorkerEntry, WorkersSettings
from rejoinder.runtime.values import Ended, MessageEvent, ReplyAction

RAW: Final = b"From: ann@customer.example\r\nSubject: Hello\r\n\r\nThe printer is on fire.\r\n"
AUTH: Final = (
    '{"spf": {"result": "pass", "domain": "customer.example", "steps": []},'
    ' "dkim": [{"result": "pass", "domain": "customer.example", "selector": "s1"}],'
    ' "dmarc": {"result": "pass", "policy": "reject", "domain": "customer.example"}}'
)


class Judge:
    """Takes every action, or refuses replies, and lets a test wait for them."""

    def __init__(self, refuse: Callable[[], ActionRefused] | None = None) -> None:
        self.replies: list[ReplyAction] = []
        self.accepted = 0
        self._refuse = refuse
        self._changed = asyncio.Condition()

    async def reply(self, action: ReplyAction) -> str:
        async with self._changed:
            self.replies.append(action)
            self._changed.notify_all()
        if self._refuse is not None:
            raise self._refuse()
        return f"<{len(self.replies)}@desk.example>"

    async def accept(self) -> None:
        self.accepted += 1

    @property
    def texts(self) -> list[str | None]:
        return [action.text for action in self.replies]

    async def heard(self, text: str) -> None:
        """Return when the worker has replied with this text: how a worker says where it is."""
        async with self._changed:
            await self._changed.wait_for(lambda: text in self.texts)


class RawMail:
    """The content in a memory file."""

    def __init__(self, raw: bytes = RAW) -> None:
        self.raw = raw
        self.asked = 0

    async def descriptor(self) -> int:
        self.asked += 1
        descriptor = os.memfd_create("mail")
        os.write(descriptor, self.raw)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor


def mail(
    raw: RawMail | None = None, *, reverse_path: str | None = "ann@customer.example", alone: bool = False
) -> MessageEvent:
    source = raw or RawMail()
    return MessageEvent(
        event_key="k" * 64,
        event_key_stable=True,
        email_id="email_00000000000000000000000001",
        reverse_path=reverse_path,
        forward_path="support@desk.example",
        header_block=source.raw.partition(b"\r\n\r\n")[0] + b"\r\n",
        raw=source,
        raw_size=len(source.raw),
        auth=AUTH,
        received_at=1_767_225_600_000_000,
        attempt=1,
        alone=alone,
    )


class Rig:
    """A host with one worker."""

    def __init__(self, host: WorkerHost, clock: ManualClock, file: Path) -> None:
        self.host = host
        self.clock = clock
        self.file = file

    async def run(self, event: MessageEvent | None = None, judge: Judge | None = None) -> Ended:
        return await self.host.run("desk", event or mail(), judge or Judge())

    def begin(self, event: MessageEvent | None = None, judge: Judge | None = None) -> asyncio.Task[Ended]:
        return asyncio.create_task(self.run(event, judge))

    @property
    def live_runs(self) -> list[LiveRun]:
        """What the host knows of the runs that are going on in children."""
        return [run for child in self.host._pools["desk"].children for run in child._runs.values()]

    def write(self, source: str) -> None:
        self.file.write_text(dedent(source), encoding="utf-8")


@asynccontextmanager
async def worker(
    folder: Path,
    source: str,
    settings: WorkersSettings | None = None,
    *,
    processes: int = 1,
    concurrency: int = 16,
    python: str | None = None,
    variables: dict[str, str] | None = None,
) -> AsyncIterator[Rig]:
    """The worker ``desk`` from this source, under a clock that stands still."""
    file, clock = folder / "desk.py", ManualClock()
    entry = WorkerEntry(
        name="desk",
        file=file,
        processes=processes,
        concurrency=concurrency,
        python=python,
        variables=variables or {},
    )
    rig = Rig(WorkerHost(settings or WorkersSettings(), [entry], clock), clock, file)
    rig.write(source)
    await rig.host.start()
    try:
        yield rig
    finally:
        await rig.host.stop()


async def until(true: Callable[[], bool]) -> None:
    """Give the kernel its turns until it is so; the test's own limit is what ends a wait for nothing."""
    while not true():
        await asyncio.to_thread(os.sched_yield)
