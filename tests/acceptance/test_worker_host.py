# SPDX-License-Identifier: Apache-2.0
"""What a worker can do, through real children: its mail, its actions, its verdicts, its output."""

from __future__ import annotations

import asyncio
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from rejoinder.errors import ConfigError, ReplyOncePerEvent
from rejoinder.runtime.values import Ended, Ending, ReplyAction
from tests.acceptance.worker_rig import RAW, Judge, RawMail, mail, until, worker

pytestmark = pytest.mark.anyio


async def _run(folder: Path, source: str, judge: Judge | None = None) -> Ended:
    async with worker(folder, source) as rig:
        return await rig.run(judge=judge)


async def test_a_worker_reads_everything_about_its_mail(tmp_path: Path) -> None:
    ended = await _run(
        tmp_path,
        """
        async def email(message, env, ctx):
            print(message.sender, message.from_, getattr(message, "from"), message.to)
            print(message.headers.get("subject"), message.raw_size, message.rawSize, len(message.raw))
            print(message.text.strip())
            print(message.auth.spf.result, message.auth.dkim[0].domain, message.auth.dmarc.policy)
            print(message.id, len(message.event_key), message.event_key_stable)
            print(message.attempt, message.received_at)
        """,
    )
    ann, size = "ann@customer.example", len(RAW)
    assert ended.ending is Ending.NORMAL, ended.error
    assert ended.log.splitlines() == [
        f"{ann} {ann} {ann} support@desk.example",
        f"Hello {size} {size} {size}",
        "The printer is on fire.",
        "pass customer.example reject",
        "email_00000000000000000000000001 64 True",
        "1 1767225600000000",
    ]


async def test_the_null_reverse_path_is_an_empty_text(tmp_path: Path) -> None:
    async with worker(tmp_path, "async def email(message): print(repr(message.sender))") as rig:
        assert (await rig.run(mail(reverse_path=None))).log == "''\n"


async def test_raw_is_fetched_only_when_asked_for_and_once(tmp_path: Path) -> None:
    source = """
        async def email(message):
            if message.to == "support@desk.example" and message.raw_size > 100:
                print(message.raw == message.raw, len(message.raw))
        """
    small, large = RawMail(), RawMail(RAW + b"x" * 20_000_000)
    async with worker(tmp_path, source) as rig:
        await rig.run(mail(small))
        assert (await rig.run(mail(large))).log == f"True {len(large.raw)}\n"
    assert (small.asked, large.asked) == (0, 1)


async def test_content_that_the_store_cannot_give_is_an_exception_of_the_worker(tmp_path: Path) -> None:
    class Lost(RawMail):
        async def descriptor(self) -> int:
            raise OSError("gone")

    async with worker(tmp_path, "async def email(message): message.raw") as rig:
        ended = await rig.run(mail(Lost()))
    assert ended.ending is Ending.EXCEPTION
    assert "the content of the mail could not be read: the store could not give it" in ended.error


@pytest.mark.parametrize(
    "parameters",
    ["", "message", "message, env", "message, env, ctx", "*all", "message, env=None, ctx=None, x=1"],
)
async def test_a_handler_gets_as_many_arguments_as_it_takes(tmp_path: Path, parameters: str) -> None:
    assert (await _run(tmp_path, f"async def email({parameters}): print('called')")).log == "called\n"


async def test_env_holds_the_variables_of_the_worker(tmp_path: Path) -> None:
    source = """
        def email(message, env):
            print(env.TEAM)
            env.MISSING
        """
    async with worker(tmp_path, source, variables={"TEAM": "blue"}) as rig:
        ended = await rig.run()
    assert ended.log == "blue\n"
    assert "env has no MISSING: write MISSING" in ended.error


# --- replying ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("handler", ["async def", "def"])
async def test_reply_gives_the_message_id_that_goes_out(tmp_path: Path, handler: str) -> None:
    judge, wait = Judge(), "await " if handler == "async def" else ""
    ended = await _run(tmp_path, f"{handler} email(message): print({wait}message.reply('Grüße'))", judge)
    assert (ended.ending, ended.log) == (Ending.NORMAL, "<1@desk.example>\n")
    assert judge.replies == [ReplyAction(text="Grüße")]


async def test_a_thread_may_await_what_it_has_already(tmp_path: Path) -> None:
    source = """
        import asyncio

        async def answer(message):
            await message.accept()
            print(await message.reply("hello"))

        def email(message):
            asyncio.run(answer(message))
        """
    assert (await _run(tmp_path, source)).log == "<1@desk.example>\n"


