# SPDX-License-Identifier: Apache-2.0
"""What the dialogues do not reach: limits, deciding late, draining, and the table itself."""

from __future__ import annotations

import tracemalloc

import pytest

from rejoinder.message.address import Mailbox
from rejoinder.smtp.envelope import Envelope
from rejoinder.smtp.event import (
    ContentOffered,
    ContentRefused,
    Event,
    Limits,
    MailReceived,
    RecipientOffered,
    SessionEnded,
)
from rejoinder.smtp.receiver import DRAINING, END, TRANSITIONS, Receiver, State
from rejoinder.smtp.reply import Reply

OPENING = b"EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n"
UP_TO_DATA = OPENING + b"RCPT TO:<b@desk.example>\r\nDATA\r\n"
FULL = Reply(452, "4.3.1", ("full",))


def fed(data: bytes, limits: Limits | None = None) -> Receiver:
    """A receiver that was fed and agreed with everything up to the end of content."""
    receiver = Receiver("mx.example", limits or Limits())
    receiver.receive_data(data)
    return receiver


def agree(receiver: Receiver) -> list[Event]:
    events = []
    while (event := receiver.next_event()) is not None:
        events.append(event)
        if isinstance(event, RecipientOffered | ContentOffered | ContentRefused):
            receiver.answer(None)
    return events


def codes(receiver: Receiver) -> list[str]:
    """The replies so far, without continuation lines."""
    lines = receiver.data_to_send().decode("ascii").split("\r\n")
    return [line[:3] for line in lines if line[3:4] == " "]


def test_the_table_leads_everywhere_and_out_again() -> None:
    reached = {state for row in TRANSITIONS.values() for state in row.values()}
    assert reached == set(State)
    for state in set(State) - {State.CONTENT, State.CLOSED}:
        assert TRANSITIONS[state]["QUIT"] is State.CLOSED
    assert TRANSITIONS[State.CONTENT] == {END: State.READY}


def test_the_greeting_is_there_from_the_start() -> None:
    receiver = fed(b"")
    assert receiver.data_to_send() == b"220 mx.example ESMTP\r\n"
    assert receiver.data_to_send() == b""
    assert receiver.next_event() is None
    assert receiver.helo is None
    assert receiver.state is State.NEW


def test_ehlo_and_helo_are_told_apart() -> None:
    receiver = fed(b"EHLO c.example\r\n")
    agree(receiver)
    assert (receiver.helo, receiver.esmtp) == ("c.example", True)
    receiver.receive_data(b"HELO d.example\r\n")
    agree(receiver)
    assert (receiver.helo, receiver.esmtp) == ("d.example", False)


def test_pipelined_input_waits_for_the_decision() -> None:
    receiver = fed(OPENING + b"RCPT TO:<b@desk.example>\r\nRCPT TO:<c@desk.example>\r\nNOOP\r\n")
    first = RecipientOffered(Mailbox("b", "desk.example"), Mailbox("a", "c.example"))
    assert receiver.next_event() == first
    assert receiver.is_undecided
    assert receiver.next_event() is None
    assert codes(receiver) == ["220", "250", "250"]
    receiver.answer(Reply(550, "5.1.1", ("no",)))
    second = receiver.next_event()
    assert isinstance(second, RecipientOffered)
    assert codes(receiver) == ["550"]
    receiver.answer(None)
    assert receiver.next_event() is None
    assert codes(receiver) == ["250", "250"]


def test_a_mail_comes_with_its_envelope_and_transcript() -> None:
    receiver = fed(UP_TO_DATA + b"x\r\n.\r\n")
    offered, content, mail = agree(receiver)
    assert isinstance(offered, RecipientOffered)
    envelope = Envelope(Mailbox("a", "c.example"), (Mailbox("b", "desk.example"),))
    assert content == ContentOffered(envelope)
    assert isinstance(mail, MailReceived)
    assert (mail.envelope, mail.raw) == (envelope, b"x\r\n")
    assert mail.transcript[0] == "S: 220 mx.example ESMTP"
    assert mail.transcript[-5:] == (
        "C: RCPT TO:<b@desk.example>",
        "S: 250 2.1.5 recipient taken",
        "C: DATA",
        "S: 354 send the content, end it with <CRLF>.<CRLF>",
        "C: (3 octets)",
    )
    assert receiver.held == 3
    receiver.answer(None)
    assert receiver.held == 0
    assert receiver.transcript[-1] == "S: 250 2.0.0 message taken"


