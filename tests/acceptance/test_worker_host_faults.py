# SPDX-License-Identifier: Apache-2.0
"""Workers that loop, sleep, exit, allocate, fork: what becomes of them and of their neighbours."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
import venv
from pathlib import Path
from textwrap import dedent
from typing import NoReturn

import pytest

from rejoinder.runtime.settings import WorkersSettings
from rejoinder.runtime.values import Ended, Ending, MessageEvent
from tests.acceptance.worker_rig import Judge, mail, until, worker

pytestmark = pytest.mark.anyio

ROLES = """
    import asyncio, os, signal, sys, threading, time

    async def email(message, env, ctx):
        await globals()[message.sender.partition("@")[0]](message, ctx)

    async def good(message, ctx):
        print("good")

    async def wait(message, ctx):
        message.reply("waiting")
        await asyncio.get_running_loop().create_future()

    async def loop(message, ctx):
        print("about to loop")
        message.reply("looping")
        while True:
            pass

    async def sleep(message, ctx):
        message.reply("sleeping")
        time.sleep(60)

    async def late(message, ctx):
        message.reply("waiting")
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            for _ in range(3):
                await asyncio.sleep(0)
            try:
                message.reply("too late")
            except Exception as error:
                print(error.code)

    async def deaf(message, ctx):
        message.reply("waiting")
        while True:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                pass

    async def background(message, ctx):
        message.reply("waiting")
        ctx.wait_until(asyncio.get_running_loop().create_future())

    async def exit(message, ctx):
        message.reply("leaving")
        os._exit(7)

    async def dies(message, ctx):
        os.kill(os.getpid(), signal.SIGKILL)

    async def allocate(message, ctx):
        blocks = []
        while True:
            blocks.append(bytearray(64 << 20))

    async def fork(message, ctx):
        pid = os.fork()
        if pid:
            print("forked", os.waitpid(pid, 0)[1])

    async def fork_and_wait(message, ctx):
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
        else:
            await asyncio.sleep(0.001)

    async def litter(message, ctx):
        import subprocess
        sleeper = subprocess.Popen(["sleep", "1000"])
        await message.reply(str(sleeper.pid))

    async def litter_and_exit(message, ctx):
        await litter(message, ctx)
        os._exit(0)
    """


def role(name: str, *, alone: bool = False) -> MessageEvent:
    return mail(reverse_path=f"{name}@customer.example", alone=alone)


def is_gone(pid: int) -> bool:
    """Dead or a zombie; whoever should have buried it is asked elsewhere."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def children_of(pid: int) -> set[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return {int(each) for each in listed.split()}


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])


def descriptors_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


# --- the time limit ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["wait", "late", "background"])
async def test_a_run_that_waits_is_cancelled_at_its_limit(tmp_path: Path, name: str) -> None:
    judge = Judge()
    async with worker(tmp_path, ROLES) as rig:
        pids = rig.host.pids("desk")
        run = rig.begin(role(name), judge)
        await judge.heard("waiting")
        await rig.clock.advance(299)
        assert not run.done()
        await rig.clock.advance(1)
        ended = await run
        assert ended.ending is Ending.TIME_LIMIT
        assert ended.error.startswith("cancelled at its time limit of 300 s (workers.time_limit)")
        assert ended.log == ("event-ended\n" if name == "late" else "")
        assert judge.texts == ["waiting"]
        assert (await rig.run(role("good"))).log == "good\n"
        assert rig.host.pids("desk") == pids
        assert rig.clock.sleepers == 0


async def test_many_runs_may_reach_their_limit_at_once(tmp_path: Path) -> None:
    judges = [Judge() for _ in range(500)]
    async with worker(tmp_path, ROLES, concurrency=len(judges)) as rig:
        (pid,) = rig.host.pids("desk")
        runs = [rig.begin(role("wait"), judge) for judge in judges]
        for judge in judges:
            await judge.heard("waiting")
        await rig.clock.advance(300)
        assert {(await run).ending for run in runs} == {Ending.TIME_LIMIT}
        assert rig.host.pids("desk") == [pid]


