# SPDX-License-Identifier: Apache-2.0
"""The fixture that keeps every test on this machine."""

from __future__ import annotations

import asyncio
import socket

import pytest


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "example.com"])
def test_a_connection_beyond_loopback_fails(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        with pytest.raises(AssertionError, match="loopback"):
            sock.connect((host, 25))
        with pytest.raises(AssertionError, match="loopback"):
            sock.connect_ex((host, 25))


def test_a_datagram_beyond_loopback_fails() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(AssertionError, match="loopback"):
        sock.sendto(b"?", ("192.0.2.53", 53))


def test_a_look_up_of_a_real_name_fails() -> None:
    with pytest.raises(AssertionError, match="no real DNS"):
        socket.getaddrinfo("example.com", 25)


@pytest.mark.anyio
async def test_asyncio_cannot_leave_either() -> None:
    with pytest.raises(AssertionError, match="loopback"):
        await asyncio.open_connection("192.0.2.1", 25)


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
