# SPDX-License-Identifier: Apache-2.0
"""Each dialogue holds however its octets arrive, on the machine alone and over a socket."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from rejoinder.clock import after
from rejoinder.clock.manual import ManualClock
from rejoinder.ingress.server import SmtpServer
from rejoinder.ingress.session import Client, Delivery
from rejoinder.ingress.settings import IngressSettings
from rejoinder.message.address import Mailbox
from rejoinder.smtp.event import ContentRefused, MailReceived, SessionEnded
from rejoinder.smtp.reply import Reply
from tests.dialogues.dialogue import (
    HOSTNAME,
    LIMITS,
    Dialogue,
    assert_server_said,
    dialogues,
    judge_content,
    judge_recipient,
    run,
    show,
)

DIALOGUES: Final = dialogues()
every_dialogue = pytest.mark.parametrize("dialogue", DIALOGUES.values(), ids=DIALOGUES.keys())


@every_dialogue
def test_the_receiver_says_its_part_fed_whole(dialogue: Dialogue) -> None:
    events, said = run([dialogue.client])
    assert_server_said(dialogue, said)
    mails = [event for event in events if isinstance(event, MailReceived)]
    assert tuple(mail.raw for mail in mails) == dialogue.mails
    assert not dialogue.envelopes or tuple(show(mail.envelope) for mail in mails) == dialogue.envelopes
    assert isinstance(events[-1], SessionEnded)


@every_dialogue
def test_octet_by_octet_is_the_same(dialogue: Dialogue) -> None:
    client = dialogue.client
    assert run(client[i : i + 1] for i in range(len(client))) == run([client])


@every_dialogue
def test_cut_at_any_position_is_the_same(dialogue: Dialogue) -> None:
    client = dialogue.client
    whole = run([client])
    for cut in range(1, len(client)):
        assert run([client[:cut], client[cut:]]) == whole


class _Handler:
    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.refusals: list[ContentRefused] = []

    def recipient(self, forward_path: Mailbox, reverse_path: Mailbox | None, client: Client) -> Reply | None:
        assert client.ip == "127.0.0.1"
        assert client.helo
        return judge_recipient(forward_path)

    async def accept(self, delivery: Delivery) -> Reply:
        self.deliveries.append(delivery)
        await asyncio.sleep(0)
        return judge_content(delivery.raw) or Reply(250, "2.0.0", ("taken",))

    async def refused(self, refusal: ContentRefused, client: Client) -> None:
        self.refusals.append(refusal)


@pytest.mark.anyio
@pytest.mark.parametrize("piece", [65536, 11], ids=["whole", "in pieces"])
@every_dialogue
async def test_the_server_says_the_same_over_a_socket(dialogue: Dialogue, piece: int) -> None:
    handler, clock = _Handler(), ManualClock()
    settings = IngressSettings(max_size=LIMITS.max_size, max_bad_commands=LIMITS.max_bad_commands)
    server = SmtpServer(settings, handler, clock, HOSTNAME)
    reader, writer = await asyncio.open_connection(*await server.start("127.0.0.1:0"))
    for start in range(0, len(dialogue.client), piece):
        writer.write(dialogue.client[start : start + piece])
        await asyncio.sleep(0)
    writer.write_eof()
    said = await reader.read()
    writer.close()
    await server.drain(after(clock.now(), 10))
    assert_server_said(dialogue, said)
    assert tuple(delivery.raw for delivery in handler.deliveries) == dialogue.mails
    events, _ = run([dialogue.client])
    assert handler.refusals == [event for event in events if isinstance(event, ContentRefused)]
    assert server.held == 0
