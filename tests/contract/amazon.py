# SPDX-License-Identifier: Apache-2.0
"""Amazon SES on loopback: an HTTP endpoint that says what a test wants, or what moto says.

Behind moto it does what SES does with a message: it puts a Message-ID of its own in the place of the one
that is there, and delivers to the recipients of the request, whatever the header names.
"""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, cast

from botocore.exceptions import ClientError
from botocore.session import Session

from rejoinder.internet.person import post
from rejoinder.message.address import parse_mailbox
from rejoinder.outbound.connection import NextHop
from rejoinder.outbound.pool import Pool

REGION: Final = "us-east-1"
KEYS: Final = {"access_key_id": "AKIA_OF_THE_TEST", "secret_access_key": "of the test"}
_MESSAGE_ID: Final = re.compile(rb"(?im)^message-id:[^\n]*\n")


@dataclass(frozen=True)
class Request:
    """A SendEmail, as it came."""

    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def json(self) -> Mapping[str, object]:
        """The whole body."""
        return cast(Mapping[str, object], json.loads(self.body))

    @property
    def raw(self) -> bytes:
        """The message."""
        content = cast(Mapping[str, Mapping[str, str]], self.json["Content"])
        return b64decode(content["Raw"]["Data"])

    @property
    def recipients(self) -> list[str]:
        """To whom it shall go."""
        return cast(Mapping[str, list[str]], self.json["Destination"])["ToAddresses"]


@dataclass(frozen=True)
class Said:
    """An answer; with an error it has its name and sentence, an empty body is a connection cut."""

    status: int = 200
    body: bytes = b""
    error: str = ""

    @classmethod
    def taken(cls, message_id: str) -> Said:
        """What SES says when it has the message."""
        return cls(body=json.dumps({"MessageId": message_id}).encode())

    @classmethod
    def refused(cls, status: int, error: str, message: str) -> Said:
        """What SES says when it has not."""
        return cls(status, json.dumps({"message": message}).encode(), error)


Answering = Callable[[Request], Awaitable[Said]]


@dataclass
class Amazon:
    """The endpoint; ``requests`` holds what it was asked."""

    answer: Answering
    endpoint_url: str = ""
    requests: list[Request] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it ends."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")[1:]
                headers = {
                    name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
                }
                request = Request(headers, await reader.readexactly(int(headers["content-length"])))
                self.requests.append(request)
                said = await self.answer(request)
                if not said.body:
                    return
                writer.write(
                    f"HTTP/1.1 {said.status} OK\r\nContent-Length: {len(said.body)}\r\n"
                    f"x-amzn-RequestId: 1\r\nx-amzn-ErrorType: {said.error}\r\n\r\n".encode()
                    + said.body
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def amazons(answer: Answering) -> AsyncIterator[Amazon]:
    """An endpoint that answers like this."""
    amazon = Amazon(answer)
    server = await asyncio.start_server(amazon.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    amazon.endpoint_url = f"http://{host}:{port}"
    try:
        yield amazon
    finally:
        server.close()


class Moto:
    """What moto says to SendEmail; what it takes goes on under a Message-ID of SES's making."""

    def __init__(self, pool: Pool, hop: NextHop) -> None:
        self._client = Session().create_client("sesv2", region_name=REGION)
        self._pool, self._hop = pool, hop

    def verify(self, domain: str) -> None:
        """The domain is the account's, as after its records are in the DNS."""
        self._client.create_email_identity(EmailIdentity=domain)

    async def answer(self, request: Request) -> Said:
        """See ``Amazon.answer``."""
        try:
            answer = self._client.send_email(
                Content={"Raw": {"Data": request.raw}}, Destination=request.json["Destination"]
            )
        except ClientError as error:
            problem = error.response["Error"]
            return Said.refused(400, problem["Code"], problem["Message"])
        message_id = str(answer["MessageId"])
        named = f"Message-ID: <{message_id}@email.amazonses.com>\r\n".encode()
        raw, count = _MESSAGE_ID.subn(named, request.raw, count=1)
        assert count == 1
        for to in request.recipients:
            bounce = parse_mailbox(f"{message_id}@amazonses.com")
            result = await post(
                self._pool, self._hop, "a1.amazonses.com", raw, reverse_path=bounce, to=parse_mailbox(to)
            )
            assert result.state == "answered", result
        return Said.taken(message_id)
