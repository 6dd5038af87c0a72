# SPDX-License-Identifier: Apache-2.0
"""The sender against a server whose every line is written here."""

from __future__ import annotations

import pytest

from rejoinder.errors import MessageError
from rejoinder.message.address import Mailbox
from rejoinder.smtp.envelope import Envelope
from rejoinder.smtp.reply import Reply
from rejoinder.smtp.sender import BLOCK, Sender

A, B, C = (Mailbox(name, "desk.example") for name in "abc")
SENDER = Mailbox("me", "c.example")
ONE = Envelope(SENDER, (A,))
THREE = Envelope(SENDER, (A, B, C))
RAW = b"x\r\n"
PLAIN = "250 mx.example"
PIPELINING = "250-mx.example|250-PIPELINING|250-SIZE 1000000|250 8BITMIME"


def said(sender: Sender) -> str:
    """Everything the sender has to say now, CRLF as |."""
    data = b""
    while block := sender.data_to_send():
        data += block
    return data.decode("latin-1").replace("\r\n", "|")


def hears(sender: Sender, *replies: str) -> str:
    """What the sender says when it hears these one after the other, each told octet by octet."""
    words = ""
    for reply in replies:
        for octet in f"{reply}|".replace("|", "\r\n").encode():
            sender.receive_data(bytes([octet]))
        words += said(sender)
    return words


def waits(sender: Sender) -> str | None:
    return sender.waiting_for


def ready(ehlo: str = PIPELINING) -> Sender:
    sender = Sender("c.example")
    assert waits(sender) == "greeting"
    assert hears(sender, "220 mx.example ESMTP") == "EHLO c.example|"
    assert waits(sender) == "hello"
    assert hears(sender, ehlo) == ""
    assert waits(sender) is None
    assert not sender.is_closed
    return sender


def answers(sender: Sender) -> list[tuple[str, int | None, str]]:
    return [
        (outcome.forward_path.local_part, outcome.reply.code if outcome.reply else None, outcome.stage)
        for outcome in sender.outcomes
    ]


def test_with_pipelining_the_whole_envelope_goes_out_at_once() -> None:
    sender = ready()
    sender.send(THREE, RAW)
    assert said(sender) == (
        "MAIL FROM:<me@c.example> SIZE=3|RCPT TO:<a@desk.example>|RCPT TO:<b@desk.example>"
        "|RCPT TO:<c@desk.example>|DATA|"
    )
    assert waits(sender) == "mail"
    assert hears(sender, "250 2.1.0 ok", "250 2.1.5 ok", "550 5.1.1 no such", "450 4.2.1 later") == ""
    assert waits(sender) == "data"
    assert hears(sender, "354 go") == "x|.|"
    assert (waits(sender), sender.is_uncertain) == ("content", True)
    assert hears(sender, "250 2.0.0 taken") == ""
    assert (waits(sender), sender.is_uncertain) == (None, False)
    assert answers(sender) == [("a", 250, "content"), ("b", 550, "rcpt"), ("c", 450, "rcpt")]
    assert sender.outcomes[1].reply == Reply(550, "5.1.1", ("no such",))
    assert sender.replies == 6
    assert sender.dialogue[-3:] == ("S: 354 go", "C: (3 octets)", "S: 250 2.0.0 taken")


def test_without_pipelining_one_question_follows_the_other() -> None:
    sender = ready(PLAIN)
    sender.send(Envelope(None, (A, B)), b".x")
    assert said(sender) == "MAIL FROM:<>|"
    assert hears(sender, "250 ok") == "RCPT TO:<a@desk.example>|"
    assert hears(sender, "251 forwarding") == "RCPT TO:<b@desk.example>|"
    assert hears(sender, "550 no") == "DATA|"
    assert hears(sender, "354 go") == "..x|.|"
    assert hears(sender, "554 5.7.1 no") == ""
    assert answers(sender) == [("a", 554, "content"), ("b", 550, "rcpt")]


def test_without_pipelining_data_is_not_said_for_nobody() -> None:
    sender = ready(PLAIN)
    sender.send(ONE, RAW)
    said(sender)
    hears(sender, "250 ok")
    assert hears(sender, "550 no") == ""
    assert waits(sender) is None
    assert answers(sender) == [("a", 550, "rcpt")]
    sender.send(ONE, RAW)
    assert said(sender) == "RSET|"
    assert hears(sender, "250 ok") == "MAIL FROM:<me@c.example>|"


def test_a_second_mail_needs_no_reset_after_a_good_one() -> None:
    sender = ready()
    for _ in range(2):
        sender.send(ONE, RAW)
        assert said(sender).startswith("MAIL")
        hears(sender, "250 a", "250 b", "354 c", "250 d")
        assert answers(sender) == [("a", 250, "content")]
    assert sum(line.startswith("C: EHLO") for line in sender.dialogue) == 1
    assert sum(line.startswith("C: MAIL") for line in sender.dialogue) == 1