async def test_a_cancelled_run_shows_where_it_waited(tmp_path: Path) -> None:
    judge = Judge()
    async with worker(tmp_path, ROLES) as rig:
        run = rig.begin(role("wait"), judge)
        await judge.heard("waiting")
        await rig.clock.advance(300)
        assert "in wait\n    await asyncio.get_running_loop().create_future()" in (await run).error


@pytest.mark.parametrize(("name", "says"), [("loop", "looping"), ("sleep", "sleeping"), ("deaf", "waiting")])
async def test_a_run_that_does_not_answer_its_cancellation_is_killed(
    tmp_path: Path, name: str, says: str
) -> None:
    judge = Judge()
    async with worker(tmp_path, ROLES) as rig:
        (pid,) = rig.host.pids("desk")
        run = rig.begin(role(name), judge)
        await judge.heard(says)
        await rig.clock.advance(300)
        await rig.clock.advance(0.9)
        assert not run.done()
        await rig.clock.advance(0.1)
        ended = await run
        assert (ended.ending, ended.neighbour) == (Ending.TIME_LIMIT, False)
        assert "could not end within 1 s (workers.grace)" in ended.error
        assert (await rig.run(role("good"))).log == "good\n"
        assert rig.host.pids("desk") != [pid]
        assert is_gone(pid)


@pytest.mark.parametrize("first", ["wait", "loop"])
async def test_whoever_holds_up_the_process_is_the_culprit_and_not_whoever_waits_longest(
    tmp_path: Path, first: str
) -> None:
    source = (
        ROLES
        + """
    go = asyncio.Event()

    async def wait(message, ctx):
        message.reply("waiting")
        go.set()
        await asyncio.get_running_loop().create_future()

    async def loop(message, ctx):
        message.reply("ready")
        await go.wait()
        print("about to loop")
        message.reply("looping")
        while True:
            pass
    """
    )
    judge, second = Judge(), "loop" if first == "wait" else "wait"
    async with worker(tmp_path, source) as rig:
        runs = {first: rig.begin(role(first), judge)}
        await judge.heard("waiting" if first == "wait" else "ready")
        await rig.clock.advance(10)
        runs[second] = rig.begin(role(second), judge)
        await judge.heard("looping")
        heard = asyncio.create_task(until(lambda: any(run.held for run in rig.live_runs)))
        await rig.clock.advance(290)
        await heard
        await rig.clock.advance(1)
        loop, wait = await runs["loop"], await runs["wait"]
    assert (loop.ending, loop.neighbour, loop.log) == (Ending.TIME_LIMIT, False, "about to loop\n")
    assert "in loop\n" in loop.error
    assert (wait.ending, wait.neighbour) == (Ending.CRASH, True)


async def test_a_sync_handler_that_does_not_come_back_is_killed(tmp_path: Path) -> None:
    source = """
        import time

        def email(message):
            if message.sender == "good@customer.example":
                return print("good")
            print("before")
            message.reply("sleeping")
            time.sleep(60)
        """
    judge = Judge()
    async with worker(tmp_path, source) as rig:
        run = rig.begin(role("bad"), judge)
        await judge.heard("sleeping")
        waiting = rig.begin(role("good"))
        heard = asyncio.create_task(until(lambda: any(run.held for run in rig.live_runs)))
        await rig.clock.advance(300)
        await heard
        await rig.clock.advance(1)
        ended = await run
        assert (ended.ending, ended.log) == (Ending.TIME_LIMIT, "before\n")
        assert "in email\n" in ended.error
        assert (await waiting).log == "good\n"


async def test_a_cancelled_sync_handler_is_freed_from_the_action_it_waits_for(tmp_path: Path) -> None:
    class Never(Judge):
        def __init__(self) -> None:
            super().__init__()
            self.asked, self.over = asyncio.Event(), asyncio.Event()

        async def accept(self) -> None:
            self.asked.set()
            await self.over.wait()

    judge = Never()
    async with worker(tmp_path, "def email(message): message.accept()") as rig:
        (pid,) = rig.host.pids("desk")
        run = rig.begin(judge=judge)
        await judge.asked.wait()
        await rig.clock.advance(300)
        await until(lambda: not rig.live_runs)
        # The child has ended the run, and yet it is not over: an accept may be in the middle of a commit.
        assert not run.done()
        judge.over.set()
        ended = await run
        assert ended.ending is Ending.TIME_LIMIT
        assert rig.host.pids("desk") == [pid]


