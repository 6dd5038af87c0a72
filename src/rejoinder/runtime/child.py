# SPDX-License-Identifier: Apache-2.0
"""The host's end of one child: mails go in, actions come back to be judged, and each run ends once.

A run that is over its time limit is cancelled; only if the child has not answered that within the
grace is it killed, and then the runs beside it end as neighbours. The surprise: a run is over only
when each of its actions has been judged, even if the child died while one was on its way, because an
``accept`` may be in the middle of a commit.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Final, cast

import structlog

from rejoinder.clock import Alarm, Clock
from rejoinder.errors import ActionRefused, RejoinderError, WorkerError, WorkerNotLoaded
from rejoinder.runtime.settings import WorkersSettings
from rejoinder.runtime.values import Actions, Ended, Ending, MessageEvent, ReplyAction
from rejoinder.runtime.zygote import Zygote
from rejoinder.worker import frames
from rejoinder.worker.frames import Frame, FrameError, FrameReader
from rejoinder.worker.raw import QUESTION, Held

_log = structlog.get_logger("runtime")
_LARGEST_SAYING: Final = 1 << 18
_REASON: Final = 400
"""Characters of a reason: an SMTP reply line has 512 octets (RFC 5321 §4.5.3.1.5)."""


class LiveRun:
    """One run in a child."""

    def __init__(self, event: MessageEvent, actions: Actions) -> None:
        self.event = event
        self.actions = actions
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self.limit: Alarm | None = None
        self.judging: asyncio.Task[None] | None = None
        self.unresponsive = False
        self.held: Held | None = None


class Child(asyncio.Protocol):
    """One child process from its start to its death."""

    def __init__(
        self, settings: WorkersSettings, clock: Clock, zygote: Zygote, on_change: Callable[[Child], None]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._zygote = zygote
        self._on_change = on_change
        self._reader = FrameReader()
        self._numbers = count(1)
        self._runs: dict[int, LiveRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.Transport | None = None
        self._raw: socket.socket | None = None
        self._number = 0
        self._in_grace = 0
        self._killed = False
        self._loaded: asyncio.Future[frames.Loaded] = asyncio.get_running_loop().create_future()
        self.dead = asyncio.Event()
        self.pid = 0
        self.rooms = 0
        self.retired = False
        self.served = 0
        self.orphaned = False
        """Whether its zygote ended, which is the fault of nothing in this child that we could know of."""

    # --- from start to death -------------------------------------------------------------------------

    async def start(self, load: frames.Load, concurrency: int) -> None:
        """Start the process and load the worker.

        Raises:
            WorkerNotLoaded: the file is not usable, or the process died or was too slow.
            ConfigError: the interpreter cannot be started.
        """
        loop = asyncio.get_running_loop()
        self._number, pipe, self._raw = self._zygote.spawn(self._settings.memory, self._exited)
        pipe.setblocking(False)
        self._raw.setblocking(False)
        loop.add_reader(self._raw, self._asked_for_raw, self._raw)
        await loop.create_unix_connection(lambda: self, sock=pipe)
        self._send(load)
        too_late = self._clock.alarm(self._settings.start_limit, lambda: self._kill_slow_start(load.file))
        try:
            loaded = await self._loaded
        except BaseException:
            self.kill()
            raise
        finally:
            too_late.cancel()
        self.pid, self.rooms = loaded.pid, concurrency if loaded.is_async else 1

    def retire(self) -> None:
        """Take no more runs, and end when the last one has ended."""
        self.retired = True
        if not self._runs:
            self.kill()

    def kill(self) -> None:
        """End the process and all that it started."""
        if not self._killed:
            self._killed = True
            self._zygote.kill(self._number)

    @property
    def room(self) -> int:
        """How many more runs it takes."""
        is_usable = not (self.retired or self._killed or self.dead.is_set())
        return self.rooms - len(self._runs) if is_usable else 0

    def _kill_slow_start(self, file: str) -> None:
        self._fail_loading(
            f"{file} was not imported within {self._settings.start_limit:g} s (workers.start_limit)"
        )
        self.kill()

    def _fail_loading(self, text: str) -> None:
        if not self._loaded.done():
            self._loaded.set_exception(WorkerNotLoaded(text))
            self._loaded.exception()  # Whoever started this child may have been cancelled meanwhile.

    def _exited(self, status: int | None) -> None:
        how = _how_it_died(status)
        self.orphaned = status is None
        self._fail_loading(f"the process {how} while it was importing the worker's file")
        if self._transport is not None:
            self._transport.abort()
        if self._raw is not None:
            asyncio.get_running_loop().remove_reader(self._raw)
            self._raw.close()
        self.dead.set()
        alone = len(self._runs) == 1 and not self.orphaned
        for number, run in list(self._runs.items()):
            if run.unresponsive:
                self._end(number, self._blamed(run))
            else:
                self._end(
                    number, Ended(Ending.CRASH, error=f"the worker's process {how}", neighbour=not alone)
                )
        self._on_change(self)

    # --- a run ---------------------------------------------------------------------------------------

    async def run(self, event: MessageEvent, actions: Actions) -> Ended:
        """Handle the mail; if the caller is cancelled, the run is, too, and nobody hears of its end."""
        number, run = next(self._numbers), LiveRun(event, actions)
        self._runs[number] = run
        self._send(_run_frame(number, event))
        run.limit = self._clock.alarm(self._settings.time_limit, lambda: self._stop(number, run))
        try:
            return await run.ended
        except asyncio.CancelledError:
            if number in self._runs:  # it may have ended at the same moment
                run.limit.cancel()
                self._stop(number, run)
            raise

    def _stop(self, number: int, run: LiveRun) -> None:
        run.limit = self._go(self._stopped(number, run))

    async def _stopped(self, number: int, run: LiveRun) -> None:
        """Cancel the run; end the process if the run has not ended within the grace."""
        self._send(frames.Cancel(number))
        self._ask_who_holds()
        self._in_grace += 1
        try:
            await self._clock.sleep(self._settings.grace)
        finally:
            self._in_grace -= 1
        holders = [each for each in self._runs.values() if each.held is not None]
        for culprit in holders or [run]:
            culprit.unresponsive = True
        self.kill()

    def _ask_who_holds(self) -> None:
        if self._in_grace == 0:  # Many runs may reach their limit at once; one answer does for all.
            for run in self._runs.values():
                run.held = None
            self._zygote.ask(self._number)

    def _end(self, number: int, ended: Ended) -> None:
        run = self._runs.pop(number)
        if run.limit is not None:
            run.limit.cancel()
        if run.judging is None or run.judging.done():
            self._tell(run, ended)
        else:
            run.judging.add_done_callback(lambda _: self._tell(run, ended))
        if self.retired and not self._runs:
            self.kill()

    def _tell(self, run: LiveRun, ended: Ended) -> None:
        if not run.ended.done():
            run.ended.set_result(ended)
        self._on_change(self)

    # --- the pipe ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The pipe is ours."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it.

    def connection_lost(self, exc: Exception | None) -> None:
        """A child that has closed its end is of no use; its death is told by the zygote."""
        self.kill()

    def data_received(self, data: bytes) -> None:
        """Take what the child says."""
        try:
            for frame in self._reader.feed(data):
                self._take(frame)
        except (FrameError, ValueError) as error:
            _log.error("runtime.frame_refused", pid=self.pid, error=type(error).__name__)
            self.kill()

    def _take(self, frame: Frame) -> None:
        match frame:
            case frames.Loaded():
                if not self._loaded.done():
                    self._loaded.set_result(frame)
            case frames.LoadFailed():
                self._fail_loading(frame.error)
            case frames.Call() if run := self._runs.get(frame.run):
                run.judging = self._go(self._judge(run, frame, run.judging))
            case frames.End() if run := self._runs.get(frame.run):
                self.served += 1
                self._end(frame.run, self._ended(frame))
            case _:
                pass  # Of a run that has ended, by a copy that the worker forked off.

    def _ended(self, end: frames.End) -> Ended:
        ending = Ending(end.ending)
        error = end.error
        if ending is Ending.TIME_LIMIT:
            error = f"{self._over_the_limit()}\n{error}"
        return Ended(ending, _one_line(end.reason), error, end.log)

    def _over_the_limit(self) -> str:
        return f"cancelled at its time limit of {self._settings.time_limit:g} s (workers.time_limit)"

    def _blamed(self, run: LiveRun) -> Ended:
        error = (
            f"its process was killed: a run that was {self._over_the_limit()} "
            f"could not end within {self._settings.grace:g} s (workers.grace)"
        )
        if run.held is None:
            return Ended(Ending.TIME_LIMIT, error=error)
        return Ended(
            Ending.TIME_LIMIT,
            error=f"{error}, because this one stood here:\n{run.held.where}",
            log=run.held.log,
        )

    def _send(self, frame: Frame) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frames.encode(frame))

    # --- actions -------------------------------------------------------------------------------------

    async def _judge(self, run: LiveRun, call: frames.Call, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            await earlier
        try:
            answer = frames.Answer(call.run, call.call, await _act(run, call))
        except RejoinderError as error:
            codes = list(error.codes) if isinstance(error, ActionRefused) else [error.code]
            answer = frames.Answer(call.run, call.call, code=error.code, text=error.text, codes=codes)
        except Exception:  # noqa: BLE001  # Whatever it is, the worker waits for an answer.
            _log.exception("runtime.action_failed", email_id=run.event.email_id, action=call.kind)
            text = "the server could not judge this action; its log says why"
            answer = frames.Answer(
                call.run, call.call, code=WorkerError.code, text=text, codes=[WorkerError.code]
            )
        self._send(answer)

    def _asked_for_raw(self, sock: socket.socket) -> None:
        try:
            said = sock.recv(_LARGEST_SAYING)
        except OSError:
            return
        number, rest = said[: QUESTION.size], said[QUESTION.size :]
        if not number:
            asyncio.get_running_loop().remove_reader(sock)
        elif not rest:
            self._go(self._give_raw(sock, *QUESTION.unpack(number)))
        elif run := self._runs.get(*QUESTION.unpack(number)):
            run.held = Held(*json.loads(rest))

    async def _give_raw(self, sock: socket.socket, number: int) -> None:
        run = self._runs.get(number)
        try:
            descriptor = await run.event.raw.descriptor() if run else None
        except (RejoinderError, OSError) as error:
            _log.warning("runtime.raw_unavailable", error=str(error))
            descriptor = None
        try:
            if descriptor is None:
                sock.send(b"the run has ended" if run is None else b"the store could not give it")
            else:
                socket.send_fds(sock, [b"\0"], [descriptor])
        except OSError:
            pass  # The child is dead.
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _go(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _act(run: LiveRun, call: frames.Call) -> str | None:
    match call.kind:
        case "reply-text":
            return await run.actions.reply(ReplyAction(text=call.blob.decode(errors="replace")))
        case "reply-raw":
            return await run.actions.reply(ReplyAction(raw=call.blob, from_=call.from_, to=call.to))
        case "accept":
            await run.actions.accept()
            return None
        case _:
            raise ActionRefused(f"{call.kind!r} is no action of this server")


def _run_frame(number: int, event: MessageEvent) -> frames.Run:
    return frames.Run(
        run=number,
        event_key=event.event_key,
        event_key_stable=event.event_key_stable,
        email_id=event.email_id,
        sender=event.reverse_path or "",
        to=event.forward_path,
        raw_size=event.raw_size,
        auth=event.auth,
        received_at=event.received_at,
        attempt=event.attempt,
        blob=event.header_block,
    )


def _how_it_died(status: int | None) -> str:
    if status is None:
        return "ended with all the others (what the interpreter says is on stderr)"
    if status >= 0:
        return f"exited with status {status}"
    return f"was ended by {signal.Signals(-status).name}"


def _one_line(reason: str) -> str:
    # RFC 5321 §4.2: an SMTP reply's text has no control characters, and a worker's text may hold any.
    printable = "".join(character if character.isprintable() else " " for character in reason)
    return " ".join(printable.split())[:_REASON]
