# SPDX-License-Identifier: Apache-2.0
"""The server is killed with SIGKILL while mail is answered through the API, and sends each reply once.

Whoever asks does what a client does: it asks again, under the same Idempotency-Key, as long as the
connection is lost or the answer is 5xx. Then each key has one sent message, which is the one that was
answered; it arrives, and where it arrives again it says that it may have. REJOINDER_SEED and
REJOINDER_KILLS are as in ``test_crash``.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from rejoinder.api.key import digest
from rejoinder.clock.live import LiveClock
from rejoinder.ingress.session import Delivery
from rejoinder.internet.caller import Caller, HttpAnswer
from rejoinder.message.headers import split
from rejoinder.store import keys
from rejoinder.store.records import ApiKey
from rejoinder.store.settings import StoreSettings
from rejoinder.store.sqlite import SqliteStore
from tests.acceptance.crash_ledger import connect
from tests.acceptance.crash_reply_ledger import ReplyLedger, SentReply, read_replies
from tests.acceptance.crash_rig import DELIVER_ROOM, REAL, Rig, rig, until
from tests.acceptance.house import KEY, SUPPORT

pytestmark = pytest.mark.anyio

KILLS: Final = int(os.environ.get("REJOINDER_KILLS", "12"))
CALLERS: Final = 8
LETTERS: Final = 4
_LARGE: Final = 12_000
"""Octets of a text whose message is kept in a file."""


# --- those who answer mail ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """A reply that somebody asks for; the name is its subject."""

    name: str
    path: str
    key: str
    text: str = "We have read it."

    @property
    def body(self) -> dict[str, object]:
        """The request's JSON."""
        return {"from": f"Desk <{SUPPORT}>", "subject": self.name, "text": self.text}

    @property
    def octets(self) -> bytes:
        """The whole request, as it is on the wire."""
        body = json.dumps(self.body).encode()
        lines = [
            f"POST {self.path} HTTP/1.1",
            "Host: desk.example",
            f"Authorization: Bearer {KEY}",
            f"Idempotency-Key: {self.key}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body


class Desk:
    """A rig with some mail in its store, and people who answer it through the API."""

    def __init__(self, house: Rig, paths: list[str]) -> None:
        self.house = house
        self.ledger = ReplyLedger()
        self._paths = paths
        self._numbers = count(1)

    def asked(self, size: int = 30) -> Asked:
        """A new reply to one of the mails, with a key of its own, and a text of about so many octets."""
        number = next(self._numbers)
        path = self._paths[number % len(self._paths)]
        return Asked(f"Reply {number}", path, f"key-{number}", "This line fills it.\n" * (size // 20))

    async def answer(self, asked: Asked) -> HttpAnswer:
        """Ask until there is an answer that is not the server's own failure."""
        while True:
            await self.house.up()
            caller = Caller(self.house.http_address, KEY)
            answer = await caller.post(asked.path, asked.body, idempotency_key=asked.key)
            if answer is not None and answer.status < 500:
                self._note(asked, answer)
                return answer

    async def answer_until(self, stopping: asyncio.Event, chance: random.Random) -> None:
        """One caller: reply after reply, some large, some asked for again, some twice at once."""
        while not stopping.is_set():
            asked = self.asked(_LARGE if chance.random() < 0.1 else 30)
            times = 2 if chance.random() < 0.2 else 1
            await asyncio.gather(*[self.answer(asked) for _ in range(times)])
            if chance.random() < 0.1:
                await self.answer(asked)  # as if the answer had been lost on its way

    async def stop(self) -> None:
        """Let the server end in order, when no job is left, and take the store and the sink's mail."""
        await self.house.stop()
        self.ledger.kept = read_replies(self.house.data_dir)
        self.ledger.arrived = [_named(delivery) for delivery in self.house.sink.received]

    def is_kept(self, asked: Asked) -> bool:
        """Whether the store has the reply."""
        return any(each.name == asked.name for each in read_replies(self.house.data_dir))

    def arrivals(self, asked: Asked) -> int:
        """How often the reply has arrived."""
        return [_named(delivery)[0] for delivery in self.house.sink.received].count(asked.name)

    def _note(self, asked: Asked, answer: HttpAnswer) -> None:
        if answer.status == 200:
            self.ledger.told[asked.name].add((str(answer.body["id"]), f"<{answer.body['messageId']}>"))
        else:
            self.ledger.refused[asked.name] = str(answer)


@asynccontextmanager
async def desk(folder: Path, limit: float) -> AsyncIterator[Desk]:
    """A desk whose server runs."""
    async with rig(folder, REAL, limit) as house, house.sender() as pool:
        await house.start()
        store = await SqliteStore.open(StoreSettings(data_dir=house.data_dir), LiveClock())
        key = ApiKey("key_of_the_desk", "default", digest(KEY), "", 0, None, None)
        await store.transaction(lambda: keys.insert(key))
        await store.close()
        for _ in range(LETTERS):
            await house.send(pool, house.letter("silent"))
        with closing(connect(house.data_dir)) as connection:
            ids = [str(email_id) for (email_id,) in connection.execute("SELECT id FROM email")]
        yield Desk(house, [f"/api/v2/emails/{email_id}/reply" for email_id in ids])


def _named(delivery: Delivery) -> tuple[str, str]:
    headers, _ = split(delivery.raw)
    return headers.get("Subject", ""), headers.get("Message-ID", "")


# --- random moments ----------------------------------------------------------------------------------


async def test_killed_at_random_moments_under_load_the_server_sends_each_reply_once(tmp_path: Path) -> None:
    async with desk(tmp_path, 60 + 10 * KILLS) as callers:
        await kill_under_load(callers, KILLS)
        await callers.stop()
        report(callers)
        ledger = callers.ledger
        assert callers.house.kills == KILLS
        assert ledger.findings() == []
        assert len(ledger.told) == len(ledger.kept) > KILLS
        # Only what was going on may be called uncertain.
        assert sum(each.uncertain for each in ledger.kept) <= KILLS * DELIVER_ROOM


async def kill_under_load(callers: Desk, kills: int) -> None:
    """Kill the server so many times, one time in six while it starts, and leave it running."""
    seed = int(os.environ.get("REJOINDER_SEED") or time.time_ns() % 1_000_000)
    print(f"REJOINDER_SEED={seed}")  # noqa: T201 - to repeat a failure
    chance, stopping, house = random.Random(seed), asyncio.Event(), callers.house
    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(callers.answer_until(stopping, random.Random(chance.random())))
        for left in reversed(range(kills)):
            await asyncio.sleep(chance.uniform(0, 0.4))
            await house.kill()
            is_hasty = left > 0 and chance.random() < 1 / 6
            await (house.spawn() if is_hasty else house.start())
        stopping.set()


def report(callers: Desk) -> None:
    ledger = callers.ledger
    print(  # noqa: T201 - what the run was worth
        f"{callers.house.kills} kills, {len(ledger.told)} replies asked for, {len(ledger.kept)} kept,"
        f" {len(ledger.arrived)} arrived, {len(ledger.repeats)} of them again,"
        f" {sum(each.uncertain for each in ledger.kept)} marked uncertain"
    )


# --- named steps -------------------------------------------------------------------------------------

Step = Callable[[Desk], Awaitable[None]]
"""Bring the server to its end at a certain point of a reply's way, and have the reply answered."""


async def before_the_request_is_read(callers: Desk) -> None:
    asked = callers.asked()
    callers.house.process.send_signal(signal.SIGSTOP)
    with offered(callers, asked.octets):
        await callers.house.kill()
    await answered_anew(callers, asked)


async def before_the_request_has_come_whole(callers: Desk) -> None:
    asked = callers.asked()
    with offered(callers, asked.octets[:-1]):
        await let_the_server_read(callers)
        await callers.house.kill()
    await answered_anew(callers, asked)


async def right_after_the_request_is_sent(callers: Desk) -> None:
    asked = callers.asked()
    with offered(callers, asked.octets):
        await callers.house.kill()
    await callers.house.start()
    await callers.answer(asked)


async def between_the_file_of_a_large_reply_and_its_row(callers: Desk) -> None:
    asked = callers.asked(_LARGE)
    files = count_files(callers)
    with locked(callers), offered(callers, asked.octets):
        await until(lambda: count_files(callers) > files, "the file")
        await callers.house.kill()
    await answered_anew(callers, asked)


async def before_the_commit(callers: Desk) -> None:
    asked = callers.asked()
    with locked(callers), offered(callers, asked.octets):
        await let_the_server_read(callers)
        await callers.house.kill()
    await answered_anew(callers, asked)


async def while_two_equal_requests_wait(callers: Desk) -> None:
    asked = callers.asked()
    with locked(callers):
        waiting = [asyncio.create_task(callers.answer(asked)) for _ in range(2)]
        await let_the_server_read(callers)
        await callers.house.kill()
    await callers.house.start()
    answers = await asyncio.gather(*waiting)
    assert sorted(is_replayed(answer) for answer in answers) == [False, True]


async def after_the_commit_with_the_answer_lost(callers: Desk) -> None:
    asked = callers.asked()
    await lose_the_answer(callers, asked)
    assert is_replayed(await callers.answer(asked))


async def right_after_the_answer(callers: Desk) -> None:
    asked = callers.asked()
    await callers.answer(asked)
    await callers.house.kill()
    await callers.house.start()
    assert is_replayed(await callers.answer(asked))


async def when_the_reply_is_offered_to_the_next_hop(callers: Desk) -> None:
    asked = callers.asked()
    callers.house.sink.on_recipient = callers.house.strike
    await killed_after_the_answer(callers, asked)


async def when_the_next_hop_has_the_content(callers: Desk) -> None:
    asked = callers.asked()
    callers.house.sink.on_content = callers.house.strike
    await killed_after_the_answer(callers, asked)
    await until(lambda: callers.arrivals(asked) == 2, "the same reply again")


async def between_the_next_hops_250_and_its_record(callers: Desk) -> None:
    asked = callers.asked()
    held = asyncio.get_running_loop().create_future()
    callers.house.sink.on_recipient = lambda: held.set_result(lock(callers))
    await callers.answer(asked)
    with closing(await held):
        await until(lambda: callers.arrivals(asked) == 1, "the reply")
        await let_the_server_read(callers)
        await callers.house.kill()
    await callers.house.start()
    await until(lambda: callers.arrivals(asked) == 2, "the same reply again")


async def while_it_drains(callers: Desk) -> None:
    asked = callers.asked()
    with locked(callers), offered(callers, asked.octets):
        await let_the_server_read(callers)
        callers.house.process.terminate()
        await callers.house.kill()
    await answered_anew(callers, asked)


STEPS: Final[tuple[Step, ...]] = (
    before_the_request_is_read,
    before_the_request_has_come_whole,
    right_after_the_request_is_sent,
    between_the_file_of_a_large_reply_and_its_row,
    before_the_commit,
    while_two_equal_requests_wait,
    after_the_commit_with_the_answer_lost,
    right_after_the_answer,
    when_the_reply_is_offered_to_the_next_hop,
    when_the_next_hop_has_the_content,
    between_the_next_hops_250_and_its_record,
    while_it_drains,
)


async def test_killed_at_each_step_of_a_replys_way_the_server_sends_it_once(tmp_path: Path) -> None:
    async with desk(tmp_path, 120) as callers:
        for step in STEPS:
            await step(callers)
            await callers.house.settle()
        await callers.stop()
        report(callers)
        assert callers.house.kills == len(STEPS)
        assert callers.ledger.findings() == []
        assert len(callers.ledger.told) == len(callers.ledger.kept) == len(STEPS)
        assert callers.ledger.repeats


async def test_a_caller_with_a_new_key_for_each_try_fails_the_same_checks(tmp_path: Path) -> None:
    async with desk(tmp_path, 60) as callers:
        asked = callers.asked()
        await lose_the_answer(callers, asked)
        await callers.answer(replace(asked, key="another"))
        await callers.stop()
        found = {finding.partition(":")[0] for finding in callers.ledger.findings()}
        assert found == {"doubled", "arrived twice"}


async def answered_anew(callers: Desk, asked: Asked) -> None:
    """The killed server kept nothing; the next one answers."""
    assert not callers.is_kept(asked)
    await callers.house.start()
    assert not is_replayed(await callers.answer(asked))


async def lose_the_answer(callers: Desk, asked: Asked) -> None:
    """The server keeps the reply and is killed, and nobody has read its answer."""
    with offered(callers, asked.octets):
        await until(lambda: callers.is_kept(asked), "the commit")
        await callers.house.kill()
    await callers.house.start()


async def killed_after_the_answer(callers: Desk, asked: Asked) -> None:
    """Have the reply answered, while the next hop kills the server."""
    answering = asyncio.create_task(callers.answer(asked))
    await callers.house.bury()
    await callers.house.start()
    await answering


async def let_the_server_read(callers: Desk) -> None:
    """Return when the server has seen all that came before: it answers what came after."""
    caller = Caller(callers.house.http_address, KEY)
    for _ in range(3):
        assert await caller.get("/healthz") is not None


@contextmanager
def offered(callers: Desk, octets: bytes) -> Iterator[None]:
    """A connection on which these octets were sent, and from which nothing is read."""
    with socket.create_connection(callers.house.http_address) as connection:
        connection.sendall(octets)
        yield


@contextmanager
def locked(callers: Desk) -> Iterator[None]:
    """A time in which nobody but us can commit."""
    with closing(lock(callers)):
        yield


def lock(callers: Desk) -> sqlite3.Connection:
    """Keep everybody from committing, until this is closed."""
    connection = sqlite3.connect(callers.house.data_dir / "rejoinder.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection


def count_files(callers: Desk) -> int:
    """How many large messages lie in files."""
    return sum(path.is_file() for path in (callers.house.data_dir / "raw").rglob("*"))


def is_replayed(answer: HttpAnswer) -> bool:
    """Whether an answer is that of an earlier request."""
    return "idempotency-replayed" in answer.headers


# --- the checks --------------------------------------------------------------------------------------

_KEPT: Final = SentReply("Reply 1", "sent_1", "<1@d>", "key-1", "delivered", False, 0)


def in_order() -> ReplyLedger:
    """One reply, answered, kept and arrived."""
    return ReplyLedger(told={"Reply 1": {("sent_1", "<1@d>")}}, arrived=[("Reply 1", "<1@d>")], kept=[_KEPT])


def test_a_ledger_in_order_has_no_findings() -> None:
    assert in_order().findings() == []


@pytest.mark.parametrize(
    ("finding", "broken"),
    [
        ("refused", {"refused": {"Reply 2": "403"}}),
        ("contradicted", {"told": {"Reply 1": {("sent_1", "<1@d>"), ("sent_2", "<2@d>")}}}),
        ("lost", {"kept": []}),
        ("lost", {"told": {"Reply 1": {("sent_1", "<2@d>")}}}),
        ("doubled", {"kept": [_KEPT, replace(_KEPT, id="sent_2", message_id="<2@d>")]}),
        ("unkeyed", {"kept": [replace(_KEPT, key=None)]}),
        ("undelivered", {"kept": [replace(_KEPT, status="deferred")]}),
        ("unmarked", {"arrived": [("Reply 1", "<1@d>")] * 2}),
        ("unknown", {"arrived": [("Reply 1", "<1@d>"), ("Reply 2", "<2@d>")]}),
        ("missing", {"arrived": []}),
        ("arrived twice", {"arrived": [("Reply 1", "<1@d>"), ("Reply 1", "<2@d>")]}),
    ],
)
def test_each_broken_promise_is_found(finding: str, broken: dict[str, object]) -> None:
    ledger = in_order()
    for name, value in broken.items():
        setattr(ledger, name, value)
    assert [found for found in ledger.findings() if found.startswith(f"{finding}:")]


def test_a_repeat_that_says_so_is_in_order() -> None:
    ledger = in_order()
    ledger.arrived *= 2
    ledger.kept = [replace(_KEPT, uncertain=True, repeats_said=1)]
    assert ledger.findings() == []
