# SPDX-License-Identifier: Apache-2.0
"""One try of a run, in the child: the handler is called and everything it started is waited for.

A run is over when the handler has returned, each action has its answer and each ``wait_until`` is
done; until then actions are taken, afterwards they raise. The surprise: a plain ``def`` handler runs
in a thread that nothing can cancel, so a cancelled run of that kind ends only if the handler comes
back by itself; the host kills the process otherwise.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Generator
from typing import Final, Protocol

from rejoinder.errors import ActionRefused, EventEnded, MailUnanswerable
from rejoinder.worker.context import Context, Env
from rejoinder.worker.frames import Answer, Call, End, Frame, Run
from rejoinder.worker.handler import Handler
from rejoinder.worker.message import Message
from rejoinder.worker.output import Capture, current, explain

NORMAL: Final = "normal"
EXCEPTION: Final = "exception"
TIME_LIMIT: Final = "time-limit"


class Channel(Protocol):
    """The way to the host."""

    def send(self, frame: Frame) -> None:
        """Send at once; in the thread of the loop only."""
        ...

    def fetch(self, run: int) -> bytes:
        """The mail of this run as received; blocks, from any thread."""
        ...


class Pending(Awaitable[str]):
    """An action on its way: it happens whether or not this is awaited."""

    def __init__(self, answer: asyncio.Future[str]) -> None:
        self.answer = answer
        self.awaited = False

    def __await__(self) -> Generator[object, None, str]:
        self.awaited = True
        # Whoever stops waiting has not taken the action back.
        return asyncio.shield(self.answer).__await__()


class Answered(str):
    """The answer to an action that was waited for in a thread; awaiting it gives it."""

    __slots__ = ()

    def __await__(self) -> Generator[object, None, str]:
        yield from ()
        return self


class LiveRun:
    """The run of one mail; ``execute`` it in a task of its own."""

    def __init__(self, event: Run, handler: Handler, env: Env, channel: Channel) -> None:
        self.capture = Capture()
        self.thread: int | None = None
        self._number = event.run
        self._handler = handler
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._arguments = (Message(event, self), env, Context(self.wait_until))
        self._actions: list[Pending] = []
        self._background: list[asyncio.Future[object]] = []
        self._task: asyncio.Task[object] | None = None
        self._verdict = (NORMAL, "")
        self._over = False
        self._cancelled = False

    async def execute(self) -> End:
        """Handle the mail; never raises."""
        self._task = asyncio.current_task()
        current.set(self.capture)
        error = await self._failure()
        for task in self._background:
            task.cancel()
        if self._background:
            await asyncio.wait(self._background)
        self._over = True
        self._note_unseen()
        ending, reason = self._ending(error)
        return End(self._number, ending, reason, explain(error) if error else "", self.capture.text())

    def cancel(self) -> None:
        """The time is over: what waits is cancelled, and no action is taken any more."""
        self._over = self._cancelled = True
        for action in self._actions:
            if not action.answer.done():
                action.answer.set_exception(_ended())
        for task in self._background:
            task.cancel()
        if self._task is not None:
            self._task.cancel()

    def answer(self, answer: Answer) -> None:
        """What the host says to an action of this run."""
        future = self._actions[answer.call].answer
        if future.done():
            return
        if answer.code:
            future.set_exception(refusal(answer))
        else:
            future.set_result(answer.result or "")

    def act(
        self, kind: str, blob: bytes = b"", *, from_: str | None = None, to: str | None = None
    ) -> Awaitable[str]:
        """Send an action: at once in the loop's thread; any other thread waits for the answer."""
        if threading.get_ident() == self._thread:
            return self._send(kind, blob, from_, to)

        async def waited() -> str:
            return await self._send(kind, blob, from_, to)

        self._require_going()
        return Answered(asyncio.run_coroutine_threadsafe(waited(), self._loop).result())

    def decide(self, ending: str, reason: str) -> None:
        """Set how the run is to end; the last one counts."""
        self._require_going()
        self._verdict = (ending, str(reason))

    def fetch(self) -> bytes:
        """The mail as received."""
        return self._channel.fetch(self._number)

    def wait_until(self, awaitable: Awaitable[object]) -> None:
        """Make the awaitable a part of this run."""
        self._require_going()
        if threading.get_ident() == self._thread:
            self._background.append(asyncio.ensure_future(awaitable))
        else:
            self._loop.call_soon_threadsafe(self._adopt, awaitable, context=contextvars.copy_context())

    def _adopt(self, awaitable: Awaitable[object]) -> None:
        self._background.append(asyncio.ensure_future(awaitable))

    def _send(self, kind: str, blob: bytes, from_: str | None, to: str | None) -> Pending:
        self._require_going()
        pending = Pending(self._loop.create_future())
        self._channel.send(Call(self._number, len(self._actions), kind, from_, to, blob))
        self._actions.append(pending)
        return pending

    def _require_going(self) -> None:
        if self._over:
            raise _ended()

    async def _failure(self) -> BaseException | None:
        """Call the handler and wait for what it started; what went wrong first, if anything."""
        try:
            await self._unless_unanswerable(self._call())
            while waiting := self._unfinished():
                await asyncio.wait(waiting)
            for task in self._background:
                await self._unless_unanswerable(task)
        except BaseException as error:  # noqa: BLE001  # `sys.exit()` too: it must not take others along.
            return error
        return None

    async def _unless_unanswerable(self, work: Awaitable[object]) -> None:
        """That no reply may answer this mail is no failure of the worker, and would be so at every try."""
        try:
            await work
        except MailUnanswerable as refusal:
            self.capture.write(f"{type(refusal).__name__} (not caught): {refusal}\n".encode())

    async def _call(self) -> None:
        if self._handler.is_async:
            result = self._handler.call(*self._arguments)
        else:
            result = await self._call_in_thread()
        if inspect.isawaitable(result):
            await result

    async def _call_in_thread(self) -> object:
        outcome: list[object] = []
        context = contextvars.copy_context()

        def call() -> BaseException | None:
            self.thread = threading.get_ident()
            try:
                outcome.append(context.run(self._handler.call, *self._arguments))
            except BaseException as error:  # noqa: BLE001  # As in _failure.
                return error
            return None

        thread = self._loop.run_in_executor(None, call)
        try:
            error = await asyncio.shield(thread)
        except asyncio.CancelledError:
            await asyncio.wait([thread])
            raise
        if error is not None:
            raise error
        return outcome[0]

    def _unfinished(self) -> list[asyncio.Future[object]]:
        answers: list[asyncio.Future[object]] = [action.answer for action in self._actions]  # type: ignore[misc]
        return [future for future in (*answers, *self._background) if not future.done()]

    def _ending(self, error: BaseException | None) -> tuple[str, str]:
        if self._cancelled:
            return TIME_LIMIT, ""
        return (EXCEPTION, "") if error is not None else self._verdict

    def _note_unseen(self) -> None:
        """A refusal that nobody awaited is no failure of the run, but its author should read of it."""
        for action in self._actions:
            error = action.answer.exception() if action.answer.done() else None
            if error is not None and not action.awaited:
                self.capture.write(f"{type(error).__name__} (not awaited): {error}\n".encode())


def refusal(answer: Answer) -> ActionRefused:
    """The exception of the class whose code the answer has, so that workers can catch each rule."""
    kinds: list[type[ActionRefused]] = [ActionRefused]
    for kind in kinds:
        if kind.code == answer.code:
            return kind(answer.text, tuple(answer.codes))
        kinds.extend(kind.__subclasses__())
    unknown = ActionRefused(answer.text, tuple(answer.codes))
    unknown.code = answer.code  # type: ignore[misc]  # An instance may carry the code of a newer host.
    return unknown


def _ended() -> EventEnded:
    return EventEnded(
        "the run of this mail has ended, so this action does nothing; "
        "await what you start, or give it to ctx.wait_until()"
    )