def test_refused_data_keeps_the_transaction() -> None:
    receiver = fed(UP_TO_DATA)
    receiver.next_event()
    receiver.answer(None)
    assert isinstance(receiver.next_event(), ContentOffered)
    receiver.answer(FULL)
    assert receiver.state is State.RCPT
    receiver.receive_data(b"DATA\r\n")
    assert isinstance(receiver.next_event(), ContentOffered)


def test_content_can_be_refused_while_it_comes() -> None:
    receiver = fed(UP_TO_DATA + b"x" * 1000)
    agree(receiver)
    assert receiver.held > 1000
    receiver.refuse_content(FULL)
    assert receiver.held < 10
    receiver.receive_data(b"\r\n.\r\n")
    (refused,) = agree(receiver)
    assert isinstance(refused, ContentRefused)
    assert (refused.reply, refused.size) == (FULL, 1002)
    assert codes(receiver)[-1] == "452"
    receiver.refuse_content(FULL)
    assert receiver.state is State.READY


def test_a_421_from_the_caller_closes() -> None:
    receiver = fed(OPENING + b"RCPT TO:<b@desk.example>\r\nNOOP\r\n")
    receiver.next_event()
    receiver.answer(Reply(421, "4.3.0", ("bye",)))
    assert receiver.next_event() == SessionEnded("closed")
    assert receiver.next_event() is None
    assert codes(receiver)[-1] == "421"


def test_an_answer_to_nothing_does_nothing() -> None:
    receiver = fed(b"")
    receiver.answer(None)
    assert codes(receiver) == ["220"]


def test_draining_ends_a_session_at_rest_at_once() -> None:
    for data in (b"", OPENING, b"NOOP\r\nNO"):
        receiver = fed(data)
        agree(receiver)
        receiver.drain()
        assert agree(receiver) == [SessionEnded("closed")]
        assert receiver.transcript[-1] == "S: " + DRAINING.to_lines()[0]


def test_draining_waits_for_content_and_its_decision() -> None:
    receiver = fed(UP_TO_DATA)
    agree(receiver)
    receiver.drain()
    receiver.receive_data(b"x\r\n.\r\nNOOP\r\n")
    (mail,) = agree(receiver)
    assert isinstance(mail, MailReceived)
    receiver.drain()
    assert agree(receiver) == []
    receiver.answer(None)
    assert codes(receiver)[-2:] == ["250", "421"]
    assert agree(receiver) == [SessionEnded("closed")]


def test_draining_a_closed_session_says_nothing_more() -> None:
    receiver = fed(b"QUIT\r\n")
    assert agree(receiver) == [SessionEnded("quit")]
    receiver.drain()
    assert codes(receiver) == ["220", "221"]
    assert agree(receiver) == []


def test_a_decision_after_the_end_of_the_session_is_ignored() -> None:
    receiver = fed(UP_TO_DATA + b"x\r\n.\r\n")
    agree(receiver)
    receiver.data_to_send()
    receiver.abandon()
    assert receiver.held == 3
    receiver.answer(None)
    assert receiver.held == 0
    assert receiver.data_to_send() == b""


def test_what_was_sent_before_eof_is_obeyed() -> None:
    receiver = fed(UP_TO_DATA + b"x\r\n.\r\n")
    receiver.receive_eof()
    assert isinstance(agree(receiver)[-1], MailReceived)
    receiver.answer(None)
    assert agree(receiver) == [SessionEnded("lost")]
    assert codes(receiver)[-1] == "250"


def test_a_command_of_a_megabyte_costs_no_memory_and_one_refusal() -> None:
    receiver = fed(b"")
    tracemalloc.start()
    for _ in range(1024):
        receiver.receive_data(b"x" * 1024)
        assert receiver.next_event() is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64_000
    receiver.receive_data(b"\r\nNOOP\r\n")
    assert receiver.next_event() is None
    assert codes(receiver) == ["220", "500", "250"]


def test_the_longest_command_is_taken_and_one_octet_more_is_not() -> None:
    limits = Limits(max_command=1024)
    fits = b"NOOP " + b"x" * (1024 - 7) + b"\r\n"
    assert len(fits) == 1024
    for step in (1, 1024):
        receiver = fed(b"", limits)
        data = fits + b"x" + fits + fits
        for start in range(0, len(data), step):
            receiver.receive_data(data[start : start + step])
            agree(receiver)
        assert codes(receiver) == ["220", "250", "500", "250"]


def test_recipients_beyond_the_limit_are_put_off() -> None:
    receiver = fed(OPENING + b"".join(b"RCPT TO:<u%d@desk.example>\r\n" % i for i in range(10_000)))
    assert len(agree(receiver)) == 100
    said = codes(receiver)
    assert said.count("250") == 2 + 100
    assert said.count("452") == 9_900
    receiver.receive_data(b"RCPT TO:<u7@desk.example>\r\nDATA\r\nx\r\n.\r\n")
    mail = agree(receiver)[-1]
    assert isinstance(mail, MailReceived)
    assert len(mail.envelope.forward_paths) == 100
    assert len(mail.transcript) < 600