def test_a_refused_mail_answers_for_all() -> None:
    sender = ready()
    sender.send(THREE, RAW)
    said(sender)
    assert hears(sender, "451 4.7.1 greylisted", "503 a", "503 b", "503 c", "503 d") == ""
    assert answers(sender) == [("a", 451, "mail"), ("b", 451, "mail"), ("c", 451, "mail")]
    sender.send(ONE, RAW)
    assert said(sender).startswith("RSET|MAIL")
    hears(sender, "250 r", "250 a", "250 b", "354 c", "250 d")
    assert answers(sender) == [("a", 250, "content")]


def test_a_refused_mail_is_the_end_without_pipelining() -> None:
    sender = ready(PLAIN)
    sender.send(THREE, RAW)
    said(sender)
    assert hears(sender, "550 5.7.1 not you") == ""
    assert waits(sender) is None
    assert {code for _, code, _ in answers(sender)} == {550}


def test_refused_data_answers_for_those_not_yet_refused() -> None:
    sender = ready()
    sender.send(THREE, RAW)
    said(sender)
    assert hears(sender, "250 a", "250 b", "550 c", "250 d", "452 4.3.1 full") == ""
    assert answers(sender) == [("a", 452, "data"), ("b", 550, "rcpt"), ("c", 452, "data")]


def test_a_lone_dot_follows_354_if_everybody_was_refused() -> None:
    sender = ready()
    sender.send(ONE, b"secret\r\n")
    said(sender)
    assert hears(sender, "250 a", "550 b", "354 go") == ".|"
    assert waits(sender) == "content"
    assert not sender.is_uncertain
    # Even if the server takes the empty message, nobody got anything.
    assert hears(sender, "250 took it") == ""
    assert answers(sender) == [("a", 550, "rcpt")]


def test_helo_is_said_if_ehlo_is_unknown() -> None:
    sender = Sender("c.example")
    assert hears(sender, "220 old") == "EHLO c.example|"
    assert hears(sender, "502 what") == "HELO c.example|"
    hears(sender, "250 old")
    sender.send(ONE, RAW)
    assert said(sender) == "MAIL FROM:<me@c.example>|"


@pytest.mark.parametrize(
    ("replies", "code", "stage"),
    [
        (["554 5.7.1 not you"], 554, "greeting"),
        (["421 4.3.2 busy"], 421, "greeting"),
        (["220 hi", "451 later"], 451, "hello"),
        (["220 hi", "421 bye"], 421, "hello"),
        (["220 hi", "500 what", "550 not you"], 550, "hello"),
    ],
)
def test_a_session_can_be_refused(replies: list[str], code: int, stage: str) -> None:
    sender = Sender("c.example")
    hears(sender, *replies)
    assert sender.is_closed
    assert sender.refusal is not None
    assert (sender.refusal[0].code, sender.refusal[1]) == (code, stage)


@pytest.mark.parametrize(
    ("raw", "ehlo", "code", "enhanced"),
    [
        ("é\r\n".encode(), PLAIN, 554, "5.6.3"),
        (b"x" * 101, "250-mx|250 SIZE 100", 552, "5.3.4"),
    ],
)
def test_what_this_server_cannot_take_is_answered_here(
    raw: bytes, ehlo: str, code: int, enhanced: str
) -> None:
    sender = ready(ehlo)
    sender.send(THREE, raw)
    assert waits(sender) is None
    assert said(sender) == ""
    assert answers(sender) == [(name, code, "unsent") for name in "abc"]
    assert sender.outcomes[0].reply is not None
    assert sender.outcomes[0].reply.enhanced == enhanced
    sender.send(ONE, RAW)
    assert said(sender).startswith("MAIL")


@pytest.mark.parametrize("ehlo", ["250-mx|250 SIZE", "250-mx|250 SIZE 0", "250-mx|250 SIZE lots", PLAIN])
def test_a_size_that_is_no_limit_is_none(ehlo: str) -> None:
    sender = ready(ehlo)
    sender.send(ONE, b"x" * 1000)
    assert said(sender).startswith("MAIL")


def test_eight_bit_content_is_declared_where_that_was_offered() -> None:
    sender = ready()
    sender.send(ONE, b"\xff\r\n")
    assert said(sender).startswith("MAIL FROM:<me@c.example> SIZE=3 BODY=8BITMIME|")


def test_addresses_beyond_ascii_are_answered_here_one_by_one() -> None:
    sender = ready()
    sender.send(Envelope(SENDER, (Mailbox("é", "b.example"), A)), RAW)
    assert said(sender).count("RCPT") == 1
    hears(sender, "250 a", "250 b", "354 c", "250 d")
    assert answers(sender) == [("é", 553, "unsent"), ("a", 250, "content")]
    sender.send(Envelope(SENDER, (Mailbox("é", "b.example"),)), RAW)
    assert waits(sender) is None
    assert answers(sender) == [("é", 553, "unsent")]
    sender.send(Envelope(Mailbox("é", "b.example"), (A,)), RAW)
    assert answers(sender) == [("a", 553, "unsent")]


