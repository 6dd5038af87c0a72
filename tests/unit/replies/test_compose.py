# SPDX-License-Identifier: Apache-2.0
"""What a worker's text or message becomes before it leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rejoinder.errors import ReplyInvalid, ReplyRefused, ReplySenderDomainMismatch, ReplyThreading
from rejoinder.message.address import Mailbox
from rejoinder.message.headers import Headers, split
from rejoinder.message.thread import msg_ids
from rejoinder.replies.compose import Message, Reply, Text, compose_reply, propose
from rejoinder.replies.original import Original
from rejoinder.replies.rules import Proposal
from tests.unit.replies.originals import ALICE, NOW, ORIGINAL, OUR_ID, SUPPORT, with_headers, with_more

THREADED = with_more("References: <a@customer.example> <b@customer.example>\r\n")
BARE = "From: support@desk.example\r\n"


def composed(
    content: Text | Message | str = "We are on it.", original: Original = ORIGINAL
) -> tuple[Reply, Headers, bytes]:
    """The reply, its header and its body; a text beginning with From is a whole message."""
    if isinstance(content, str):
        content = Message(content.encode()) if content.startswith(("From", "X-")) else Text(content)
    reply = compose_reply(original, content, recipient=ALICE, message_id=OUR_ID, now=NOW)
    headers, body = split(reply.raw)
    return reply, headers, reply.raw[body:]


def refused(content: str | Message, original: Original = ORIGINAL) -> ReplyRefused:
    message = content if isinstance(content, Message) else Message(content.encode())
    try:
        propose(original, message)
        compose_reply(original, message, recipient=ALICE, message_id=OUR_ID, now=NOW)
    except ReplyRefused as refusal:
        return refusal
    raise AssertionError("it was composed")


# --- a text -------------------------------------------------------------------------------------------------


def test_a_text_becomes_a_message_in_the_thread() -> None:
    reply, headers, body = composed("Grüße\n.\n", THREADED)
    assert [(field.name, field.value) for field in headers][:8] == [
        ("Date", "Thu, 01 Jan 2026 00:00:00 +0000"),
        ("From", "support@desk.example"),
        ("To", "Alice Example <alice@customer.example>"),
        ("Subject", "Re: The printer"),
        ("Message-ID", OUR_ID),
        ("In-Reply-To", "<1@customer.example>"),
        ("References", "<a@customer.example> <b@customer.example> <1@customer.example>"),
        ("Auto-Submitted", "auto-replied"),
    ]
    assert body == b"Gr=C3=BC=C3=9Fe\r\n=2E\r\n"
    assert (reply.author, reply.recipient, reply.message_id) == (SUPPORT, ALICE, OUR_ID)
    assert reply.in_reply_to == ("<1@customer.example>",)
    assert reply.references == tuple(msg_ids(headers.get("References")))


def test_a_text_answers_a_mail_without_message_id_without_making_one_up() -> None:
    reply, headers, _ = composed("Hello", with_headers("From: alice@customer.example\r\nSubject: x\r\n"))
    assert headers.get("In-Reply-To") is None
    assert headers.get("References") is None
    assert (reply.in_reply_to, reply.references) == ((), ())


def test_the_name_in_To_is_the_authors_only_if_the_answer_goes_to_the_author() -> None:
    _, headers, _ = composed("Hello", with_headers("From: Bob <bob@customer.example>\r\n"))
    assert headers.get("To") == "alice@customer.example"


@pytest.mark.parametrize(
    ("block", "subject"),
    [
        # Octets of Windows-1252, which as Latin-1 are control characters: they once made text unanswerable.
        (b"Subject: \x93quoted\x94 word\r\n", "Re: quoted word"),
        (b"Subject: a\x00b\x1bc\r\n", "Re: a b c"),
        ("Subject: a\u2028b\r\n".encode(), "Re: a b"),
        (b"Subject: =?utf-8?q?a=0D=0ABcc:_v=40x.example?=\r\n", "Re: a Bcc: v@x.example"),
        (b"", "Re:"),
    ],
)
def test_whatever_stands_in_the_subject_the_mail_can_be_answered(block: bytes, subject: str) -> None:
    original = with_headers(b"From: \x93Al\x94 <alice@customer.example>\r\n" + block)
    for content in (Text("Hello"), Message(BARE.encode() + b"\r\nHello")):
        _, headers, _ = composed(content, original)
        assert headers.fields("Subject")[0].decoded == subject
        assert len(headers.fields("To")) == 1
        assert headers.get("Bcc") is None


def test_a_reply_to_the_reply_has_one_Re_and_the_whole_chain() -> None:
    first, headers, _ = composed("One")
    again = Original("email_2", ALICE, SUPPORT, headers, ORIGINAL.verdict, ours=False)
    second, headers, _ = composed("Two", again)
    assert headers.get("Subject") == "Re: The printer"
    assert second.references == (*first.references, first.message_id)


# --- a message ----------------------------------------------------------------------------------------------


def test_what_a_message_lacks_is_added() -> None:
    reply, headers, body = composed(BARE + "\r\nHello\r\n", THREADED)
    assert headers.get("To") == "alice@customer.example"
    assert headers.get("Subject") == "Re: The printer"
    assert headers.get("Date") == "Thu, 01 Jan 2026 00:00:00 +0000"
    assert headers.get("MIME-Version") == "1.0"
    assert headers.get("Message-ID") == OUR_ID
    assert headers.get("In-Reply-To") == "<1@customer.example>"
    assert reply.references == ("<a@customer.example>", "<b@customer.example>", "<1@customer.example>")
    assert msg_ids(headers.get("References")) == reply.references
    assert headers.get_all("Auto-Submitted") == ["auto-replied"]
    assert body == b"Hello\r\n"


def test_what_a_message_has_is_kept() -> None:
    written = (
        "X-Ticket: 7\r\nFrom: Desk <support@desk.example>\r\nTo: you <alice@customer.example>\r\n"
        "Subject: Ticket\r\n 7\r\nDate: Fri, 2 Jan 2026 00:00:00 +0000\r\nMessage-ID: <t7@desk.example>\r\n"
        "MIME-Version: 1.0\r\nIn-Reply-To: <1@customer.example>\r\n"
    )
    reply, headers, _ = composed(written + "\r\nHello\r\n")
    assert reply.raw.startswith(written.encode())
    assert len(headers) == 8 + 2  # References and Auto-Submitted
    assert (reply.message_id, reply.subject) == ("<t7@desk.example>", "Ticket 7")


def test_lf_only_input_leaves_with_crlf() -> None:
    reply, _, body = composed("From: support@desk.example\nSubject: x\n\none\ntwo\r\nthree\n")
    assert body == b"one\r\ntwo\r\nthree\r\n"
    assert reply.raw.count(b"\n") == reply.raw.count(b"\r\n")


def test_a_message_of_the_header_alone_is_one() -> None:
    _, headers, body = composed("From: support@desk.example")
    assert headers.get("Subject") == "Re: The printer"
    assert body == b""


@pytest.mark.parametrize("given", ["Bcc", "bcc", "Resent-Bcc", "Return-Path"])
def test_what_must_not_travel_is_removed(given: str) -> None:
    _, headers, _ = composed(f"{BARE}{given}: hidden@customer.example\r\n\r\nHello")
    assert headers.get(given) is None


@pytest.mark.parametrize(
    "given", ["", "Auto-Submitted: no\r\n", "Auto-Submitted: auto-generated\r\nauto-submitted: no\r\n"]
)
def test_a_program_wrote_it_and_the_reply_says_so_once(given: str) -> None:
    _, headers, _ = composed(f"{BARE}{given}\r\nHello")
    assert headers.get_all("Auto-Submitted") == ["auto-replied"]


@pytest.mark.parametrize(
    "given",
    [
        "no-brackets@desk.example",
        "<no-at>",
        "<a b@desk.example>",
        "<a@b@desk.example>",
        "<é@desk.example>",
        "",
        # The id of a mail in the thread is no id of this one; whoever copies a header block copies it too.
        "<1@customer.example>",
        "<b@customer.example>",
    ],
)
def test_a_message_id_that_is_none_is_replaced_by_ours(given: str) -> None:
    reply, headers, _ = composed(f"{BARE}Message-ID: {given}\r\n\r\nHello", THREADED)
    assert headers.get_all("Message-ID") == [OUR_ID]
    assert reply.message_id == OUR_ID


# --- threading ----------------------------------------------------------------------------------------------


def test_references_with_the_original_alone_become_the_whole_chain() -> None:
    reply, headers, _ = composed(f"{BARE}References: <1@customer.example>\r\n\r\nHello", THREADED)
    assert headers.get_all("References") == ["<a@customer.example> <b@customer.example> <1@customer.example>"]
    assert reply.references[-1] == "<1@customer.example>"


def test_ids_that_only_the_worker_knows_stay_in_the_chain_once_and_never_its_own() -> None:
    given = f"References: <x@y.example> <1@customer.example> <x@y.example> {OUR_ID}\r\n"
    reply, _, _ = composed(f"{BARE}{given}\r\nHello", THREADED)
    assert reply.references == (
        "<a@customer.example>",
        "<b@customer.example>",
        "<x@y.example>",
        "<1@customer.example>",
    )


def test_a_chain_is_never_longer_than_what_we_would_answer() -> None:
    given = " ".join(f"<{n}@y.example>" for n in range(300))
    reply, _, _ = composed(
        f"{BARE}References: <1@customer.example>\r\n {given[:900]}\r\n {given[900:1800]}"
        f"\r\n {given[1800:2700]}\r\n\r\nHello",
        THREADED,
    )
    assert len(reply.references) == 100
    assert (reply.references[0], reply.references[-1]) == ("<a@customer.example>", "<1@customer.example>")


@pytest.mark.parametrize("given", ["<2@customer.example>", "<1@customer.example> <2@x.example>", "x"])
def test_another_In_Reply_To_is_refused(given: str) -> None:
    refusal = refused(f"{BARE}In-Reply-To: {given}\r\n\r\nHello")
    assert isinstance(refusal, ReplyThreading)
    assert refusal.text.startswith("In-Reply-To does not match original Message-ID")
    assert given in refusal.text


def test_References_that_lack_the_original_are_refused() -> None:
    refusal = refused(f"{BARE}References: <a@customer.example>\r\n\r\nHello", THREADED)
    assert isinstance(refusal, ReplyThreading)
    assert refusal.text.startswith("provided References header is invalid")


def test_a_mail_without_message_id_asks_nothing_of_the_threading_fields() -> None:
    original = with_headers("From: alice@customer.example\r\n")
    _, headers, _ = composed(f"{BARE}In-Reply-To: <x@y.example>\r\n\r\nHello", original)
    assert headers.get("In-Reply-To") == "<x@y.example>"


# --- refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "word"),
    [
        (BARE + "Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\nx", "invalid headers set"),
        (BARE + BARE + "\r\nx", "exactly one From"),
        ("From: a@desk.example, b@desk.example\r\n\r\nx", "From names 2 mailboxes"),
        ("Subject: x\r\n\r\nx", "From names 0 mailboxes"),
        ("From: nobody\r\n\r\nx", "From names 0 mailboxes"),
        (BARE + "Subject: a\r\nSubject: b\r\n\r\nx", "occurs twice"),
        (BARE + "X: a\x1bb\r\n\r\nx", "control character"),
        (BARE + "no field\r\n\r\nx", "no field"),
        (BARE + "\r\nx\0y", "NUL"),
        (BARE + "\r\n" + "x" * 999, "998"),
        # Read tolerantly, but never written: nobody could answer to it.
        (f"From: {'x' * 65}@desk.example\r\n\r\nx", "64"),
        ("From: support@desk_.example\r\n\r\nx", "label"),
    ],
)
def test_a_message_that_may_not_leave_is_refused(written: str, word: str) -> None:
    refusal = refused(written)
    assert isinstance(refusal, ReplyInvalid)
    assert word in refusal.text


def test_header_and_envelope_name_the_same_author() -> None:
    message = Message(b"From: Desk <Support@desk.example>\r\n\r\nx", from_="support@desk.example")
    refusal = refused(message)
    assert isinstance(refusal, ReplySenderDomainMismatch)
    assert refusal.text.startswith("From: header does not match mail from")
    assert propose(ORIGINAL, replace(message, from_="Support@DESK.example")).author.local_part == "Support"


def test_whom_the_rules_are_asked_about() -> None:
    message = Message(BARE.encode())
    assert propose(ORIGINAL, Text("x")) == Proposal(SUPPORT, ALICE)
    assert propose(ORIGINAL, message) == Proposal(SUPPORT, ALICE)
    assert propose(ORIGINAL, replace(message, to="bob@x.example")).recipient == Mailbox("bob", "x.example")
    # What a worker reads as `message.sender` of a mail from the null reverse-path.
    assert propose(ORIGINAL, replace(message, to="")).recipient is None


@pytest.mark.parametrize("changed", [{"to": "nobody"}, {"from_": "Desk <support@desk.example>"}])
def test_an_envelope_address_that_is_none_is_refused(changed: dict[str, str]) -> None:
    assert isinstance(refused(Message(BARE.encode(), **changed)), ReplyInvalid)