async def test_a_run_whose_caller_is_cancelled_is_cancelled(tmp_path: Path) -> None:
    judge = Judge()
    async with worker(tmp_path, ROLES, concurrency=1) as rig:
        (pid,) = rig.host.pids("desk")
        run = rig.begin(role("wait"), judge)
        await judge.heard("waiting")
        assert not rig.host.has_room("desk")
        run.cancel()
        assert (await rig.run(role("good"))).log == "good\n"
        assert rig.host.pids("desk") == [pid]


# --- death -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "how"), [("exit", "exited with status 7"), ("dies", "was ended by SIGKILL")]
)
async def test_a_run_that_ends_its_process_is_a_crash_and_another_process_goes_on(
    tmp_path: Path, name: str, how: str
) -> None:
    async with worker(tmp_path, ROLES) as rig:
        ended = await rig.run(role(name))
        assert ended == Ended(Ending.CRASH, error=f"the worker's process {how}")
        assert (await rig.run(role("good"))).log == "good\n"


async def test_a_reply_sent_before_the_crash_was_judged(tmp_path: Path) -> None:
    judge = Judge()
    async with worker(tmp_path, ROLES) as rig:
        await rig.run(role("exit"), judge)
    assert judge.texts == ["leaving"]


async def test_of_several_runs_in_a_process_that_dies_none_is_blamed(tmp_path: Path) -> None:
    judge = Judge()
    async with worker(tmp_path, ROLES) as rig:
        waits = rig.begin(role("wait"), judge)
        await judge.heard("waiting")
        crashed, waited = await rig.run(role("exit")), await waits
    assert (crashed.ending, crashed.neighbour) == (Ending.CRASH, True)
    assert (waited.ending, waited.neighbour) == (Ending.CRASH, True)


async def test_a_mail_alone_in_a_fresh_process_is_blamed_and_harms_nobody(tmp_path: Path) -> None:
    judge = Judge()
    async with worker(tmp_path, ROLES) as rig:
        (pid,) = rig.host.pids("desk")
        waits = rig.begin(role("wait"), judge)
        await judge.heard("waiting")
        crashed = await rig.run(role("exit", alone=True))
        assert (crashed.ending, crashed.neighbour) == (Ending.CRASH, False)
        assert (await rig.run(role("good", alone=True))).log == "good\n"
        assert rig.host.pids("desk") == [pid]
        assert not waits.done()


async def test_memory_beyond_the_limit_is_a_memory_error(tmp_path: Path) -> None:
    async with worker(tmp_path, ROLES, WorkersSettings(memory=512 << 20)) as rig:
        (pid,) = rig.host.pids("desk")
        ended = await rig.run(role("allocate"))
        assert ended.ending is Ending.EXCEPTION
        assert ended.error.rstrip().endswith("MemoryError")
        assert (await rig.run(role("good"))).log == "good\n"
        assert rig.host.pids("desk") == [pid]


async def test_a_process_that_dies_at_once_is_restarted_with_growing_pauses(tmp_path: Path) -> None:
    async with worker(tmp_path, ROLES) as rig:
        for pause in (0, 0.1, 0.2, 0.4):
            if pause:
                run = rig.begin(role("exit"))
                await until(lambda: rig.clock.sleepers == 1)
                await rig.clock.advance(pause - 0.001)
                assert rig.host.pids("desk") == []
                await rig.clock.advance(0.001)
                assert (await run).ending is Ending.CRASH
            else:
                await rig.run(role("exit"))
                await rig.run(role("exit"))


async def test_while_no_process_can_be_started_runs_fail_with_the_reason(tmp_path: Path) -> None:
    source = """
        import os, pathlib

        flag = pathlib.Path(__file__).with_name("broken")
        if flag.exists():
            raise RuntimeError("the database is away")

        def email(message):
            flag.touch()
            os._exit(1)
        """
    async with worker(tmp_path, source) as rig:
        assert (await rig.run()).ending is Ending.CRASH
        ended = await rig.run()
        assert ended.ending is Ending.EXCEPTION
        assert "RuntimeError: the database is away" in ended.error
        (tmp_path / "broken").unlink()
        await until(lambda: rig.clock.sleepers == 1)
        await rig.clock.advance(30)
        await until(lambda: bool(rig.host.pids("desk")))
        assert (await rig.run()).ending is Ending.CRASH


