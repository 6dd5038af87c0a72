# SPDX-License-Identifier: Apache-2.0
"""The example that the demonstration runs, in a real child."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rejoinder.errors import ReplyToAutomaticMail
from rejoinder.message.parse import parse
from rejoinder.runtime.values import Ending
from tests.acceptance.worker_rig import Judge, RawMail, mail, worker

pytestmark = pytest.mark.anyio

EXAMPLE = Path(__file__).parents[2] / "examples" / "ticket_autoresponder.py"
FIRST = b"Message-ID: <one@customer.example>\r\nSubject: Fire\r\n\r\nThe printer is on fire.\r\n"
SECOND = (
    b"Message-ID: <two@customer.example>\r\nIn-Reply-To: <1@desk.example>\r\n"
    b"References: <one@customer.example>\r\n <1@desk.example>\r\nSubject: Re: Fire\r\n\r\nStill.\r\n"
)
OTHER = b"Subject: Water\r\n\r\nThe tap drips.\r\n"


async def test_a_thread_keeps_its_ticket_and_another_mail_has_another(tmp_path: Path) -> None:
    judge = Judge()
    async with worker(tmp_path, EXAMPLE.read_text(encoding="utf-8")) as rig:
        for raw in (FIRST, SECOND, OTHER):
            assert (await rig.run(mail(RawMail(raw)), judge)).ending is Ending.NORMAL
    tickets = []
    for action in judge.replies:
        assert (action.from_, action.to) == ("support@desk.example", "ann@customer.example")
        assert action.raw is not None
        answer = parse(action.raw)
        assert answer.headers.get("From") == "Thank you for your contact <support@desk.example>"
        found = re.fullmatch(
            r"We got your message, your ticket number is ([0-9A-F]{8})\s*", answer.text or ""
        )
        assert found
        tickets.append(found[1])
    first, second, other = tickets
    assert first == second != other


async def test_a_refused_answer_is_told_in_the_log(tmp_path: Path) -> None:
    async with worker(tmp_path, EXAMPLE.read_text(encoding="utf-8")) as rig:
        ended = await rig.run(mail(RawMail(FIRST)), Judge(ReplyToAutomaticMail))
    assert ended.ending is Ending.NORMAL
    assert re.fullmatch(r"ticket [0-9A-F]{8} not answered: reply-to-automatic-mail\n", ended.log)
