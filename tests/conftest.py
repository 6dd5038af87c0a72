# SPDX-License-Identifier: Apache-2.0
"""What tests have: asyncio under anyio's plugin, the corpora if there, keys, and no network."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from rejoinder.mailauth.dkim.key import make_key
from rejoinder.mailauth.dkim.sign import Signer

_LOCAL_NAMES: Final = frozenset({"", "localhost", "localhost.localdomain", "ip6-localhost"})


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real mail and vectors that REJOINDER_CORPORA names."""
    folder = os.environ.get("REJOINDER_CORPORA")
    if not folder:
        pytest.skip("REJOINDER_CORPORA is not set; it names the folder of real mail and vectors")
    path = Path(folder)
    if not path.is_dir():
        pytest.skip(f"REJOINDER_CORPORA names {folder}, which is no folder")
    return path


@pytest.fixture(scope="session")
def customer_key() -> Signer:
    """The key of customer.example."""
    return Signer("customer.example", "s1", make_key())


@pytest.fixture(scope="session")
def desk_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key file of desk.example; making one takes longer than most tests."""
    path = tmp_path_factory.mktemp("keys") / "desk.pem"
    path.write_bytes(make_key())
    return path


@pytest.fixture(autouse=True)
def _only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection, datagram or look-up that would leave this machine fails the test at once."""
    real_connect, real_connect_ex = socket.socket.connect, socket.socket.connect_ex
    real_getaddrinfo = socket.getaddrinfo

    def connect(self: socket.socket, address: object) -> None:
        _require_loopback(self, address)
        real_connect(self, address)  # type: ignore[arg-type]

    def connect_ex(self: socket.socket, address: object) -> int:
        _require_loopback(self, address)
        return real_connect_ex(self, address)  # type: ignore[arg-type]

    def getaddrinfo(host: str | bytes | None, *args: object, **kwargs: object) -> object:
        name = host.decode() if isinstance(host, bytes) else host
        assert name is None or _is_local(name), f"a test looked up {name!r}: tests use no real DNS"
        return real_getaddrinfo(host, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect_ex)
    monkeypatch.setattr(socket.socket, "sendto", _checked_sendto(socket.socket.sendto))
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def _checked_sendto(real: Callable[..., int]) -> Callable[..., int]:
    def sendto(self: socket.socket, data: bytes, *rest: object) -> int:
        _require_loopback(self, rest[-1])
        return real(self, data, *rest)

    return sendto


def _require_loopback(sock: socket.socket, address: object) -> None:
    if sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    assert isinstance(address, tuple)
    assert _is_local(str(address[0])), f"a test reached for {address[0]}: tests stay on loopback"


def _is_local(host: str) -> bool:
    if host.lower() in _LOCAL_NAMES:
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
