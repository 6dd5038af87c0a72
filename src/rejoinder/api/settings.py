# SPDX-License-Identifier: Apache-2.0
"""Settings of the HTTP side."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, Field

from rejoinder.settings import Settings


def _host_and_port(value: str) -> str:
    host, separator, port = value.rpartition(":")
    if not separator or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f'{value!r} is no address:port, as in "127.0.0.1:8025" or "[::1]:8025"')
    return value


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError as error:
        raise ValueError(
            f'{value!r} is no network; write an address or a range, as in "10.0.0.0/8": {error}'
        ) from None
    return value


def _web_url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError(f'{value!r} is no web address; write it as in "https://mail.example.com"')
    return value.rstrip("/")


class HttpSettings(Settings):
    """Where the HTTP API listens and how others reach it."""

    listen: Annotated[str, AfterValidator(_host_and_port)] = Field(
        default="127.0.0.1:8025",
        description='Address and port of the HTTP API, as in "127.0.0.1:8025"; port 0 takes a free one.',
    )
    public_url: Annotated[str, AfterValidator(_web_url)] | None = Field(
        default=None,
        examples=["https://mail.example.com"],
        description="The address at which people reach the server, where a proxy stands before it.",
    )
    trusted_proxies: tuple[Annotated[str, AfterValidator(_network)], ...] = Field(
        default=(),
        description="Addresses or ranges of proxies whose X-Forwarded-For and X-Forwarded-Proto count.",
    )
    rate: int = Field(
        default=0,
        ge=0,
        description="Requests that a key may make in a second; more are answered with 429. 0 sets no limit.",
    )

    @property
    def host(self) -> str:
        """The address to listen on, without the brackets of IPv6."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port to listen on; 0 means a free one."""
        return int(self.listen.rpartition(":")[2])