@pytest.mark.parametrize("raw", ["b'Subject: x\\r\\n\\r\\nhi'", "'Subject: x\\r\\n\\r\\nhi'"])
async def test_reply_takes_a_message_with_its_envelope(tmp_path: Path, raw: str) -> None:
    judge = Judge()
    source = f"""
        from rejoinder.worker import EmailMessage

        async def email(message):
            await message.reply(EmailMessage("desk@desk.example", message.sender, {raw}))
        """
    await _run(tmp_path, source, judge)
    assert judge.replies == [
        ReplyAction(raw=b"Subject: x\r\n\r\nhi", from_="desk@desk.example", to="ann@customer.example")
    ]


async def test_reply_takes_a_message_of_the_standard_library(tmp_path: Path) -> None:
    judge = Judge()
    source = """
        from email.message import EmailMessage

        async def email(message):
            answer = EmailMessage()
            answer["Subject"] = "Grüße"
            answer.set_content("one\\ntwo\\n")
            await message.reply(answer)
        """
    await _run(tmp_path, source, judge)
    raw = judge.replies[0].raw
    assert raw is not None
    assert b"\n" not in raw.replace(b"\r\n", b"")
    read = message_from_bytes(raw, _class=EmailMessage, policy=policy.default)
    assert (read["Subject"], read.get_content()) == ("Grüße", "one\r\ntwo\r\n")


async def test_reply_with_something_else_names_what_it_takes(tmp_path: Path) -> None:
    ended = await _run(tmp_path, "async def email(message): await message.reply(7)")
    assert ended.ending is Ending.EXCEPTION
    assert "a reply cannot be a int; give a text" in ended.error


@pytest.mark.parametrize("handler", ["async def", "def"])
async def test_a_refused_reply_is_an_exception_of_its_own_class(tmp_path: Path, handler: str) -> None:
    wait = "await " if handler == "async def" else ""
    source = f"""
        from rejoinder.errors import ReplyOncePerEvent

        {handler} email(message):
            try:
                {wait}message.reply("again")
            except ReplyOncePerEvent as refused:
                print(refused.code, refused.codes, refused)
        """
    judge = Judge(lambda: ReplyOncePerEvent("you did", ("reply-once-per-event", "reply-budget")))
    ended = await _run(tmp_path, source, judge)
    assert ended == Ended(
        Ending.NORMAL, log="reply-once-per-event ('reply-once-per-event', 'reply-budget') you did\n"
    )


async def test_a_refusal_that_the_worker_does_not_catch_ends_the_run(tmp_path: Path) -> None:
    ended = await _run(
        tmp_path, "async def email(message): await message.reply('x')", Judge(ReplyOncePerEvent)
    )
    assert ended.ending is Ending.EXCEPTION
    assert "ReplyOncePerEvent: This event was answered already" in ended.error


async def test_a_reply_that_is_not_awaited_happens_all_the_same(tmp_path: Path) -> None:
    judge = Judge()
    ended = await _run(tmp_path, "async def email(message): message.reply('x')", judge)
    assert (ended, judge.texts) == (Ended(Ending.NORMAL), ["x"])


async def test_a_refusal_of_a_reply_that_is_not_awaited_is_logged(tmp_path: Path) -> None:
    ended = await _run(tmp_path, "async def email(message): message.reply('x')", Judge(ReplyOncePerEvent))
    assert ended.ending is Ending.NORMAL
    assert ended.log.startswith("ReplyOncePerEvent (not awaited): This event")


async def test_actions_are_judged_in_the_order_in_which_they_were_called(tmp_path: Path) -> None:
    class Slow(Judge):
        async def reply(self, action: ReplyAction) -> str:
            for _ in range(5 if action.text == "0" else 0):
                await asyncio.sleep(0)
            return await super().reply(action)

    judge = Slow()
    await _run(tmp_path, "async def email(message): [message.reply(str(n)) for n in range(20)]", judge)
    assert judge.texts == [str(n) for n in range(20)]


async def test_a_failure_of_the_server_reaches_the_worker_without_its_story(tmp_path: Path) -> None:
    class Broken(Judge):
        async def reply(self, action: ReplyAction) -> str:
            raise RuntimeError("a secret")

    ended = await _run(tmp_path, "async def email(message): await message.reply('x')", Broken())
    assert "the server could not judge this action; its log says why" in ended.error
    assert "secret" not in ended.error


async def test_accept_returns_when_the_mail_is_taken(tmp_path: Path) -> None:
    judge = Judge()
    await _run(tmp_path, "async def email(message): await message.accept()", judge)
    assert judge.accepted == 1


