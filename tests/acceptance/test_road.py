# SPDX-License-Identifier: Apache-2.0
"""The road: a mail comes in over SMTP, a worker answers in the thread, the answer leaves signed."""

from __future__ import annotations

import pytest

from rejoinder.message.headers import split
from tests.acceptance.house import SUPPORT, Open

pytestmark = pytest.mark.anyio


async def test_a_signed_mail_is_answered_in_its_thread(open_house: Open) -> None:
    house = await open_house()
    raw = house.alice.write(SUPPORT, "The printer is on fire", "Please help.")
    result = await house.send(raw)
    assert [str(each.reply) for each in result.outcomes] == ["250 2.0.0 Ok"]
    answer = await house.sink.next()
    original, _ = split(raw)
    headers, _ = split(answer.raw)
    assert headers.get("In-Reply-To") == original.get("Message-ID")
    assert headers.get("References") == original.get("Message-ID")
    assert headers.get("Subject") == "Re: The printer is on fire"
    assert headers.get("Auto-Submitted") == "auto-replied"
    assert headers.get("DKIM-Signature") is not None
    assert answer.envelope.reverse_path is None
