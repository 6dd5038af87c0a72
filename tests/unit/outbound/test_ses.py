# SPDX-License-Identifier: Apache-2.0
"""What each answer of Amazon SES means, said to the real client by an endpoint on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from rejoinder.errors import SendingNotConfigured
from rejoinder.message.address import Mailbox
from rejoinder.outbound.provider import HandedOver, Unusable
from rejoinder.outbound.ses import Ses, message_id_domain
from rejoinder.outbound.settings import OutboundSettings, SesSettings
from rejoinder.replies.first_attempt import Taken
from rejoinder.smtp.envelope import Envelope
from tests.contract.amazon import KEYS, REGION, Amazon, Request, Said, amazons

pytestmark = pytest.mark.anyio

RAW = b"From: support@desk.example\r\nMessage-ID: <1@desk.example>\r\n\r\nHello.\r\n"
ENVELOPE = Envelope(
    Mailbox("bounces", "desk.example"),
    (Mailbox("alice", "c.example"), Mailbox("bob", "bücher.example")),
    len(RAW),
)


async def sent(endpoint_url: str, region: str = REGION) -> HandedOver:
    ses = Ses(SesSettings(region=region, endpoint_url=endpoint_url, **KEYS))
    try:
        return await ses.send(ENVELOPE, RAW)
    finally:
        await ses.close()


async def answered(said: Said) -> tuple[HandedOver, Amazon]:
    async def answer(request: Request) -> Said:
        return said

    async with amazons(answer) as amazon:
        return await sent(amazon.endpoint_url), amazon


def reply_of(result: HandedOver) -> tuple[int, str | None]:
    assert result.reply is not None
    return result.reply.code, result.reply.enhanced


async def test_the_message_goes_as_it_is_to_the_forward_paths() -> None:
    result, amazon = await answered(Said.taken("0100-1"))
    assert result.taken == Taken("0100-1", "<0100-1@email.amazonses.com>")
    assert (reply_of(result), result.is_up) == ((250, "2.0.0"), True)
    [request] = amazon.requests
    assert request.raw == RAW
    assert request.recipients == ["alice@c.example", "bob@xn--bcher-kva.example"]
    assert request.json["FeedbackForwardingEmailAddress"] == "bounces@desk.example"
    # From is the header's; given here, it would need an identity of its own.
    assert "FromEmailAddress" not in request.json
    assert f"/{REGION}/ses/aws4_request" in request.headers["authorization"]
    assert "of the test" not in str(result.dialogue)


REFUSALS = {
    "MessageRejected": (400, 554, True),
    "MailFromDomainNotVerifiedException": (400, 554, True),
    "BadRequestException": (400, 554, True),
    "AccountSuspendedException": (400, 554, True),
    # An operator ends these, and then the same message goes.
    "SendingPausedException": (400, 451, False),
    "LimitExceededException": (400, 451, False),
    "AccessDeniedException": (403, 451, False),
    "UnrecognizedClientException": (403, 451, False),
    "InternalFailure": (500, 451, False),
    "ServiceUnavailable": (503, 451, False),
    # It answers, and would take other mail: nothing is said of the lane.
    "TooManyRequestsException": (429, 451, None),
}


async def test_what_each_refusal_means() -> None:
    errors = iter(REFUSALS)

    async def answer(request: Request) -> Said:
        error = next(errors)
        return Said.refused(REFUSALS[error][0], error, "Because of this.")

    async with amazons(answer) as amazon:
        ses = Ses(SesSettings(region=REGION, endpoint_url=amazon.endpoint_url, **KEYS))
        for error, (status, code, is_up) in REFUSALS.items():
            result = await ses.send(ENVELOPE, RAW)
            assert (reply_of(result)[0], result.is_up, result.taken) == (code, is_up, None), error
            assert f"{error}: Because of this." in str(result.reply)
            assert result.dialogue[-1] == f"S: {status} {error}: Because of this."
        await ses.close()
    # The queue repeats, not the client.
    assert len(amazon.requests) == len(REFUSALS)


@pytest.mark.parametrize("said", [Said(), Said(body=b"{")], ids=["cut off", "no JSON"])
async def test_an_answer_that_is_none_leaves_it_uncertain(said: Said) -> None:
    result, amazon = await answered(said)
    assert (result.reply, result.taken, result.is_up) == (None, None, False)
    assert len(amazon.requests) == 1


async def test_where_nobody_listens_nothing_was_sent() -> None:
    async def answer(request: Request) -> Said:
        return Said()

    async with amazons(answer) as amazon:
        pass
    result = await sent(amazon.endpoint_url)
    assert (reply_of(result), result.is_up) == ((451, "4.4.1"), False)


@pytest.mark.parametrize(
    ("region", "domain"),
    [("us-east-1", "email.amazonses.com"), ("eu-west-1", "eu-west-1.amazonses.com")],
)
async def test_the_region_is_in_the_message_id(region: str, domain: str) -> None:
    assert message_id_domain(region) == domain

    async def answer(request: Request) -> Said:
        return Said.taken("0100-1")

    async with amazons(answer) as amazon:
        result = await sent(amazon.endpoint_url, region)
    assert result.taken is not None
    assert result.taken.message_id == f"<0100-1@{domain}>"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is set where AWS SDKs look."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (SesSettings(region=REGION), "no credentials"),
        (SesSettings(**KEYS), "specify a region"),
        (SesSettings(region=REGION, endpoint_url="nowhere", **KEYS), "Invalid endpoint: nowhere"),
    ],
)
async def test_what_is_not_set_up_says_so_and_what_is_queued_waits(
    settings: SesSettings, reason: str
) -> None:
    ses = Ses(settings)
    with pytest.raises(SendingNotConfigured) as raised:
        await ses.ready()
    assert reason in (raised.value.details or "")
    assert reply_of(await ses.send(ENVELOPE, RAW)) == (451, "4.3.5")
    await ses.close()


@pytest.mark.usefixtures("bare")
async def test_credentials_that_come_later_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    ses = Ses(SesSettings(region=REGION))
    with pytest.raises(SendingNotConfigured):
        await ses.ready()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA_OF_THE_TEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the test")
    await ses.ready()
    await ses.ready()
    await ses.close()


async def test_a_missing_extra_takes_nothing() -> None:
    unusable = Unusable("Amazon SES", "there is no botocore")
    with pytest.raises(SendingNotConfigured) as raised:
        await unusable.ready()
    assert raised.value.details == "there is no botocore"
    assert reply_of(await unusable.send(ENVELOPE, RAW)) == (451, "4.3.5")
    await unusable.close()


@pytest.mark.parametrize("half", ["access_key_id", "secret_access_key"])
async def test_half_a_key_is_refused_and_the_secret_is_not_shown(half: str) -> None:
    with pytest.raises(ValidationError, match="belong together"):
        OutboundSettings.model_validate({"route": "ses", "ses": {half: "x"}})
    assert KEYS["secret_access_key"] not in repr(SesSettings(**KEYS))