async def test_an_action_after_the_end_of_the_run_raises(tmp_path: Path) -> None:
    source = """
        import asyncio

        left = []

        async def later(message, ctx, go):
            await go.wait()
            for action in (message.reply, message.set_reject, message.defer, ctx.wait_until):
                try:
                    action("late")
                except Exception as error:
                    print(error.code, file=found)

        async def email(message, env, ctx):
            global found
            if not left:
                go = asyncio.Event()
                left.extend([go, asyncio.create_task(later(message, ctx, go))])
                return
            import io
            found = io.StringIO()
            left[0].set()
            await left[1]
            print(found.getvalue())
        """
    judge = Judge()
    async with worker(tmp_path, source) as rig:
        await rig.run(judge=judge)
        ended = await rig.run(judge=judge)
    assert ended.log.split() == ["event-ended"] * 4
    assert judge.replies == []


# --- endings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "ending", "reason"),
    [
        ("pass", Ending.NORMAL, ""),
        ("message.set_reject('no such ticket')", Ending.REJECT, "no such ticket"),
        ("message.setReject('no such ticket')", Ending.REJECT, "no such ticket"),
        ("message.defer('later, please')", Ending.DEFER, "later, please"),
        # The last verdict counts.
        ("message.set_reject('no'); message.defer('later')", Ending.DEFER, "later"),
        ("message.defer('later'); message.set_reject('no')", Ending.REJECT, "no"),
        # RFC 5321 §4.2: a reason becomes an SMTP reply, so it is one line without control characters.
        ("message.set_reject('a\\r\\n250 ok\\0\\x1b[31m')", Ending.REJECT, "a 250 ok [31m"),
        ("message.set_reject('x' * 5000)", Ending.REJECT, "x" * 400),
        # A verdict of a handler that then fails is none.
        ("message.set_reject('no'); 1 / 0", Ending.EXCEPTION, ""),
    ],
)
async def test_a_handler_ends_by(tmp_path: Path, body: str, ending: Ending, reason: str) -> None:
    ended = await _run(tmp_path, f"def email(message): {body}")
    assert (ended.ending, ended.reason) == (ending, reason)


async def test_a_traceback_shows_the_frames_of_the_worker_alone(tmp_path: Path) -> None:
    ended = await _run(
        tmp_path,
        """
        def divide(n):
            return 1 / n

        async def email(message):
            print("before")
            divide(0)
        """,
    )
    lines = ended.error.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert [line.strip() for line in lines if "File" in line] == [
        f'File "{tmp_path}/desk.py", line 7, in email',
        f'File "{tmp_path}/desk.py", line 3, in divide',
    ]
    assert ended.log == "before\n"


@pytest.mark.parametrize("handler", ["async def", "def"])
@pytest.mark.parametrize(
    "body",
    ["raise SystemExit(3)", "raise KeyboardInterrupt", "raise StopIteration", "raise BaseException('x')"],
)
async def test_no_exception_takes_the_process_along(tmp_path: Path, handler: str, body: str) -> None:
    async with worker(tmp_path, f"{handler} email(message): {body}") as rig:
        pids = rig.host.pids("desk")
        assert (await rig.run()).ending is Ending.EXCEPTION
        assert (await rig.run()).ending is Ending.EXCEPTION
        assert rig.host.pids("desk") == pids


async def test_an_exception_with_an_endless_text_is_cut(tmp_path: Path) -> None:
    ended = await _run(tmp_path, "def email(message): raise ValueError('x' * 50_000_000 + 'the end')")
    assert len(ended.error.encode()) <= 16 << 10
    assert ended.error.rstrip().endswith("the end")


async def test_background_tasks_belong_to_the_run(tmp_path: Path) -> None:
    source = """
        import asyncio

        async def later(message):
            await asyncio.sleep(0)
            print(await message.reply("from the background"))

        async def email(message, env, ctx):
            ctx.wait_until(later(message))
            ctx.waitUntil(message.reply("at once"))
        """
    judge = Judge()
    ended = await _run(tmp_path, source, judge)
    assert (ended.ending, ended.log) == (Ending.NORMAL, "<2@desk.example>\n")
    assert judge.texts == ["at once", "from the background"]


async def test_a_failing_background_task_fails_the_run(tmp_path: Path) -> None:
    source = """
        async def fail():
            raise LookupError("in the background")

        def email(message, env, ctx):
            ctx.wait_until(fail())
        """
    ended = await _run(tmp_path, source)
    assert ended.ending is Ending.EXCEPTION
    assert "LookupError: in the background" in ended.error


# --- output ------------------------------------------------------------------------------------------


async def test_output_and_logging_are_kept_with_the_run(tmp_path: Path) -> None:
    source = """
        import asyncio, logging, sys

        async def email(message):
            print("out")
            print("err", file=sys.stderr)
            sys.stdout.buffer.write(b"bytes\\n")
            logging.getLogger("tickets").info("logged %d", 1)
            await asyncio.to_thread(print, "from a thread")
        """
    ended = await _run(tmp_path, source)
    assert ended.log.splitlines() == ["out", "err", "bytes", "INFO tickets: logged 1", "from a thread"]


