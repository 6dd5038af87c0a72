# SPDX-License-Identifier: Apache-2.0
"""uvicorn in our loop: free ports, closing, and whom it believes about addresses."""

from __future__ import annotations

import asyncio
import signal

import pytest
from fastapi import FastAPI, Request

from rejoinder.api.server import HttpServer
from rejoinder.api.settings import HttpSettings
from rejoinder.errors import ListenError

pytestmark = pytest.mark.anyio


def echo() -> FastAPI:
    app = FastAPI()

    @app.get("/client")
    async def client(request: Request) -> str:
        return request.client.host if request.client else ""

    return app


async def ask(host: str, port: int, *headers: str) -> str:
    reader, writer = await asyncio.open_connection(host, port)
    lines = ["GET /client HTTP/1.1", "Host: here", "Connection: close", *headers, "", ""]
    writer.write("\r\n".join(lines).encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_it_serves_on_a_free_port_until_it_is_closed() -> None:
    server = HttpServer(echo(), HttpSettings(listen="127.0.0.1:0"))
    host, port = await server.start()
    assert port > 0
    assert "200 OK" in await ask(host, port)
    await server.close()
    with pytest.raises(ConnectionRefusedError):
        await ask(host, port)


async def test_it_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    server = HttpServer(echo(), HttpSettings(listen="127.0.0.1:0"))
    await server.start()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    await server.close()


async def test_it_does_not_say_what_serves() -> None:
    server = HttpServer(echo(), HttpSettings(listen="127.0.0.1:0"))
    answer = await ask(*await server.start())
    assert "server:" not in answer.lower()
    await server.close()


async def test_an_address_that_is_taken_is_named() -> None:
    first = HttpServer(echo(), HttpSettings(listen="127.0.0.1:0"))
    _, port = await first.start()
    second = HttpServer(echo(), HttpSettings(listen=f"127.0.0.1:{port}"))
    with pytest.raises(ListenError, match=rf'http\.listen = "127\.0\.0\.1:{port}" cannot be listened on'):
        await second.start()
    await second.close()
    await first.close()


@pytest.mark.parametrize(
    ("proxies", "seen"), [((), "127.0.0.1"), (("127.0.0.1",), "192.0.2.7"), (("10.0.0.0/8",), "127.0.0.1")]
)
async def test_only_trusted_proxies_say_where_a_request_comes_from(
    proxies: tuple[str, ...], seen: str
) -> None:
    server = HttpServer(echo(), HttpSettings(listen="127.0.0.1:0", trusted_proxies=proxies))
    answer = await ask(*await server.start(), "X-Forwarded-For: 192.0.2.7")
    assert answer.endswith(f'"{seen}"')
    await server.close()
