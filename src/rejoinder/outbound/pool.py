# SPDX-License-Identifier: Apache-2.0
"""Connections to next hops, kept for a while and used again.

A lane is one next hop under one EHLO name: a few connections at most, the idle ones waiting for the next
message. The surprise: a server may close an idle connection just as we use it, and that is no failure of
the message. What was lost on a used connection before the server said a word about it goes out again, at
once and once, on a fresh one; after the final dot never.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from rejoinder.clock import Clock
from rejoinder.clock.watchdog import Watchdog
from rejoinder.outbound.connection import Connection, HopResult, NextHop, Timeouts, unreachable
from rejoinder.smtp.envelope import Envelope


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How many connections, how often used, how long waited for."""

    max_per_host: int = 5
    max_transactions: int = 100
    timeouts: Timeouts = field(default_factory=Timeouts)


class _Lane:
    def __init__(self, key: tuple[NextHop, str], room: int) -> None:
        self.key = key
        self.room = asyncio.Semaphore(room)
        self.idle: deque[Connection] = deque()
        self.users = 0


class Pool:
    """Sends mail transactions to next hops over connections that it keeps."""

    def __init__(self, settings: PoolSettings, clock: Clock) -> None:
        self._settings: Final = settings
        self._clock: Final = clock
        self._watchdog: Final = Watchdog(clock, settings.timeouts.shortest)
        self._lanes: dict[tuple[NextHop, str], _Lane] = {}
        self._watching: asyncio.Task[None] | None = None

    async def send(self, hop: NextHop, ehlo_name: str, envelope: Envelope, raw: bytes) -> HopResult:
        """Carry out one mail transaction with this next hop; waits for room, never raises for the peer."""
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watchdog.run())
        key = (hop, ehlo_name)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(key, self._settings.max_per_host)
        lane.users += 1
        try:
            async with lane.room:
                return await self._send(lane, hop, ehlo_name, envelope, raw)
        finally:
            lane.users -= 1
            self._tidy(lane)

    async def close(self) -> None:
        """Say goodbye on all idle connections and stop; call when no ``send`` is going on."""
        for lane in self._lanes.values():
            for connection in lane.idle:
                connection.close()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None

    async def _send(
        self, lane: _Lane, hop: NextHop, ehlo_name: str, envelope: Envelope, raw: bytes
    ) -> HopResult:
        if (used := _take_idle(lane)) is not None:
            result = await self._send_over(used, lane, envelope, raw)
            if used.is_usable or used.was_heard:
                return result
        fresh = await Connection.open(hop, ehlo_name, self._settings.timeouts, self._clock, self._watchdog)
        if isinstance(fresh, str):
            return unreachable(envelope, hop, fresh)
        return await self._send_over(fresh, lane, envelope, raw)

    async def _send_over(
        self, connection: Connection, lane: _Lane, envelope: Envelope, raw: bytes
    ) -> HopResult:
        is_kept = False
        try:
            result = await connection.send(envelope, raw)
            is_kept = connection.is_usable and connection.transactions < self._settings.max_transactions
            return result
        finally:
            # Also when cancelled: a connection in the middle of a transaction is of no use to the next.
            if is_kept:
                lane.idle.append(connection)
                connection.rest(lambda: self._drop(lane, connection))
            else:
                connection.close()

    def _drop(self, lane: _Lane, connection: Connection) -> None:
        if connection in lane.idle:
            lane.idle.remove(connection)
        self._tidy(lane)

    def _tidy(self, lane: _Lane) -> None:
        if not lane.users and not lane.idle:
            self._lanes.pop(lane.key, None)


def _take_idle(lane: _Lane) -> Connection | None:
    while lane.idle:
        connection = lane.idle.pop()
        if connection.is_usable:
            return connection
    return None
