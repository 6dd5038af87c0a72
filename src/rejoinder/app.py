# SPDX-License-Identifier: Apache-2.0
"""The composition root: from a configuration to a running server.

The only module that names drivers: SQLite, the live clock, the live resolver, the operating system's
randomness. Everything is made once, top to bottom, and given what it needs. ``Server.start`` runs a server
in the current loop; ``serve`` is the process around it, with its lock and signals.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import random
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Final, Self

import structlog

from rejoinder.api.app import create_app
from rejoinder.api.server import HttpServer
from rejoinder.clock import Clock, after
from rejoinder.clock.live import LiveClock
from rejoinder.config import Config
from rejoinder.dispatch.run import Finisher, GoingOn, RunHandler
from rejoinder.dns import Resolver
from rejoinder.dns.live import LiveResolver
from rejoinder.errors import ListenError, ServerFailed
from rejoinder.ids import Ids, Randomness, buffered
from rejoinder.ingress.accept import Acceptor
from rejoinder.ingress.commit import REMEMBERED, Committer
from rejoinder.ingress.server import SmtpServer
from rejoinder.outbound.deliver import DeliverHandler
from rejoinder.outbound.keys import load_signers
from rejoinder.outbound.mx import listens_at
from rejoinder.outbound.pool import Pool, PoolSettings
from rejoinder.outbound.provider import Provider, Unusable
from rejoinder.outbound.settings import OutboundSettings
from rejoinder.outbound.sign import Signing
from rejoinder.queue.housekeeping import Housekeeper
from rejoinder.queue.worker import QueueWorker
from rejoinder.replies.answer import Answering
from rejoinder.replies.first_attempt import FirstAttempts
from rejoinder.replies.submit import DELIVER
from rejoinder.routing.table import Table
from rejoinder.runtime.conclusion import RUN, Concluder
from rejoinder.runtime.host import WorkerHost
from rejoinder.runtime.run import Runner
from rejoinder.store import jobs, secrets
from rejoinder.store.lock import ServerLock
from rejoinder.store.raw import RawStore
from rejoinder.store.raw.files import RawFiles
from rejoinder.store.sqlite import SqliteStore
from rejoinder.store.unit import Unit

DRAIN: Final = 30.0
"""Seconds that what is going on may take to end when the server stops."""

_log = structlog.get_logger("app")

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a server takes from outside itself, so that tests can give something else."""

    clock: Clock
    randomness: Randomness
    resolver: Resolver | None = None
    """None: the resolvers of the configuration."""

    @classmethod
    def live(cls) -> Self:
        """The real ones."""
        return cls(LiveClock(), os.urandom)


