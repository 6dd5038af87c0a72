# SPDX-License-Identifier: Apache-2.0
"""Who comes in: a request's key, how often it asks, and what it may do.

The rate is counted before anything of the request is looked at, so that it protects what comes after.
The surprise: a key's last use is written at most once a minute, and a store that cannot write it does not
keep anybody from reading.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from starlette.requests import Request

from rejoinder.api.key import Scope, authenticate, require
from rejoinder.clock import SECOND, Clock
from rejoinder.errors import RateLimited, StoreError
from rejoinder.store import keys
from rejoinder.store.records import ApiKey
from rejoinder.store.unit import Store

_NOTED_EVERY: Final = 60 * SECOND


class Gate:
    """Lets requests in that have a key; ``rate`` is requests per second and key, 0 for any number."""

    def __init__(self, store: Store, clock: Clock, rate: int) -> None:
        self._store = store
        self._clock = clock
        self._rate = rate
        self._due: dict[str, float] = {}

    async def admit(self, request: Request, scope: Scope) -> ApiKey:
        """The key of a request that may do this.

        Raises:
            Unauthorized: it has no live key.
            RateLimited: its key asks too often.
            ScopeMissing: its key may not.
        """
        key = await authenticate(self._store, request.headers.get("Authorization"))
        self._count(key)
        require(key, scope)
        await self._note_use(key)
        return key

    def _count(self, key: ApiKey) -> None:
        """Refuse what is more than a second's worth of requests ahead of the rate."""
        if not self._rate:
            return
        now, interval = self._clock.now(), SECOND / self._rate
        due = max(self._due.get(key.id, 0), now)
        if due - now > SECOND - interval:
            raise RateLimited(
                f"the key {key.id} asks more than {self._rate} times a second (http.rate); ask again in one"
            )
        self._due[key.id] = due + interval

    async def _note_use(self, key: ApiKey) -> None:
        now = self._clock.now()
        if key.last_used_at is None or now - key.last_used_at >= _NOTED_EVERY:
            with suppress(StoreError):
                await self._store.transaction(lambda: keys.touch(key.id, now))