def no_descriptor(*_: object) -> NoReturn:
    """``socket.socketpair`` in a process that has too many open files."""
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


async def test_without_a_free_descriptor_runs_fail_with_the_reason_until_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with worker(tmp_path, ROLES) as rig:
        with monkeypatch.context() as patch:
            patch.setattr(socket, "socketpair", no_descriptor)
            assert (await rig.run(role("exit"))).ending is Ending.CRASH
            ended = await asyncio.wait_for(rig.run(role("good")), 10)
            assert ended.ending is Ending.EXCEPTION
            assert "Too many open files; let the server have more" in ended.error
        await until(lambda: rig.clock.sleepers == 1)
        await rig.clock.advance(30)
        await until(lambda: bool(rig.host.pids("desk")))
        assert (await rig.run(role("good"))).log == "good\n"


async def test_a_reload_without_a_free_descriptor_leaves_the_old_process_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with worker(tmp_path, ROLES) as rig:
        watch = asyncio.create_task(rig.host.watch())
        await asyncio.sleep(0)
        monkeypatch.setattr(socket, "socketpair", no_descriptor)
        rig.write(ROLES + "\n# a new version\n")
        await rig.clock.advance(1)
        assert not watch.done()
        assert (await rig.run(role("good"))).log == "good\n"
        watch.cancel()


async def test_a_file_that_never_ends_importing_is_given_up(tmp_path: Path) -> None:
    source = """
        import pathlib
        flag = pathlib.Path(__file__).with_name("slow")
        while flag.exists():
            pass
        def email(): print("loaded")
        """
    async with worker(tmp_path, source) as rig:
        (tmp_path / "slow").touch()
        reload = asyncio.create_task(rig.host.reload("desk"))
        await until(lambda: rig.clock.sleepers == 1)
        await rig.clock.advance(30)
        with pytest.raises(Exception, match="was not imported within 30 s"):
            await reload
        assert (await rig.run()).log == "loaded\n"


# --- room --------------------------------------------------------------------------------------------


async def test_one_process_takes_as_many_mails_as_it_may_and_others_wait(tmp_path: Path) -> None:
    async with worker(tmp_path, ROLES, concurrency=2) as rig:
        judges = [Judge(), Judge()]
        held = [rig.begin(role("wait"), judge) for judge in judges]
        for judge in judges:
            await judge.heard("waiting")
        assert not rig.host.has_room("desk")
        waiting = [rig.begin(role("good")) for _ in range(5)]
        held[0].cancel()
        assert [(await run).log for run in waiting] == ["good\n"] * 5
        assert rig.host.has_room("desk")


async def test_a_sync_handler_takes_one_mail_at_a_time_in_each_process(tmp_path: Path) -> None:
    async with worker(tmp_path, "def email(message): message.accept()", processes=2) as rig:

        class Held(Judge):
            def __init__(self) -> None:
                super().__init__()
                self.asked, self.over = asyncio.Event(), asyncio.Event()

            async def accept(self) -> None:
                self.asked.set()
                await self.over.wait()

        judges = [Held() for _ in range(3)]
        runs = [rig.begin(judge=judge) for judge in judges]
        await judges[0].asked.wait()
        await judges[1].asked.wait()
        assert not rig.host.has_room("desk")
        assert not judges[2].asked.is_set()
        for judge in judges:
            judge.over.set()
        assert {(await run).ending for run in runs} == {Ending.NORMAL}


