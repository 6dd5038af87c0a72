# SPDX-License-Identifier: Apache-2.0
"""Amazon SES, API version 2, as the provider by which mail leaves.

The message goes as it was built (``Content.Raw``); the forward-paths are the ``Destination``, so that blind
copies stay blind. SES signs with the keys of the verified domain; ours would not survive, since SES replaces
Message-ID, which it covers. botocore is used as it is, in threads: one call a message, nothing of boto3,
and no second HTTP stack that has to follow each of its releases. Its own retries are off; the queue has a
better schedule, and keeps it through a restart.

The surprise: an answer that does not come is ``uncertain``, and a repeat cannot be told from the first by
its Message-ID, because SES gives each a new one.

Only the composition root names this module, and loads it only for ``route = "ses"``: botocore is an extra.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypedDict, cast

import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.parsers import ResponseParserError
from botocore.session import Session

from rejoinder.errors import SendingNotConfigured
from rejoinder.message.address import Mailbox
from rejoinder.outbound.provider import HandedOver, not_now
from rejoinder.outbound.settings import SesSettings
from rejoinder.replies.first_attempt import Taken
from rejoinder.smtp.envelope import Envelope
from rejoinder.smtp.reply import Reply

_log = structlog.get_logger("outbound")

_PERMANENT: Final = frozenset(
    {
        "AccountSuspendedException",
        "BadRequestException",
        "MailFromDomainNotVerifiedException",
        "MessageRejected",
    }
)
"""What SES will say again to the same message; anything else may change without it."""
_THROTTLED: Final = 429
_CONNECTIONS: Final = 10


class _Error(TypedDict):
    Code: str
    Message: str


class _Meta(TypedDict):
    HTTPStatusCode: int


class _Problem(TypedDict):
    Error: _Error
    ResponseMetadata: _Meta


class _Place(Protocol):
    region_name: str
    endpoint_url: str


class _Client(Protocol):
    """As much of botocore's client as is used; it is made at run time and has no types."""

    meta: _Place

    def send_email(
        self,
        *,
        Content: Mapping[str, Mapping[str, bytes]],  # noqa: N803 - the names are the wire's
        Destination: Mapping[str, Sequence[str]],  # noqa: N803
        FeedbackForwardingEmailAddress: str,  # noqa: N803
    ) -> Mapping[str, str]: ...

    def close(self) -> None: ...


class Ses:
    """Sends by Amazon SES; the client is made when it is first needed, and again until it can be."""

    name = "Amazon SES"
    most = 50
    """Recipients that SES takes in one message."""

    def __init__(self, settings: SesSettings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="ses")
        self._making = threading.Lock()
        self._client: _Client | None = None

    async def ready(self) -> None:
        """Return if there are a region and credentials.

        Raises:
            SendingNotConfigured: there are not.
        """
        if self._client is not None:
            return
        made = await asyncio.get_running_loop().run_in_executor(self._threads, self._made)
        if isinstance(made, str):
            raise SendingNotConfigured(details=made)

    async def send(self, envelope: Envelope, raw: bytes) -> HandedOver:
        """Hand a message over; see ``Provider``."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._send, envelope, raw)

    async def close(self) -> None:
        """End the threads and the connections."""
        await asyncio.to_thread(self._threads.shutdown)
        if self._client is not None:
            self._client.close()

    def _made(self) -> _Client | str:
        """The client, or why there is none."""
        with self._making:
            if self._client is None:
                try:
                    self._client = _connected(self._settings)
                except (BotoCoreError, ValueError) as error:
                    reason = f'route = "ses" cannot be used: {error}; see [outbound.ses]'
                    _log.error("outbound.provider_unusable", error=reason)
                    return reason
            return self._client

    def _send(self, envelope: Envelope, raw: bytes) -> HandedOver:
        client = self._made()
        if isinstance(client, str):
            return not_now(client)
        assert envelope.reverse_path is not None
        to = [_written(path) for path in envelope.forward_paths]
        said = (f"({self.name}, {client.meta.endpoint_url})", f"C: SendEmail to {', '.join(to)}")
        try:
            answer = client.send_email(
                Content={"Raw": {"Data": raw}},
                Destination={"ToAddresses": to},
                FeedbackForwardingEmailAddress=_written(envelope.reverse_path),
            )
        except ClientError as error:
            return _refused(cast(_Problem, error.response), said)
        except (HTTPClientError, ResponseParserError) as error:
            # The request had gone, and no answer that can be read came back (as RFC 1047).
            return HandedOver(None, (*said, f"(no answer: {error})"), is_up=False)
        except BotoCoreError as error:
            return HandedOver(
                Reply.of(451, "4.4.1", str(error)), (*said, f"(not sent: {error})"), is_up=False
            )
        provider_id = answer.get("MessageId")
        if not provider_id:
            return HandedOver(None, (*said, "(the answer has no MessageId)"), is_up=False)
        taken = Taken(provider_id, f"<{provider_id}@{message_id_domain(client.meta.region_name)}>")
        reply = Reply.of(250, "2.0.0", f"{self.name} took it as {provider_id}")
        return HandedOver(reply, (*said, f"S: 200 MessageId {provider_id}"), taken)


def message_id_domain(region: str) -> str:
    """The domain of the Message-IDs that SES puts on the wire in a region."""
    return "email.amazonses.com" if region == "us-east-1" else f"{region}.amazonses.com"


def _connected(settings: SesSettings) -> _Client:
    """A client, by the settings and, for what they leave open, by the SDK's own chain.

    Raises:
        BotoCoreError: no region, no credentials, or a profile that is not there.
        ValueError: an endpoint that is no URL, or nothing in the whole chain.
    """
    session = Session()
    if settings.access_key_id:
        session.set_credentials(settings.access_key_id, settings.secret_access_key)
    if session.get_credentials() is None:
        raise ValueError("there are no credentials, neither in the configuration nor where AWS SDKs look")
    client = session.create_client(
        "sesv2",
        region_name=settings.region or None,
        endpoint_url=settings.endpoint_url or None,
        config=Config(
            connect_timeout=10,
            read_timeout=60,
            max_pool_connections=_CONNECTIONS,
            retries={"total_max_attempts": 1},
        ),
    )
    return cast(_Client, client)


def _refused(problem: _Problem, said: tuple[str, ...]) -> HandedOver:
    error, status = problem["Error"], problem["ResponseMetadata"]["HTTPStatusCode"]
    reason = f"{error['Code']}: {error['Message']}"
    dialogue = (*said, f"S: {status} {reason}")
    if error["Code"] in _PERMANENT:
        return HandedOver(Reply.of(554, "5.3.0", reason), dialogue)
    return HandedOver(Reply.of(451, "4.3.0", reason), dialogue, is_up=None if status == _THROTTLED else False)


def _written(path: Mailbox) -> str:
    """An address as SES takes it: the domain in A-labels."""
    return str(Mailbox(path.local_part, path.host))
