# SPDX-License-Identifier: Apache-2.0
"""What holds for all octets: pieces do not matter, content survives, only CRLF leaves, nothing raises."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rejoinder.errors import MessageError
from rejoinder.message.address import Mailbox
from rejoinder.smtp.data import ContentReader, has_bare_cr_or_lf, to_wire
from rejoinder.smtp.envelope import Envelope
from rejoinder.smtp.event import Event, Limits, MailReceived, RecipientOffered, SessionEnded
from rejoinder.smtp.grammar import read_rcpt, write_path
from rejoinder.smtp.receiver import Receiver
from rejoinder.smtp.reply import Reply, ReplyReader
from rejoinder.smtp.sender import Sender
from tests.dialogues.dialogue import dialogues, run

SAMPLES: Final = [dialogue.client for dialogue in dialogues().values()]
LIMITS: Final = Limits(max_size=2000, max_line=500, max_command=1024, max_recipients=100)

lines = st.lists(
    st.sampled_from([b"", b".", b"..", b".a", b"text", b"\xff\xfe", b"a.", b"x" * 120]), max_size=20
).map(lambda parts: b"".join(part + b"\r\n" for part in parts))
breaks = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a", b"\0", b"MAIL"]), max_size=30).map(
    b"".join
)
words = st.sampled_from(
    [
        b"EHLO c.example\r\n",
        b"HELO c\r\n",
        b"MAIL FROM:<a@c.example>\r\n",
        b"MAIL FROM:<> SIZE=12\r\n",
        b"RCPT TO:<b@desk.example>\r\n",
        b"RCPT TO:<nobody@desk.example>\r\n",
        b"DATA\r\n",
        b"RSET\r\n",
        b"QUIT\r\n",
        b".\r\n",
        b"\r\n.\r\n",
        b"\n.\n",
        b"\r.\r\n",
        b"x" * 1030,
        b"\r\n",
        b"\r",
        b"\n",
        b"\0",
        b" ",
        b"refuse me\r\n",
    ]
)
sessions = st.one_of(
    st.lists(words, max_size=25).map(b"".join),
    st.lists(words, max_size=20).map(
        lambda rest: b"HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@c>\r\nDATA\r\n" + b"".join(rest)
    ),
    st.sampled_from(SAMPLES),
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(sessions, st.lists(st.integers(0, 100_000), max_size=12))
def test_any_split_gives_the_same_events_and_replies(session: bytes, cuts: list[int]) -> None:
    assert run(pieces(session, cuts), LIMITS) == run([session], LIMITS)


@settings(max_examples=200)
@given(st.lists(st.one_of(st.binary(max_size=200), words), max_size=20))
def test_no_octets_make_the_receiver_raise_or_say_what_is_no_reply(blast: list[bytes]) -> None:
    events, said = run(blast, LIMITS)
    assert isinstance(events[-1], SessionEnded)
    reader = ReplyReader()
    reader.receive_data(said)
    while reader.next_reply() is not None:
        pass
    for event in events:
        if isinstance(event, MailReceived):
            assert not has_bare_cr_or_lf(event.raw)
            assert b"\0" not in event.raw


@settings(max_examples=200)
@given(st.lists(st.one_of(st.binary(max_size=100), st.sampled_from([b"250 x\r\n", b"250-", b"354 go\r\n"]))))
def test_no_octets_make_the_sender_raise(blast: list[bytes]) -> None:
    sender = Sender("c.example")
    for data in blast:
        sender.receive_data(data)
        while sender.data_to_send():
            pass
        if sender.waiting_for is None and not sender.is_closed:
            sender.send(Envelope(None, (Mailbox("a", "b.example"),)), b"x\r\n")
    sender.receive_eof()
    assert sender.is_closed


@given(lines, st.lists(st.integers(0, 100_000), max_size=8))
def test_dot_stuffing_comes_back_in_any_pieces(raw: bytes, cuts: list[int]) -> None:
    reader = ContentReader(100_000, 998)
    rests = [reader.receive_data(piece) for piece in pieces(to_wire(raw), cuts)]
    assert next(rest for rest in rests if rest is not None) == b""
    assert reader.result() == raw


@given(breaks)
def test_nothing_but_crlf_leaves(raw: bytes) -> None:
    try:
        wire = to_wire(raw)
    except MessageError:
        assert re.search(rb"\r(?!\n)|(?<!\r)\n", raw)
        return
    assert not has_bare_cr_or_lf(wire)
    assert (b"\r\n" + wire).find(b"\r\n.\r\n") == len(wire) - 3


mailboxes = st.builds(
    Mailbox,
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
    st.sampled_from(["b.example", "[192.0.2.1]", "x-y.example"]),
)


@given(mailboxes)
def test_a_path_written_is_the_path_read(mailbox: Mailbox) -> None:
    assert read_rcpt(f"TO:{write_path(mailbox)}") == mailbox


@given(
    st.lists(mailboxes, min_size=1, max_size=5, unique=True),
    lines,
    st.booleans(),
    st.lists(st.sampled_from([None, 450, 550]), min_size=5, max_size=5),
)
def test_what_the_sender_says_the_receiver_hears(
    paths: list[Mailbox], raw: bytes, has_pipelining: bool, verdicts: list[int | None]
) -> None:
    receiver, sender = Receiver("mx.example", Limits()), Sender("c.example")
    mails: list[MailReceived] = []
    envelope = Envelope(paths[0], tuple(paths))
    to_send = [envelope, envelope]
    while True:
        heard = receiver.data_to_send()
        sender.receive_data(heard if has_pipelining else heard.replace(b"PIPELINING", b"X-NOTHING"))
        if sender.waiting_for is None:
            if not to_send:
                break
            sender.send(to_send.pop(), raw)
        while block := sender.data_to_send():
            receiver.receive_data(bytes(block))
        mails += decide(receiver, dict(zip(paths, verdicts, strict=False)))
    accepted = tuple(path for path, verdict in zip(paths, verdicts, strict=False) if verdict is None)
    assert [mail.raw for mail in mails] == ([raw, raw] if accepted else [])
    assert all(mail.envelope.forward_paths == accepted for mail in mails)
    for outcome, verdict in zip(sender.outcomes, verdicts, strict=False):
        assert outcome.reply is not None
        assert outcome.reply.code == (verdict or 250)


def decide(receiver: Receiver, verdicts: dict[Mailbox, int | None]) -> list[MailReceived]:
    mails = []
    event: Event | None
    while (event := receiver.next_event()) is not None:
        code = verdicts[event.forward_path] if isinstance(event, RecipientOffered) else None
        receiver.answer(Reply(code, None, ("no",)) if code else None)
        if isinstance(event, MailReceived):
            mails.append(event)
    return mails


def test_sessions_that_broke_others_break_nothing(corpora: Path) -> None:
    seeds = sorted((corpora / "smtp" / "chasquid-fuzz-seeds").glob("*.txt"))
    assert seeds
    for seed in seeds:
        data = seed.read_bytes()
        for session in (data, re.sub(rb"\r?\n", b"\r\n", data)):
            whole = run([session])
            assert run([session[i : i + 1] for i in range(len(session))]) == whole
            assert isinstance(whole[0][-1], SessionEnded)


@pytest.mark.parametrize("piece", [1, 7])
def test_many_small_pieces_cost_no_more_than_their_octets(piece: int) -> None:
    content = b"x" * 76 + b"\r\n"
    session = b"HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@c>\r\nDATA\r\n" + content * 400 + b".\r\n"
    events, _ = run(session[i : i + piece] for i in range(0, len(session), piece))
    assert any(isinstance(event, MailReceived) and event.raw == content * 400 for event in events)
