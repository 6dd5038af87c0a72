# SPDX-License-Identifier: Apache-2.0
"""Composing: the bytes that leave."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes

import pytest

from rejoinder.errors import HeaderInjection, HeaderReserved, MessageError
from rejoinder.message.address import Address, Mailbox
from rejoinder.message.compose import Draft, compose, multipart, part
from rejoinder.message.parse import parse

DRAFT = Draft(
    from_=Address("Support", Mailbox("support", "desk.example")),
    to=(Address("Jürgen", Mailbox("j", "x.example")),),
    subject="Re: grün",
    text="Hello\nworld\n",
    html=None,
    message_id="<01@desk.example>",
    date=1_763_758_841_000_000,
)


def test_a_text_is_a_message_of_one_part() -> None:
    assert compose(DRAFT) == (
        b"Date: Fri, 21 Nov 2025 21:00:41 +0000\r\n"
        b"From: Support <support@desk.example>\r\n"
        b"To: =?utf-8?q?J=C3=BCrgen?= <j@x.example>\r\n"
        b"Subject: Re: =?utf-8?q?gr=C3=BCn?=\r\n"
        b"Message-ID: <01@desk.example>\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"Hello\r\nworld\r\n"
    )


def test_every_field_of_a_draft_is_written() -> None:
    raw = compose(
        replace(
            DRAFT,
            cc=DRAFT.to,
            reply_to=DRAFT.to,
            in_reply_to="<m@x>",
            references=("<a@x>", "<m@x>"),
            headers=(("X-Ticket", "4711"), ("X-Ticket", "4712")),
            auto_submitted="auto-replied",
        )
    )
    headers = parse(raw).headers
    assert [field.name for field in headers] == [
        "Date", "From", "Reply-To", "To", "Cc", "Subject", "Message-ID", "In-Reply-To", "References",
        "Auto-Submitted", "X-Ticket", "X-Ticket", "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
    ]  # fmt: skip
    assert headers.get("References") == "<a@x> <m@x>"
    assert headers.get_all("X-Ticket") == ["4711", "4712"]


@pytest.mark.parametrize(
    "text", ["", "Grüße\n" * 50, "日本語", "a" * 5_000, "From here\n.\n..\n", "a\0b", "x\r\ry", "\ud800"]
)
@pytest.mark.parametrize("html", [None, "<p>grün</p>"])
def test_any_text_comes_out_as_it_went_in(text: str, html: str | None) -> None:
    raw = compose(replace(DRAFT, text=text, html=html))
    assert raw.isascii()
    assert raw.count(b"\r\n") == raw.count(b"\n") == raw.count(b"\r")
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    message = parse(raw)
    assert message.defects == ()
    lines = text.replace("\r", "\n").replace("\ud800", "?")
    assert (message.text or "").rstrip("\n") == lines.rstrip("\n")
    assert (message.html or "").rstrip("\n") == (html or "")
    assert message.attachments == ()
    assert message_from_bytes(raw).defects == []


def test_html_alone_is_one_part() -> None:
    message = parse(compose(replace(DRAFT, text=None, html="<p>x</p>")))
    assert message.root.content_type == "text/html"
    assert message.text is None


def test_neither_text_nor_html_is_an_empty_text() -> None:
    assert parse(compose(replace(DRAFT, text=None))).text == "\n"


def test_the_plainer_alternative_comes_first() -> None:
    message = parse(compose(replace(DRAFT, html="<p>x</p>")))
    assert message.root.content_type == "multipart/alternative"
    assert [child.content_type for child in message.root.children] == ["text/plain", "text/html"]


def test_the_same_draft_gives_the_same_bytes() -> None:
    draft = replace(DRAFT, html="<p>x</p>")
    assert compose(draft) == compose(draft)
    assert compose(draft) != compose(replace(draft, message_id="<02@desk.example>"))


def test_a_boundary_never_occurs_in_a_part() -> None:
    head = next(iter(multipart("mixed", [], "seed")))
    boundary = head.split(b'"')[1].decode()
    other = next(iter(multipart("mixed", [part("text/plain", f"--{boundary}\n")], "seed")))
    assert boundary.encode() not in other


@pytest.mark.parametrize(
    "name",
    ["From", "TO", "cc", "Bcc", "Reply-To", "Sender", "Subject", "Date", "Message-ID", "In-Reply-To",
     "References",
     "MIME-Version", "Content-Type", "Content-Foo",
     "Received", "Return-Path", "DKIM-Signature", "ARC-Seal",
     "Resent-To", "Authentication-Results"],
)  # fmt: skip
def test_a_custom_field_neither_repeats_nor_replaces_ours(name: str) -> None:
    with pytest.raises(HeaderReserved, match=name):
        compose(replace(DRAFT, headers=((name, "x"),)))


def test_auto_submitted_is_the_callers_only_if_we_do_not_set_it() -> None:
    custom = replace(DRAFT, headers=(("Auto-Submitted", "auto-generated"),))
    assert parse(compose(custom)).headers.get_all("Auto-Submitted") == ["auto-generated"]
    with pytest.raises(HeaderReserved):
        compose(replace(custom, auto_submitted="auto-replied"))


def test_nothing_of_a_draft_becomes_a_field() -> None:
    evil = "x\r\nBcc: v@x.example"
    person = Address(evil, Mailbox("a", "x.example"))
    drafts = [
        replace(DRAFT, subject=evil),
        replace(DRAFT, from_=person),
        replace(DRAFT, to=(person,)),
        replace(DRAFT, auto_submitted=evil),
        replace(DRAFT, headers=(("X-A", evil),)),
        replace(DRAFT, headers=((evil, "x"),)),
    ]
    for draft in drafts:
        with pytest.raises(HeaderInjection):
            compose(draft)
    for draft in (
        replace(DRAFT, message_id=f"<{evil}>"),
        replace(DRAFT, in_reply_to=evil),
        replace(DRAFT, references=(evil,)),
    ):
        with pytest.raises(MessageError):
            compose(draft)