async def test_the_output_of_two_mails_at_once_does_not_mix(tmp_path: Path) -> None:
    source = """
        import asyncio

        barrier = asyncio.Barrier(3)

        async def email(message):
            for step in range(3):
                await barrier.wait()
                print(message.sender, step)
        """
    async with worker(tmp_path, source) as rig:
        ends = await asyncio.gather(*(rig.run(mail(reverse_path=f"{n}@x.example")) for n in range(3)))
    for n, ended in enumerate(ends):
        assert ended.log.splitlines() == [f"{n}@x.example {step}" for step in range(3)]


async def test_a_flood_of_output_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    source = """
        def email(message):
            print("beginning")
            for _ in range(100):
                print("x" * 1_000_000)
            print("end")
        """
    ended = await _run(tmp_path, source)
    assert len(ended.log.encode()) <= 16 << 10
    assert ended.log.startswith("beginning\n")
    assert ended.log.endswith("x\nend\n")
    assert "octets left out" in ended.log


# --- loading -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import nothing_like_this", "ModuleNotFoundError: No module named 'nothing_like_this'"),
        ("def email(message:", "SyntaxError"),
        ("x = 1", "has no function `email`"),
        ("email = 7", "has no function `email`"),
        ("def email(message, env, ctx, more): pass", "missing a required argument: 'more'"),
        ("def email(message, *, key): pass", "missing a required argument: 'key'"),
        ("raise SystemExit(1)", "SystemExit: 1"),
        ("import os; os._exit(5)", "exited with status 5 while it was importing"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "was ended by SIGSEGV while"),
    ],
)
async def test_a_worker_that_cannot_be_loaded_is_named(tmp_path: Path, source: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=r"\[\[worker\]\] 'desk' cannot be started") as caught:
        async with worker(tmp_path, source):
            pass
    assert complaint in caught.value.text
    assert "desk.py" in caught.value.text or "process" in caught.value.text


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    async with worker(tmp_path, "def email(): pass") as rig:
        rig.file.unlink()
        with pytest.raises(
            ConfigError, match=r"the file .*desk\.py of \[\[worker\]\] 'desk' cannot be read: No such"
        ):
            await rig.host.reload("desk")


async def test_a_module_beside_the_worker_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "tickets_beside.py").write_text("NEXT = 7\n", encoding="utf-8")
    assert (
        await _run(tmp_path, "import tickets_beside\ndef email(): print(tickets_beside.NEXT)")
    ).log == "7\n"


async def test_a_changed_file_takes_over_while_the_old_one_finishes(tmp_path: Path) -> None:
    source = """
        import asyncio

        async def email(message):
            message.reply("old is here")
            await message.accept()
            print("old")
        """

    class Gate(Judge):
        def __init__(self) -> None:
            super().__init__()
            self.open = asyncio.Event()

        async def accept(self) -> None:
            await self.open.wait()

    gate = Gate()
    async with worker(tmp_path, source) as rig:
        old = rig.begin(judge=gate)
        await gate.heard("old is here")
        (old_pid,) = rig.host.pids("desk")
        rig.write("async def email(): print('new')")
        await rig.host.reload("desk")
        assert (await rig.run()).log == "new\n"
        assert rig.host.pids("desk") != [old_pid]
        gate.open.set()
        assert (await old).log == "old\n"


async def test_a_broken_new_version_does_not_replace_a_working_one(tmp_path: Path) -> None:
    source = """
        import os

        def email(message):
            if message.sender == "":
                os._exit(1)
            print("works")
        """
    async with worker(tmp_path, source) as rig:
        rig.write("def email(:")
        with pytest.raises(ConfigError, match="SyntaxError"):
            await rig.host.reload("desk")
        assert (await rig.run()).log == "works\n"
        # Nor does it when a child dies and another is started in its place.
        assert (await rig.run(mail(reverse_path=None))).ending is Ending.CRASH
        assert (await rig.run()).log == "works\n"


async def test_a_watched_file_is_reloaded_when_it_changes(tmp_path: Path) -> None:
    async with worker(tmp_path, "def email(): print('one')") as rig:
        watch = asyncio.create_task(rig.host.watch())
        await asyncio.sleep(0)
        (before,) = rig.host.pids("desk")
        rig.write("def email(): print('number two')")
        await rig.clock.advance(1)
        await until(lambda: rig.host.pids("desk") != [before])
        assert (await rig.run()).log == "number two\n"
        watch.cancel()


async def test_a_worker_that_the_configuration_names_no_more_is_a_failure_with_a_sentence(
    tmp_path: Path,
) -> None:
    async with worker(tmp_path, "async def email(message): pass") as rig:
        ended = await rig.host.run("gone", mail(), Judge())
    assert ended.ending is Ending.EXCEPTION
    assert "no [[worker]] is named 'gone'" in ended.error