def test_commands_without_a_mail_are_counted() -> None:
    limits = Limits(max_commands=10)
    receiver = fed(b"NOOP\r\n" * 6 + UP_TO_DATA + b".\r\n", limits)
    agree(receiver)
    receiver.answer(None)
    receiver.receive_data(b"NOOP\r\n" * 20)
    assert agree(receiver) == [SessionEnded("closed")]
    assert codes(receiver)[-11:] == ["250"] * 10 + ["421"]


@pytest.mark.parametrize("garbage", [b"\0" * 100, b"\r" * 100, b"\n" * 100, b"\xff\xfe\r\n"])
def test_garbage_is_refused_or_waited_out(garbage: bytes) -> None:
    receiver = fed(garbage + b"\r\nNOOP\r\n")
    assert agree(receiver) == []
    assert set(codes(receiver)) <= {"220", "500", "250"}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"HELO d.example", "250"),
        (b"NOOP", "250"),
        (b"VRFY a", "252"),
        (b"VRFY", "501"),
        (b"RSET now", "501"),
        (b"MAIL FROM:<a@c.example>", "503"),
        (b"RCPT TO:<a@>", "501"),
        (b"RCPT TO:a@c.example", "501"),
        (b"EXPN a", "502"),
        (b"XYZZY", "500"),
        (b"GET / HTTP/1.0", "421"),
    ],
)
def test_a_command_in_a_transaction_has_its_answer(line: bytes, code: str) -> None:
    receiver = fed(OPENING + line + b"\r\n")
    agree(receiver)
    assert codes(receiver)[-1] == code


def test_a_reverse_path_has_its_own_enhanced_code() -> None:
    receiver = fed(b"HELO c.example\r\nMAIL FROM:<a@>\r\nMAIL FROM:<a@c.example> SIZE=99999999\r\n")
    agree(receiver)
    assert b"\r\n501 5.1.7 " in receiver.data_to_send()
    assert receiver.transcript[-1].startswith("S: 552 5.3.4")


def test_too_many_errors_end_the_session() -> None:
    receiver = fed(b"XYZZY\r\n" * 30)
    assert agree(receiver) == [SessionEnded("closed")]
    assert codes(receiver) == ["220"] + ["500"] * 19 + ["421"]


BARE_LF = UP_TO_DATA + b"a\nb\r\n.\r\n"


def test_refused_content_is_told_with_all_that_is_known() -> None:
    refused = agree(fed(BARE_LF))[-1]
    assert isinstance(refused, ContentRefused)
    assert refused.envelope == Envelope(Mailbox("a", "c.example"), (Mailbox("b", "desk.example"),))
    assert (refused.reply.code, refused.reply.enhanced, refused.size) == (550, "5.6.0", 5)
    assert refused.transcript[-1] == "C: (5 octets)"


def test_what_is_refused_waits_for_the_caller_who_cannot_change_it() -> None:
    receiver = fed(BARE_LF + b"NOOP\r\n")
    for _ in range(2):
        receiver.next_event()
        receiver.answer(None)
    assert isinstance(receiver.next_event(), ContentRefused)
    assert receiver.next_event() is None
    receiver.answer(Reply(250, "2.0.0", ("why not",)))
    assert agree(receiver) == []
    assert codes(receiver)[-3:] == ["354", "550", "250"]


def test_a_size_beyond_the_limit_is_told_before_any_recipient_is_known() -> None:
    receiver = fed(b"HELO c.example\r\nMAIL FROM:<a@c.example> SIZE=99999999\r\nRCPT TO:<b@desk.example>\r\n")
    (refused,) = agree(receiver)
    assert isinstance(refused, ContentRefused)
    assert refused.envelope == Envelope(Mailbox("a", "c.example"), (), 99999999)
    assert (refused.reply.code, refused.size) == (552, 0)
    assert codes(receiver)[-2:] == ["552", "503"]
    assert receiver.transactions == 0


def test_transactions_are_counted() -> None:
    receiver = fed(OPENING + b"RSET\r\nMAIL FROM:<>\r\nMAIL FROM:<>\r\n")
    agree(receiver)
    assert receiver.transactions == 2


def test_refused_content_ends_the_transaction() -> None:
    receiver = fed(BARE_LF)
    agree(receiver)
    assert codes(receiver)[-1] == "550"
    assert receiver.state is State.READY
    assert receiver.held == 0
