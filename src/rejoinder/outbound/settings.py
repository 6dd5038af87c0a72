# SPDX-License-Identifier: Apache-2.0
"""Settings of the delivery of what we send."""

from __future__ import annotations

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from rejoinder.settings import Duration, Settings, Size


class SesSettings(Settings):
    """Amazon SES, for route = "ses"; it needs the extra: pip install "rejoinder[ses]"."""

    region: str = Field("", description="The AWS region; empty means that of the AWS SDK's own settings.")
    access_key_id: str = Field(
        "", description="The access key; empty means wherever AWS SDKs look (environment, profile, role)."
    )
    secret_access_key: str = Field("", repr=False, description="The secret of the access key.")
    endpoint_url: str = Field(
        "", description="Another address of the service, as that of a VPC; empty means the region's."
    )

    @model_validator(mode="after")
    def _key_is_whole(self) -> Self:
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise ValueError("access_key_id and secret_access_key belong together; set both, or neither")
        return self


class OutboundSettings(Settings):
    """Delivering what we send."""

    route: Literal["direct", "relay", "ses"] = Field(
        "direct",
        description='Where mail goes: "direct" (the MX of each domain), "relay" (one next hop) or "ses" '
        "(Amazon SES, which signs by itself).",
    )
    relay: str = Field("", description='The next hop of route = "relay", as in "smtp://mail.example:25".')
    mx_port: int = Field(25, ge=1, le=65535, description="The port at which the MX of a domain is reached.")
    allow_private_mx: bool = Field(
        False,
        description="Deliver to an MX at a loopback or private address; else that is a permanent failure.",
    )
    schedule: tuple[Duration, ...] = Field(
        (60, 300, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400, 86400, 86400),
        description="Pauses between attempts; after the last one the message is expired.",
    )
    max_size: Size = Field(50 << 20, description="The largest message that leaves.")
    ehlo: str = Field("", description="The name in EHLO; empty means ingress.hostname.")
    ses: SesSettings = Field(default_factory=SesSettings)

    @model_validator(mode="after")
    def _relay_is_usable(self) -> Self:
        if self.route == "relay":
            self.relay_host()
        return self

    def relay_host(self) -> tuple[str, int]:
        """Host and port of the relay.

        Raises:
            ValueError: it is not ``smtp://HOST[:PORT]``.
        """
        refusal = ValueError(
            f'relay = {self.relay!r} is not a next hop; write "smtp://HOST:PORT", without a user or a path'
        )
        try:
            url = urlsplit(self.relay)
            port = url.port or 25
        except ValueError as error:
            raise refusal from error
        is_bare = url.username is None and url.path in ("", "/") and not url.query
        if url.scheme != "smtp" or not url.hostname or not is_bare:
            raise refusal
        return url.hostname, port
