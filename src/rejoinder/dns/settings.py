# SPDX-License-Identifier: Apache-2.0
"""Settings of the resolver."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from rejoinder.settings import Duration, Settings


def _host_and_port(value: str) -> str:
    host, separator, port = value.rpartition(":")
    if not separator or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(
            f'{value!r} is not a resolver; write address:port, as in "127.0.0.1:53" or "[::1]:53"'
        )
    return value


ResolverAddress = Annotated[str, AfterValidator(_host_and_port)]


class DnsSettings(Settings):
    """Which resolvers are asked, and for how long."""

    resolvers: tuple[ResolverAddress, ...] = Field(
        default=(), description='Resolvers as "address:port"; none means those of the system.'
    )
    timeout: Duration = Field(
        default=5.0, gt=0, description="How long one question may take, over all resolvers and retries."
    )
    cache_size: int = Field(
        default=20_000, ge=0, description="Answers kept until their TTL ends; 0 keeps none."
    )
