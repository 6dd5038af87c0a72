# SPDX-License-Identifier: Apache-2.0
"""The main of a child: load the worker, then handle mails as they come, until the host is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import traceback
from types import FrameType

from rejoinder.worker.context import Env
from rejoinder.worker.frames import Answer, Cancel, Frame, FrameReader, Load, Loaded, LoadFailed, Run, encode
from rejoinder.worker.handler import Handler, LoadError, load
from rejoinder.worker.output import capture_output, current, trimmed, where
from rejoinder.worker.raw import Held, RawSocket
from rejoinder.worker.run import LiveRun


def main(frames: socket.socket, raw: socket.socket) -> None:
    """Serve the host on these two sockets; returns when it is gone or the worker cannot be loaded."""
    # A copy of this process that the worker forks off must not speak for it.
    os.register_at_fork(after_in_child=frames.close)
    order = _first(frames)
    capture_output()
    try:
        handler = load(order.blob, order.file, order.name)
    except LoadError as error:
        frames.sendall(encode(LoadFailed(trimmed(str(error)))))
        return
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(_serve(frames, Child(handler, Env(**order.variables), RawSocket(raw))))
    except BaseException:  # noqa: BLE001  # `sys.exit()` in a callback too.
        traceback.print_exc()
    finally:
        # One run has stopped the loop: were it closed in order, the others would end as cancelled.
        os._exit(1)


def _first(frames: socket.socket) -> Load:
    reader = FrameReader()
    while octets := frames.recv(1 << 16):
        for frame in reader.feed(octets):
            assert isinstance(frame, Load)
            return frame
    raise SystemExit(0)


async def _serve(frames: socket.socket, child: Child) -> None:
    frames.setblocking(False)
    await asyncio.get_running_loop().create_unix_connection(lambda: child, sock=frames)
    await child.gone


class Child(asyncio.Protocol):
    """The child's end of the pipe, and the runs that are going on."""

    def __init__(self, handler: Handler, env: Env, raw: RawSocket) -> None:
        self._handler = handler
        self._env = env
        self._raw = raw
        self._reader = FrameReader()
        self._runs: dict[int, LiveRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pid = os.getpid()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tell the host that mails may come."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        signal.signal(signal.SIGUSR1, self._asked_who_holds)
        self.send(Loaded(self._pid, self._handler.is_async))

    def connection_lost(self, exc: Exception | None) -> None:
        """The host is gone, or has enough of this child."""
        os._exit(0)

    def data_received(self, data: bytes) -> None:
        """Take what the host sends."""
        for frame in self._reader.feed(data):
            self._take(frame)

    def send(self, frame: Frame) -> None:
        """Send at once."""
        if os.getpid() != self._pid:
            os._exit(0)  # A copy that the handler forked off came back from the handler.
        assert self._transport is not None
        self._transport.write(encode(frame))

    def fetch(self, run: int) -> bytes:
        """The mail of this run as received."""
        return self._raw.fetch(run)

    def _asked_who_holds(self, _: int, frame: FrameType | None) -> None:
        # A signal handler runs in the context of whatever it interrupts, so it sees whose output is current.
        capture, threads = current.get(), sys._current_frames()  # noqa: SLF001  # Documented, for debuggers.
        for number, run in self._runs.items():
            if run.thread is not None:
                held = threads.get(run.thread)
            else:
                held = frame if run.capture is capture else None
            if held is not None:
                self._raw.tell(number, Held(where(held), run.capture.text()))

    def _take(self, frame: Frame) -> None:
        match frame:
            case Run():
                task = asyncio.get_running_loop().create_task(self._handle(frame))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case Cancel() if run := self._runs.get(frame.run):
                run.cancel()
            case Answer() if run := self._runs.get(frame.run):
                run.answer(frame)
            case _:
                pass  # Of a run that has ended meanwhile.

    async def _handle(self, event: Run) -> None:
        run = self._runs[event.run] = LiveRun(event, self._handler, self._env, self)
        try:
            end = await run.execute()
        finally:
            del self._runs[event.run]
        self.send(end)
