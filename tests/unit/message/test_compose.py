# SPDX-License-Identifier: Apache-2.0
"""Composing: the bytes that leave."""

from __future__ import annotations

import re
import tracemalloc
from base64 import encodebytes
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from rejoinder.errors import HeaderInjection, HeaderReserved, MessageError
from rejoinder.message.address import Address, Mailbox
from rejoinder.message.compose import Attached, Draft, compose, multipart, part
from rejoinder.message.parse import Part, parse
from rejoinder.message.transfer import base64_lines

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
     "Resent-To", "Authentication-Results", "X-SES-Configuration-Set"],
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


PDF = Attached("invoice.pdf", "application/pdf", b"%PDF-1.7\n")
LOGO = Attached("logo.png", "image/png", b"\x89PNG\r\n", "logo@desk.example")


def tree(part: Part) -> object:
    return (part.content_type, *map(tree, part.children)) if part.children else part.content_type


@pytest.mark.parametrize(
    ("text", "html", "attachments", "expected"),
    [
        ("x", None, (PDF,), ("multipart/mixed", "text/plain", "application/pdf")),
        (None, "x", (PDF,), ("multipart/mixed", "text/html", "application/pdf")),
        (None, "x", (LOGO,), ("multipart/related", "text/html", "image/png")),
        ("x", "x", (LOGO,),
         ("multipart/related", ("multipart/alternative", "text/plain", "text/html"), "image/png")),
        ("x", "x", (PDF, LOGO),
         ("multipart/mixed",
          ("multipart/related", ("multipart/alternative", "text/plain", "text/html"), "image/png"),
          "application/pdf")),
        # Without html nothing can show it, so it is a file among others.
        ("x", None, (LOGO,), ("multipart/mixed", "text/plain", "image/png")),
        (None, None, (PDF,), ("multipart/mixed", "text/plain", "application/pdf")),
    ],
)  # fmt: skip
def test_a_message_has_the_levels_that_it_needs(
    text: str | None, html: str | None, attachments: tuple[Attached, ...], expected: object
) -> None:
    raw = compose(replace(DRAFT, text=text, html=html, attachments=attachments))
    message = parse(raw)
    assert tree(message.root) == expected
    assert message.defects == ()
    assert raw == compose(replace(DRAFT, text=text, html=html, attachments=attachments))
    boundaries = re.findall(rb'boundary="([^"]+)"', raw)
    assert len(set(boundaries)) == len(boundaries)


def test_related_names_the_type_of_what_it_shows() -> None:
    raw = compose(replace(DRAFT, html="x", attachments=(LOGO,)))
    assert b'multipart/related; type="multipart/alternative"' in raw  # RFC 2387 §3.1


@pytest.mark.parametrize(
    "name",
    ["a.txt", "two words.txt", 'one"two.txt', "Übersicht €.pdf", "日本語" * 40 + ".txt", "=?utf-8?q?x?=.txt",
     "a" * 255, "%41.txt", "a;b=c.txt", "😀"],
)  # fmt: skip
def test_a_file_arrives_with_its_name_and_every_byte(name: str) -> None:
    content = bytes(range(256)) * 3
    raw = compose(replace(DRAFT, attachments=(Attached(name, "application/x-any", content),)))
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 78
    assert b"=?" not in raw.split(b"Content-Disposition: ")[1]  # RFC 2231, never RFC 2047
    (ours,) = parse(raw).attachments
    assert (ours.filename, ours.content_type, ours.content) == (name, "application/x-any", content)
    theirs = message_from_bytes(raw, policy=policy.default)
    assert isinstance(theirs, EmailMessage)
    (attachment,) = theirs.iter_attachments()
    assert attachment.get_content_disposition() == "attachment"
    assert attachment.get_payload(decode=True) == content
    if "=?" not in name:
        assert attachment.get_filename() == name


