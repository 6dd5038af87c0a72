# SPDX-License-Identifier: Apache-2.0
"""One mail whose worker misbehaves among mails in the same process: the others are answered, once.

Everything here is real: SMTP in, one child process that handles sixteen mails at a time, delivery out. The
neighbours wait at a gate in the process while the culprit strikes; only then they may go on. The time limit
is short, and the only time that passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from rejoinder.mailauth.dkim.sign import Signer
from rejoinder.message.headers import split
from rejoinder.store.records import Email, EmailStatus, RunState
from tests.acceptance.gate import GATE, Gate
from tests.acceptance.house import SUPPORT, House, houses

pytestmark = pytest.mark.anyio

NEIGHBOURS: Final = 5
CODE: Final = (
    GATE
    + """
import ctypes, os, signal, socket, sys, threading, time

def strike(env):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(env.gate)
        sock.sendall(b"striking\\n")

async def email(message, env, ctx):
    role = message.headers.get("Subject")
    if role == "neighbour":
        await gate(env, "waiting")
        await message.reply("from a neighbour")
    else:
        strike(env)
        await globals()[role](message, ctx)

async def loop(message, ctx):
    message.reply("never to be sent")
    while True:
        pass

async def sleep(message, ctx):
    time.sleep(60)

async def wait(message, ctx):
    message.reply("never to be sent")
    await asyncio.get_running_loop().create_future()

async def deaf(message, ctx):
    while True:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            pass

async def exit(message, ctx):
    message.reply("never to be sent")
    os._exit(0)

async def sys_exit(message, ctx):
    sys.exit(3)

async def kill(message, ctx):
    os.kill(os.getpid(), signal.SIGKILL)

async def segfault(message, ctx):
    ctypes.string_at(0)

async def kill_group(message, ctx):
    os.killpg(0, signal.SIGKILL)

async def close_everything(message, ctx):
    os.closerange(0, 1000)
    await asyncio.get_running_loop().create_future()

async def scribble(message, ctx):
    message._actor._channel._transport.write(b"\\xff" * 100)
    await asyncio.get_running_loop().create_future()

async def stop_loop(message, ctx):
    asyncio.get_running_loop().stop()
    await asyncio.get_running_loop().create_future()

async def exit_in_a_task(message, ctx):
    async def leave():
        sys.exit(3)
    await asyncio.create_task(leave())

async def allocate(message, ctx):
    blocks = []
    while True:
        blocks.append(bytearray(64 << 20))

async def recurse(message, ctx):
    await recurse(message, ctx)

async def throw(message, ctx):
    raise ValueError("thrown")

async def throw_everything(message, ctx):
    raise BaseException("thrown")

async def thread(message, ctx):
    threading.Thread(target=time.sleep, args=(60,)).start()
    raise ValueError("with a thread left behind")

async def flood(message, ctx):
    print("x" * (8 << 20))
    await message.reply("x" * (1 << 20))

async def never_awaits(message, ctx):
    message.reply("sent all the same")

async def late(message, ctx):
    asyncio.current_task().add_done_callback(lambda _: message.reply("too late"))

async def answer_twice(message, ctx):
    await message.reply("once")
    message.reply("twice")
