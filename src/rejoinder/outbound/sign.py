# SPDX-License-Identifier: Apache-2.0
"""DKIM signatures for what leaves, made off the event loop.

RSA signing takes most of the CPU that a reply costs and releases the interpreter lock, so it runs in a
small pool of threads of its own. Keys are loaded once, when the server starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from rejoinder.mailauth.dkim.sign import Signer


class Signing:
    """Signs as the domain of the author; what cannot be signed must not leave."""

    def __init__(self, signers: Mapping[str, Signer], threads: int = 2) -> None:
        self._signers = dict(signers)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="dkim")

    async def signed(self, domain: str, raw: bytes, now: int) -> bytes | None:
        """The message with our signature in front; None when the domain (in A-labels) has no key."""
        signer = self._signers.get(domain)
        if signer is None:
            return None
        field = await asyncio.get_running_loop().run_in_executor(self._pool, signer.sign, raw, now)
        return field + raw

    def close(self) -> None:
        """End the threads; nothing may be signed afterwards."""
        self._pool.shutdown(wait=True)