@pytest.mark.parametrize("size", [0, 1, 56, 57, 58, 57 * 8192 - 1, 57 * 8192, 57 * 8192 + 1])
def test_base64_has_lines_of_76_characters(size: int) -> None:
    content = bytes(index % 251 for index in range(size))
    encoded = b"".join(base64_lines(content))
    assert encoded == encodebytes(content).replace(b"\n", b"\r\n")


def test_a_picture_is_shown_by_its_content_id() -> None:
    raw = compose(replace(DRAFT, html='<img src="cid:logo@desk.example">', attachments=(LOGO,)))
    (logo,) = parse(raw).attachments
    assert logo.headers.get("Content-ID") == "<logo@desk.example>"
    assert logo.disposition == "inline"
    assert logo.filename == "logo.png"


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("", "application/octet-stream"),
        ("IMAGE/PNG", "image/png"),
        ("text/csv; charset=utf-8", "text/csv; charset=utf-8"),
        ("text/calendar;method=REQUEST; name=other.ics", "text/calendar; method=REQUEST"),
        ('text/plain; x="a b"', 'text/plain; x="a b"'),
        # What has parts of its own may not be base64 (RFC 2045 §6.4).
        ("message/rfc822", "application/octet-stream"),
        ("multipart/mixed; boundary=x", "application/octet-stream"),
    ],
)
def test_a_media_type_is_written_with_its_parameters(given: str, written: str) -> None:
    raw = compose(replace(DRAFT, attachments=(replace(PDF, content_type=given),)))
    assert f"\r\nContent-Type: {written}\r\nContent-Transfer-Encoding: base64\r\n".encode() in raw


@pytest.mark.parametrize(
    "given", ["pdf", "a/b/c", "a b/c", "a/b\r\nX: y", "/", "a/", "ü/x", "a/" + "b" * 128]
)
def test_what_is_no_media_type_is_refused(given: str) -> None:
    with pytest.raises(MessageError, match="media type"):
        compose(replace(DRAFT, attachments=(replace(PDF, content_type=given),)))


@pytest.mark.parametrize("given", ["", "a b", "<a>", "a\r\nX: y", "ü", "a" * 129, "a\0"])
def test_what_is_no_content_id_is_refused(given: str) -> None:
    with pytest.raises(MessageError, match="content id"):
        compose(replace(DRAFT, html="x", attachments=(replace(LOGO, content_id=given),)))


def test_a_content_id_names_one_file() -> None:
    with pytest.raises(MessageError, match="twice"):
        compose(replace(DRAFT, html="x", attachments=(LOGO, LOGO)))


@pytest.mark.parametrize("name", ["", "a" * 256])
def test_a_file_has_a_name_of_255_characters_at_most(name: str) -> None:
    with pytest.raises(MessageError, match="1 to 255"):
        compose(replace(DRAFT, attachments=(replace(PDF, filename=name),)))


@pytest.mark.parametrize(
    "attached",
    [
        replace(PDF, filename="a\r\nBcc: v@x.example"),
        replace(PDF, filename="a\0.txt"),
        replace(PDF, filename="a\u2028.txt"),
        replace(PDF, content_type='text/plain; x="a\r\nBcc: v"'),
    ],
)
def test_nothing_of_a_file_becomes_a_field(attached: Attached) -> None:
    with pytest.raises(HeaderInjection):
        compose(replace(DRAFT, attachments=(attached,)))


def test_a_text_that_holds_the_boundary_changes_it() -> None:
    draft = replace(DRAFT, attachments=(PDF,))
    boundary = re.findall(rb'boundary="([^"]+)"', compose(draft))[0].decode()
    message = parse(compose(replace(draft, text=f"--{boundary}--\nstill text\n")))
    assert message.text == f"--{boundary}--\nstill text\n"
    assert len(message.attachments) == 1


def test_a_large_file_is_held_less_than_four_times() -> None:
    content = bytes(8 * 1024 * 1024)
    draft = replace(DRAFT, attachments=(replace(PDF, content=content),))
    tracemalloc.start()
    try:
        compose(draft)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(content)  # beside the content itself
    finally:
        tracemalloc.stop()