class Server:
    """A running server; made by ``start``, ended by ``stop``."""

    def __init__(self, config: Config, surroundings: Surroundings, store: SqliteStore, secret: bytes) -> None:
        clock = self._clock = surroundings.clock
        chance = random.Random(surroundings.randomness(16))
        ids = Ids(buffered(surroundings.randomness))
        hostname = config.ingress.hostname or socket.getfqdn()
        owner = f"{hostname}-{ids.unique(clock.now())}"
        resolver = surroundings.resolver or LiveResolver(config.dns)
        files = RawFiles(config.store.data_dir / "raw")
        raw_store = RawStore(config.store, ids, clock, files)

        self.store = store
        self._housekeeper = Housekeeper(store, files, clock, REMEMBERED)
        self._host = WorkerHost(config.workers, config.worker, clock)
        self._signing = Signing(load_signers(config.domain, config.store.data_dir))
        self._pool = Pool(PoolSettings(), clock)
        self._provider = provider_of(config.outbound)
        first_attempts = None if self._provider is None else FirstAttempts(clock, self._provider)

        runner = Runner(
            host=self._host,
            store=store,
            clock=clock,
            secret=secret,
            settings=config.replies,
            max_size=config.outbound.max_size,
        )
        concluder = Concluder(
            raw_store=raw_store,
            clock=clock,
            ids=ids,
            jitter=chance.random,
            secret=secret,
            settings=config.workers,
            hostname=hostname,
        )
        finisher = Finisher(store, concluder)
        deliver = DeliverHandler(
            store=store,
            raw_store=raw_store,
            resolver=resolver,
            pool=self._pool,
            signing=self._signing,
            clock=clock,
            ids=ids,
            settings=config.outbound,
            ehlo=config.outbound.ehlo or hostname,
            chance=chance,
            is_ours=lambda hop: listens_at(self.smtp_addresses, hop),
            provider=self._provider,
            first_attempts=first_attempts,
        )
        run = RunHandler(store, raw_store, runner, concluder, finisher)
        self._queue = QueueWorker(
            store, clock, config.queue, owner, {RUN: run, DELIVER: deliver}, jitter=chance.random
        )
        self._going_on = GoingOn(finisher, self._queue)
        table = Table(config.domain, config.route)
        self._acceptor = Acceptor(
            store=store,
            table=table,
            resolver=resolver,
            clock=clock,
            ids=ids,
            runner=runner,
            committer=Committer(
                store=store,
                raw_store=raw_store,
                concluder=concluder,
                clock=clock,
                ids=ids,
                hostname=hostname,
                owner=owner,
                lease=config.queue.lease,
            ),
            dispatch=self._going_on,
            ingress=config.ingress,
            workers=config.workers,
            hostname=hostname,
        )
        self._smtp = SmtpServer(config.ingress, self._acceptor, clock, hostname)
        answering = Answering(
            store=store,
            raw_store=raw_store,
            account_of=table.account_of,
            clock=clock,
            ids=ids,
            settings=config.replies,
            quota=config.quota,
            max_size=config.outbound.max_size,
            first_attempts=first_attempts,
        )
        api = create_app(
            store,
            raw_store,
            answering,
            clock=clock,
            rate=config.http.rate,
            is_held=self._acceptor.is_held,
            is_ready=lambda: not self._smtp.is_draining,
            new_request_id=lambda: f"req_{ids.unique(clock.now())}",
        )
        self._http = HttpServer(api, config.http)
        self._tasks: list[asyncio.Task[None]] = []
        self._on_failure: Callable[[], None] = lambda: None
        self.failure: ServerFailed | None = None
        """Why the server cannot go on, once it cannot."""
        self.smtp_addresses: tuple[Address, ...] = ()
        self.http_address: Address = ("", 0)

    @classmethod
    async def start(
        cls,
        config: Config,
        surroundings: Surroundings | None = None,
        *,
        on_failure: Callable[[], None] = lambda: None,
    ) -> Self:
        """Open the store, start the workers, listen, and begin to work.

        ``on_failure`` is called when the server cannot go on; ``failure`` says why, and it must be stopped.

        Raises:
            RejoinderError: something cannot be had; nothing is left running.
        """
        surroundings = surroundings or Surroundings.live()
        store = await SqliteStore.open(config.store, surroundings.clock)
        try:
            new = surroundings.randomness(32)
            secret = await store.transaction(lambda: _secret(new))
            # Whoever held these is dead: one server owns a data_dir, and it is this one now.
            await store.transaction(lambda: jobs.void_leases(None))
            server = cls(config, surroundings, store, secret)
            server._on_failure = on_failure
            await server._begin(config)
        except BaseException:
            await store.close()
            raise
        return server

    async def stop(self, within: float = DRAIN) -> None:
        """Take no more, let what goes on end for so many seconds, and close everything."""
        deadline = after(self._clock.now(), within)
        self._acceptor.drain()
        await self._smtp.drain(deadline)
        await self._queue.drain(deadline)
        await self._going_on.stop()
        await self._close()

    async def _begin(self, config: Config) -> None:
        try:
            await self._host.start()
            self._tasks = [
                self._go("queue", self._queue.run()),
                self._go("watch", self._host.watch()),
                self._go("housekeeping", self._housekeeper.run()),
            ]
            self.http_address = await self._http.start()
            self.smtp_addresses = tuple(
                [await self._listen(listener.address) for listener in config.ingress.listen]
            )
        except BaseException:
            await self._smtp.drain(self._clock.now())
            await self._close()
            raise

    def _go(self, name: str, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._look_at)
        return task

    def _look_at(self, task: asyncio.Task[None]) -> None:
        """Mail must not be taken for a queue that is dead; a drained one ends without an error."""
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        name = task.get_name()
        _log.error("app.task_failed", task=name, exc_info=error)
        self.failure = self.failure or ServerFailed(
            f"the task {name} of the server ended with {error!r}; the log has the traceback. What was "
            "accepted is in the store, and goes on when the server is started again"
        )
        self._on_failure()

    async def _listen(self, address: str) -> Address:
        try:
            return await self._smtp.start(address)
        except OSError as error:
            raise ListenError(
                f'ingress.listen address = "{address}" cannot be listened on: {error.strerror or error}; '
                "end the program that has the port, or set another in [[ingress.listen]]"
            ) from error

    async def _close(self) -> None:
        await self._http.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._host.stop()
        await self._pool.close()
        if self._provider is not None:
            await self._provider.close()
        self._signing.close()
        await self.store.close()


async def serve(config: Config, *, ready: Callable[[Server], None] | None = None) -> None:
    """Run a server until SIGTERM or SIGINT, then drain it; a second signal does not wait.

    Raises:
        ServerFailed: it could not go on; it was drained all the same.
        RejoinderError: it could not start.
    """
    with ServerLock(config.store.data_dir):
        stopping = asyncio.Event()
        server = await Server.start(config, on_failure=stopping.set)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        _log.info("app.started", smtp=_shown(server.smtp_addresses), http=_shown([server.http_address]))
        if ready is not None:
            ready(server)
        await stopping.wait()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        _log.info("app.draining", seconds=DRAIN)
        await server.stop()
        _log.info("app.stopped")
        if server.failure is not None:
            raise server.failure


def provider_of(settings: OutboundSettings) -> Provider | None:
    """Who sends instead of our own SMTP client; None if nobody does.

    An extra's driver is loaded here by its name, so that nobody else pays for it or needs it.
    """
    if settings.route != "ses":
        return None
    try:
        driver = importlib.import_module("rejoinder.outbound.ses")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("botocore"):
            raise
        reason = f'route = "ses" needs {error.name}: pip install "rejoinder[ses]"'
        _log.error("app.extra_missing", error=reason)
        return Unusable("Amazon SES", reason)
    provider: Provider = driver.Ses(settings.ses)
    return provider


def _shown(addresses: Sequence[Address]) -> str:
    return ", ".join(f"{host}:{port}" for host, port in addresses)


def _secret(new: bytes) -> Unit[bytes]:
    """The secret of this store, made by whoever opened it first."""
    yield from secrets.keep_server_secret(new)
    kept = yield from secrets.server_secret()
    assert kept is not None
    return kept