async def test_a_waiter_that_gives_up_does_not_take_the_room_along(tmp_path: Path) -> None:
    judge = Judge()
    async with worker(tmp_path, ROLES, concurrency=1) as rig:
        holder = rig.begin(role("wait"), judge)
        await judge.heard("waiting")
        waiting = [rig.begin(role("good")) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        holder.cancel()
        assert [(await run).log for run in waiting[1:]] == ["good\n"] * 2


# --- processes ---------------------------------------------------------------------------------------


async def test_a_copy_that_a_worker_forks_off_does_not_speak_for_it(tmp_path: Path) -> None:
    async with worker(tmp_path, ROLES) as rig:
        for _ in range(3):
            assert (await rig.run(role("fork"))).log == "forked 0\n"
            assert (await rig.run(role("fork_and_wait"))).ending is Ending.NORMAL
        assert (await rig.run(role("good"))).log == "good\n"


@pytest.mark.parametrize("name", ["litter_and_exit", "litter"])
async def test_what_a_worker_started_ends_with_its_process(tmp_path: Path, name: str) -> None:
    judge = Judge()
    async with worker(tmp_path, ROLES) as rig:
        await rig.run(role(name), judge)
        pid = int(judge.texts[0] or 0)
        if name == "litter":
            assert not is_gone(pid)
            await rig.host.stop()
        await until(lambda: is_gone(pid))


async def test_three_hundred_runs_leave_neither_zombies_nor_descriptors(tmp_path: Path) -> None:
    source = (
        ROLES
        + """
    async def read(message, ctx):
        print(len(message.raw))
    """
    )
    async with worker(tmp_path, source) as rig:
        for name in ("read", "exit", "good"):
            await rig.run(role(name))
        (pid,) = rig.host.pids("desk")
        zygote = parent_of(pid)
        await rig.run(role("read"))
        before = descriptors_of(os.getpid()), descriptors_of(zygote), descriptors_of(pid)
        for _ in range(30):
            await asyncio.gather(*(rig.run(role("read")) for _ in range(9)))
            await rig.run(role("exit", alone=True))
        assert (descriptors_of(os.getpid()), descriptors_of(zygote), descriptors_of(pid)) == before
        assert children_of(zygote) == {pid}


async def test_stopping_the_host_ends_every_process_and_every_run(tmp_path: Path) -> None:
    judge = Judge()
    mine = children_of(os.getpid())
    async with worker(tmp_path, ROLES, processes=3, concurrency=1) as rig:
        pids = rig.host.pids("desk")
        runs = [rig.begin(role("loop"), judge) for _ in range(4)]
        await judge.heard("looping")
        await rig.host.stop()
        ends = [await run for run in runs]
        assert {(ended.ending, ended.neighbour) for ended in ends} == {(Ending.CRASH, True)}
        assert all(is_gone(pid) for pid in pids)
        assert children_of(os.getpid()) == mine


async def test_a_zygote_that_is_killed_is_replaced_and_nobody_is_blamed(tmp_path: Path) -> None:
    judge = Judge()
    async with worker(tmp_path, ROLES) as rig:
        waits = rig.begin(role("wait"), judge)
        await judge.heard("waiting")
        (pid,) = rig.host.pids("desk")
        zygote = parent_of(pid)
        os.kill(zygote, signal.SIGKILL)
        ended = await waits
        assert (ended.ending, ended.neighbour) == (Ending.CRASH, True)
        assert (await rig.run(role("good"))).log == "good\n"
        await until(lambda: is_gone(pid))


async def test_the_children_of_a_server_that_is_killed_end_though_they_loop(tmp_path: Path) -> None:
    server = """
        import asyncio, sys
        from pathlib import Path
        from tests.acceptance.test_worker_host_faults import ROLES, role
        from tests.acceptance.worker_rig import Judge, worker

        async def main():
            judge = Judge()
            async with worker(Path(sys.argv[1]), ROLES) as rig:
                rig.begin(role("loop"), judge)
                await judge.heard("looping")
                print(*rig.host.pids("desk"), flush=True)
                await asyncio.Event().wait()

        asyncio.run(main())
        """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", dedent(server), str(tmp_path), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    pid = int(await process.stdout.readline())
    assert not is_gone(pid)
    process.kill()
    await process.wait()
    await until(lambda: is_gone(pid))


async def test_another_interpreter_sees_none_of_the_servers_packages(tmp_path: Path) -> None:
    source = """
        import importlib.util, sys
        import rejoinder.worker

        def email(message):
            print(sys.executable, importlib.util.find_spec("pydantic"), message.text.strip())
        """
    venv.create(tmp_path / "bare", symlinks=True)
    async with worker(tmp_path, source, python=str(tmp_path / "bare/bin/python")) as rig:
        ended = await rig.run()
    assert ended.log == f"{tmp_path}/bare/bin/python None The printer is on fire.\n"
