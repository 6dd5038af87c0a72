# SPDX-License-Identifier: Apache-2.0
"""Reads the dialogues of this folder, and runs them on the receiver; the README says their form."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rejoinder.message.address import Mailbox
from rejoinder.smtp.envelope import Envelope
from rejoinder.smtp.event import Event, Limits, MailReceived, RecipientOffered, SessionEnded
from rejoinder.smtp.grammar import write_path
from rejoinder.smtp.receiver import Receiver
from rejoinder.smtp.reply import Reply

FOLDER: Final = Path(__file__).parent
HOSTNAME: Final = "mx.example"
LIMITS: Final = Limits(max_size=100_000, max_bad_commands=14)


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A session: the client's octets, the beginnings of the server's lines, the mails."""

    client: bytes
    server: tuple[str, ...]
    mails: tuple[bytes, ...]
    envelopes: tuple[str, ...]


def dialogues() -> dict[str, Dialogue]:
    """Every dialogue of this folder by its name."""
    return {path.stem: read(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.txt"))}


def read(text: str) -> Dialogue:
    client, server, mails, envelopes = b"", [], [], []
    for line in text.splitlines():
        kind, rest = line[:2], line[3:]
        match kind:
            case "C:":
                client += rest.encode("ascii") + b"\r\n"
            case "C=":
                client += unescape(rest)
            case "S:":
                server.append(rest)
            case "M:":
                mails.append(unescape(rest))
            case "E:":
                envelopes.append(rest)
            case _:
                assert kind in {"# ", ""}, line
    return Dialogue(client, tuple(server), tuple(mails), tuple(envelopes))


def unescape(text: str) -> bytes:
    """Octets of a line with escapes."""
    assert not re.search(r"\\[^rn0xt\\]", text)
    return text.encode("ascii").decode("unicode_escape").encode("latin-1")


def show(envelope: Envelope) -> str:
    paths = " ".join(write_path(path) for path in envelope.forward_paths)
    return f"{write_path(envelope.reverse_path)} -> {paths}"


def judge_recipient(forward_path: Mailbox) -> Reply | None:
    return {
        "nobody": Reply(550, "5.1.1", ("no such mailbox",)),
        "later": Reply(450, "4.2.1", ("not now",)),
    }.get(forward_path.local_part)


def judge_content(raw: bytes) -> Reply | None:
    return Reply(550, "5.7.1", ("as you wish",)) if b"refuse me" in raw else None


def run(pieces: Iterable[bytes], limits: Limits = LIMITS) -> tuple[list[Event], bytes]:
    """Feed the pieces, decide as the README says, and close; the events and the server's octets."""
    receiver = Receiver(HOSTNAME, limits)
    events: list[Event] = []
    for piece in pieces:
        receiver.receive_data(piece)
        _decide(receiver, events)
    receiver.receive_eof()
    _decide(receiver, events)
    return events, receiver.data_to_send()


def _decide(receiver: Receiver, events: list[Event]) -> None:
    while (event := receiver.next_event()) is not None:
        events.append(event)
        if isinstance(event, RecipientOffered):
            receiver.answer(judge_recipient(event.forward_path))
        elif isinstance(event, MailReceived):
            receiver.answer(judge_content(event.raw))
        elif not isinstance(event, SessionEnded):
            receiver.answer(None)


def assert_server_said(dialogue: Dialogue, said: bytes) -> None:
    lines = said.decode("ascii").removesuffix("\r\n").split("\r\n")
    assert len(lines) == len(dialogue.server), lines
    for line, beginning in zip(lines, dialogue.server, strict=True):
        assert line.startswith(beginning)
