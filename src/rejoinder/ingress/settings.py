# SPDX-License-Identifier: Apache-2.0
"""What an operator can set about receiving mail."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rejoinder.settings import Duration, Settings, Size
from rejoinder.smtp.event import Limits


class Listener(Settings):
    """A place where mail is received."""

    kind: Literal["mx"] = Field("mx", description="Who connects: other mail servers (mx).")
    address: str = Field(description="Host and port to listen at; port 0 takes a free one.")


class IngressSettings(Settings):
    """Receiving mail over SMTP."""

    listen: tuple[Listener, ...] = Field(
        (Listener(address="127.0.0.1:2525"),), description="Where mail is received."
    )
    hostname: str = Field("", description="The name in the greeting; empty means the machine's name.")
    max_size: Size = Field(
        25 << 20, ge=1 << 10, description="Octets of a message, announced by SIZE (552 above)."
    )
    max_recipients: int = Field(
        100, ge=100, description="Recipients of one mail transaction (452 4.5.3 beyond, RFC 5321 §4.5.3.1.8)."
    )
    max_line: Size = Field(1 << 20, ge=1000, description="Octets of one line of content (550 5.6.0 above).")
    max_command: Size = Field(4096, ge=1024, description="Octets of one command with its CRLF (500 above).")
    max_commands: int = Field(
        20_000, ge=200, description="Commands without a mail received, before the session is ended (421)."
    )
    max_bad_commands: int = Field(
        20, ge=1, description="Commands with an error of syntax or order, before the session is ended (421)."
    )
    max_connections: int = Field(1000, ge=1, description="Sessions at the same time (421 4.3.2 beyond).")
    max_connections_per_ip: int = Field(
        100, ge=1, description="Sessions at the same time from one address (421 4.7.0 beyond)."
    )
    max_held: Size = Field(
        256 << 20,
        ge=1 << 20,
        description="Octets of content held in all sessions together (452 4.3.1 above).",
    )
    command_timeout: Duration = Field(300.0, gt=0, description="Wait for a command (RFC 5321 §4.5.3.2.7).")
    block_timeout: Duration = Field(180.0, gt=0, description="Wait for the next octets of content.")
    message_timeout: Duration = Field(
        1800.0, gt=0, description="Time for one mail transaction from MAIL to the end of its content."
    )

    authentication_timeout: Duration = Field(
        20.0, gt=0, description="Time for SPF, DKIM and DMARC of one mail; beyond it the DNS has failed."
    )
    on_dns_failure: Literal["defer", "accept"] = Field(
        "defer",
        description='When the DNS fails while the sender is authenticated: "defer" (451, to be tried again) '
        'or "accept" (stored with what is known; it is not answered).',
    )

    @property
    def limits(self) -> Limits:
        """What the receiver keeps by itself."""
        return Limits(
            max_size=self.max_size,
            max_line=self.max_line,
            max_recipients=self.max_recipients,
            max_command=self.max_command,
            max_commands=self.max_commands,
            max_bad_commands=self.max_bad_commands,
        )
