# SPDX-License-Identifier: Apache-2.0
"""uvicorn as a library in our loop: it serves, and everything else is ours.

Signals, the loop, logging and the socket stay with the program. The surprise: uvicorn would trust
``X-Forwarded-For`` from 127.0.0.1 and a variable of its own by default; here it trusts only the proxies
that the settings name.
"""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from fastapi import FastAPI

from rejoinder.api.settings import HttpSettings
from rejoinder.errors import ListenError


class HttpServer:
    """Serves one application at the address of the settings, between ``start`` and ``close``."""

    def __init__(self, app: FastAPI, settings: HttpSettings) -> None:
        self._settings = settings
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=list(settings.trusted_proxies),
                timeout_graceful_shutdown=5,
            )
        )
        self._socket: socket.socket | None = None
        self._ticking: asyncio.Task[None] | None = None

    async def start(self) -> tuple[str, int]:
        """Listen; returns the address and the port, which is the one taken if the setting says 0.

        Raises:
            ListenError: the address cannot be listened on.
        """
        self._socket = _bound(self._settings)
        config = self._server.config
        config.load()
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup(sockets=[self._socket])
        self._ticking = asyncio.create_task(self._server.main_loop(), name="http")
        host, port, *_ = self._socket.getsockname()
        return host, port

    async def close(self) -> None:
        """Stop listening, let requests end for at most five seconds, and close."""
        if self._ticking is None or self._socket is None:
            return
        self._server.should_exit = True
        await self._ticking
        await self._server.shutdown(sockets=[self._socket])
        self._ticking = None


def _bound(settings: HttpSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except OSError as error:
        raise ListenError(
            f'http.listen = "{settings.listen}" cannot be listened on: {error.strerror or error}; '
            "end the program that has the port, or set another in [http] listen"
        ) from None