def test_a_bare_lf_never_leaves() -> None:
    sender = ready()
    with pytest.raises(MessageError):
        sender.send(ONE, b"a\n.\nMAIL FROM:<x@y.example>\r\n")
    assert said(sender) == ""
    assert waits(sender) is None


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        # At MAIL, at the second RCPT, at DATA: 421 answers for everybody not yet refused.
        (["421 bye"], [421, 421, 421]),
        (["250 a", "550 b", "421 bye"], [550, 421, 421]),
        (["250 a", "250 b", "250 c", "250 d", "421 bye"], [421, 421, 421]),
        (["250 a", "250 b", "550 c", "250 d", "354 go", "421 bye"], [421, 550, 421]),
    ],
)
def test_421_answers_what_is_open_and_closes(replies: list[str], expected: list[int]) -> None:
    sender = ready()
    sender.send(THREE, RAW)
    said(sender)
    for reply in replies:
        hears(sender, reply)
    assert [code for _, code, _ in answers(sender)] == expected
    assert sender.is_closed
    assert waits(sender) is None


def test_lost_before_the_dot_is_certain_and_after_it_is_not() -> None:
    sender = ready()
    sender.send(ONE, b"x" * BLOCK + b"\r\n")
    said(sender)
    sender.receive_data(b"250 a\r\n250 b\r\n354 c\r\n")
    assert len(sender.data_to_send()) == BLOCK
    sender.receive_eof()
    assert not sender.is_uncertain
    assert answers(sender) == [("a", None, "content")]

    sender = ready()
    sender.send(ONE, b"x" * BLOCK + b"\r\n")
    said(sender)
    assert len(hears(sender, "250 a", "250 b", "354 c")) == BLOCK + 3
    sender.receive_eof()
    assert sender.is_uncertain
    assert sender.is_closed


def test_lost_in_the_envelope_names_the_question() -> None:
    sender = ready()
    sender.send(THREE, RAW)
    said(sender)
    hears(sender, "250 a", "550 b")
    sender.receive_eof()
    assert answers(sender) == [("a", 550, "rcpt"), ("b", None, "rcpt"), ("c", None, "rcpt")]
    assert said(sender) == ""


@pytest.mark.parametrize("reply", ["250 ok", "220 hi", "hello"])
def test_a_reply_of_the_wrong_class_is_no_delivery(reply: str) -> None:
    sender = ready()
    sender.send(ONE, RAW)
    said(sender)
    hears(sender, "250 a", "250 b", reply)
    assert sender.is_closed
    assert answers(sender) == [("a", None, "data")]
    assert sender.dialogue[-1].startswith("(")


def test_a_message_refused_half_way_ends_the_session() -> None:
    sender = ready()
    sender.send(ONE, b"x" * 2 * BLOCK)
    said(sender)
    sender.receive_data(b"250 a\r\n250 b\r\n354 c\r\n")
    sender.data_to_send()
    sender.receive_data(b"552 5.3.4 enough\r\n")
    assert sender.is_closed
    assert not sender.data_to_send()
    assert answers(sender) == [("a", 552, "content")]


def test_a_message_taken_half_way_is_not_taken() -> None:
    sender = ready()
    sender.send(ONE, b"x" * 2 * BLOCK)
    said(sender)
    sender.receive_data(b"250 a\r\n250 b\r\n354 c\r\n")
    sender.data_to_send()
    sender.receive_data(b"250 thanks\r\n")
    assert sender.is_closed
    assert answers(sender) == [("a", None, "content")]
    assert not sender.is_uncertain


def test_a_reset_that_is_refused_ends_the_session() -> None:
    sender = ready()
    sender.send(ONE, RAW)
    said(sender)
    hears(sender, "550 a", "503 b", "503 c")
    sender.send(ONE, RAW)
    said(sender)
    hears(sender, "500 what")
    assert sender.is_closed
    assert answers(sender) == [("a", None, "reset")]


def test_unasked_words_end_the_session() -> None:
    sender = ready()
    sender.receive_data(b"421 4.4.2 idle\r\n250 x\r\n")
    assert sender.is_closed
    assert sender.outcomes == ()
    sender.quit()
    assert said(sender) == ""


def test_quit_is_said_once_and_answered() -> None:
    sender = ready()
    sender.quit()
    assert said(sender) == "QUIT|"
    assert waits(sender) == "quit"
    hears(sender, "221 bye")
    assert sender.is_closed


def test_eof_at_rest_closes_quietly() -> None:
    sender = ready()
    sender.receive_eof()
    assert sender.is_closed
    assert not sender.is_uncertain