"""
)

FAILED: Final = (EmailStatus.FAILED, RunState.DEAD_LETTERED, 0)
HANDLED: Final = (EmailStatus.HANDLED, RunState.FINISHED, 0)
ANSWERED: Final = (EmailStatus.HANDLED, RunState.FINISHED, 1)
CULPRITS: Final = {
    # What becomes of the culprit's mail, its run, and how many answers it gets; and what its run tells.
    "loop": (FAILED, "time limit"),
    "sleep": (FAILED, "time limit"),
    "wait": (FAILED, "time limit"),
    "deaf": (FAILED, "time limit"),
    "exit": (FAILED, "exited with status 0"),
    "sys_exit": (FAILED, "SystemExit"),
    "kill": (FAILED, "SIGKILL"),
    "kill_group": (FAILED, "SIGKILL"),
    "segfault": (FAILED, "SIGSEGV"),
    "close_everything": (FAILED, ""),
    "scribble": (FAILED, "SIGKILL"),
    "stop_loop": (FAILED, "exited with status 1"),
    "exit_in_a_task": (FAILED, "exited with status 1"),
    "allocate": (FAILED, "MemoryError"),
    "recurse": (FAILED, "RecursionError"),
    "throw": (FAILED, "ValueError: thrown"),
    "throw_everything": (FAILED, "BaseException: thrown"),
    "thread": (FAILED, "ValueError"),
    "flood": (ANSWERED, ""),
    "never_awaits": (ANSWERED, ""),
    "late": (HANDLED, ""),
    "answer_twice": (ANSWERED, ""),
}


class Scene:
    """A house with one worker process, and its gate."""

    def __init__(self, house: House, gate: Gate) -> None:
        self.house = house
        self.gate = gate

    def send(self, role: str) -> tuple[str, asyncio.Task[str]]:
        """Begin to send a mail; its Message-ID, and the answer to come."""
        raw = self.house.alice.write(SUPPORT, role, "Hello.")
        return split(raw)[0].get("Message-ID", ""), asyncio.create_task(self._answer_to(raw))

    async def _answer_to(self, raw: bytes) -> str:
        (outcome,) = (await self.house.send(raw)).outcomes
        return str(outcome.reply)

    async def clash(self, culprits: Sequence[str]) -> tuple[Mapping[str, Email], Sequence[Email]]:
        """Let culprits strike beside neighbours: the culprits' mails by their roles, and the neighbours'."""
        neighbours = [self.send("neighbour") for _ in range(NEIGHBOURS)]
        waiting = [await self.gate.arrival("waiting") for _ in neighbours]
        struck = [self.send(role) for role in culprits]
        self.gate.let_go(await self.gate.arrival("striking"))
        for each in waiting:
            self.gate.let_go(each)
        opened = asyncio.create_task(self.gate.let_all_go())
        try:
            answers = await asyncio.gather(*(sending for _, sending in neighbours + struck))
            mails = await self.settled({message_id for message_id, _ in neighbours + struck})
        finally:
            opened.cancel()
        assert answers == ["250 2.0.0 Ok"] * len(answers)
        return (
            {role: mails[message_id] for role, (message_id, _) in zip(culprits, struck, strict=True)},
            [mails[message_id] for message_id, _ in neighbours],
        )

    async def answers_to(self, email: Email) -> int:
        """How many answers came to a mail, when all that are stored have come."""
        expected = len(await self.house.sent(email))
        while (came := sum(self._answers(each.raw, email) for each in self.house.sink.received)) < expected:
            await self.house.sink.next()
        return came

    @staticmethod
    def _answers(raw: bytes, email: Email) -> bool:
        return split(raw)[0].get("In-Reply-To") == email.message_id

    async def settled(self, message_ids: set[str]) -> dict[str, Email]:
        """The mails, when nothing is to happen to them any more."""
        while True:
            found = {each.message_id or "": each for each in await self.house.mail()}
            mails = {each: found[each] for each in message_ids if each in found}
            busy = {EmailStatus.RECEIVED, EmailStatus.DISPATCHED}
            if len(mails) == len(message_ids) and not busy & {each.status for each in mails.values()}:
                return mails
            await asyncio.sleep(0)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def scene(
    tmp_path_factory: pytest.TempPathFactory, customer_key: Signer, desk_key: Path
) -> AsyncIterator[Scene]:
    """One house for all of it: whatever was done to its processes, the next mail must find one."""
    folder = tmp_path_factory.mktemp("house")
    path = folder / "desk.py"
    path.write_text(CODE)
    async with Gate(folder / "gate") as gate, houses(folder, customer_key, desk_key) as open_:
        yield Scene(
            await open_(
                worker=[{"name": "desk", "file": path, "variables": {"gate": str(gate.path)}}],
                workers={
                    "hold": "300ms",
                    "time_limit": "1200ms",
                    "grace": "300ms",
                    "retries": [],
                    "memory": "512MiB",
                },
                replies={"per_correspondent": 1000},
            ),
            gate,
        )


async def unharmed(scene: Scene, neighbours: Sequence[Email]) -> None:
    for email in neighbours:
        (run,) = await scene.house.runs(email)
        finished = (EmailStatus.HANDLED, RunState.FINISHED, 1)
        assert (email.status, run.state, run.attempt) == finished, run.error
        assert await scene.answers_to(email) == 1


@pytest.mark.parametrize("role", CULPRITS)
async def test_one_mail_misbehaves_and_the_mails_beside_it_are_answered_once(scene: Scene, role: str) -> None:
    outcome, told = CULPRITS[role]
    culprits, neighbours = await scene.clash([role])
    await unharmed(scene, neighbours)
    email = culprits[role]
    (run,) = await scene.house.runs(email)
    assert (email.status, run.state, await scene.answers_to(email)) == outcome, run.error
    assert told in (run.error or "")


async def test_many_misbehave_at_once_and_the_mails_beside_them_are_answered_once(scene: Scene) -> None:
    roles = ["exit", "segfault", "stop_loop", "deaf", "throw", "never_awaits", "answer_twice", "late"]
    culprits, neighbours = await scene.clash(roles)
    await unharmed(scene, neighbours)
    for role, email in culprits.items():
        (status, _, answers), _ = CULPRITS[role]
        assert (role, email.status, await scene.answers_to(email)) == (role, status, answers)
