# SPDX-License-Identifier: Apache-2.0
"""The message that an answer through the API becomes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rejoinder.errors import MessageError
from rejoinder.message.address import Address, Mailbox
from rejoinder.message.compose import Attached
from rejoinder.message.parse import ParsedMessage, parse
from rejoinder.replies.answer_compose import build, check
from rejoinder.replies.recipients import Recipients
from rejoinder.replies.request import ReplyRequest
from tests.unit.replies.originals import NOW, OUR_ID

FROM = Address("Desk", Mailbox("support", "desk.example"))
TO = Recipients((Address("Ann", Mailbox("ann", "customer.example")),), (), ())
HEAD = (
    "From: Ann Example <ann@customer.example>\nDate: Thu, 1 Jan 2026 09:00:00 +0100\n"
    "Message-ID: <1@customer.example>\n"
)
PLAIN = HEAD + "Subject: The printer\n\nIt burns.\n\n> I said so\n"
BOTH = (
    HEAD + 'Content-Type: multipart/alternative; boundary="b"\n\n'
    "--b\nContent-Type: text/plain\n\nIt burns.\n"
    "--b\nContent-Type: text/html\n\n<p onclick=x>It <b>burns</b>.</p><script>evil()</script>\n--b--\n"
)
HTML = HEAD + "Content-Type: text/html\n\n<p>It <b>burns</b>.</p>\n"


def built(request: ReplyRequest, original: str = PLAIN, to: Recipients = TO) -> ParsedMessage:
    check(request)
    message = build(request, to, parse(original.encode()), at=NOW, message_id=OUR_ID, now=NOW)
    assert message.raw.isascii()
    read = parse(message.raw)
    assert not read.defects
    return read


def test_a_text_is_followed_by_the_original_as_a_quotation() -> None:
    message = built(ReplyRequest(FROM, text="Use water.\n"))
    assert message.root.content_type == "text/plain"
    assert message.text == (
        "Use water.\n\nOn Thu, 1 Jan 2026 09:00:00 +0100, Ann Example <ann@customer.example> wrote:\n"
        "> It burns.\n>\n>> I said so\n"
    )


def test_text_and_html_both_end_with_the_quotation() -> None:
    message = built(ReplyRequest(FROM, text="Water.", html="<html><body><p>Water.</p></body></html>"), BOTH)
    assert (message.text or "").endswith("wrote:\n> It burns.\n")
    html = message.html or ""
    assert html.startswith("<html><body><p>Water.</p>")
    assert "On Thu, 1 Jan 2026 09:00:00 +0100, Ann Example &lt;ann@customer.example&gt; wrote:" in html
    assert '<blockquote class="gmail_quote"' in html
    assert "<b>burns</b>" in html
    assert "evil" not in html
    assert "onclick" not in html
    assert html.rstrip().endswith("</body></html>")


def test_html_alone_gets_a_text_that_says_the_same() -> None:
    message = built(ReplyRequest(FROM, html="<p>Use <b>water</b>.</p>"))
    assert message.root.content_type == "multipart/alternative"
    assert (message.text or "").startswith("Use water.\n\nOn Thu, 1 Jan 2026")
    assert "> It burns." in (message.text or "")
    assert (message.html or "").startswith("<p>Use <b>water</b>.</p>")


def test_an_original_in_html_alone_is_quoted_as_text_too() -> None:
    assert (built(ReplyRequest(FROM, text="Water."), HTML).text or "").endswith("wrote:\n> It burns.\n")


def test_an_original_whose_html_is_too_large_to_quote_as_html_is_quoted_as_text() -> None:
    large = HTML + "and more " * 112_000
    html = built(ReplyRequest(FROM, html="<p>Water.</p>"), large).html or ""
    assert html.count("and more") == 112_000
    assert "<b>burns</b>" not in html


@pytest.mark.parametrize("line", ["and more\n", "<b>more</b><br>\n"])
@pytest.mark.parametrize("head", [PLAIN, HTML])
def test_of_an_original_that_is_too_long_to_quote_the_beginning_is_quoted(head: str, line: str) -> None:
    message = built(ReplyRequest(FROM, text="Water.", html="<p>Water."), head + line * 250_000)
    assert (message.text or "").startswith("Water.\n\nOn Thu, 1 Jan 2026")
    assert (message.text or "").endswith(" […]\n")
    assert "[…]" in (message.html or "")[-100:]
    assert len(message.html or "") < 5_000_000


@pytest.mark.parametrize("original", [PLAIN, BOTH, HTML])
def test_nothing_is_quoted_when_the_original_is_not_included(original: str) -> None:
    request = ReplyRequest(FROM, text="Water.", html="<p>Water.</p>", include_original=False)
    message = built(request, original)
    assert (message.text or "").rstrip("\n") == "Water."
    assert (message.html or "").rstrip("\n") == "<p>Water.</p>"


def test_an_original_that_says_nothing_is_quoted_as_nothing() -> None:
    text = built(ReplyRequest(FROM, text="Water."), "Subject: x\n\n").text or ""
    assert text == "Water.\n\nOn Thu, 01 Jan 2026 00:00:00 +0000, Unknown Sender wrote:\n>\n"


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("The printer", "Re: The printer"),
        ("Re: The printer", "Re: The printer"),
        ("AW: RE: The printer", "Re: The printer"),
        ("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Re: Grüße"),
        ("=?utf-8?q?a=0D=0ABcc:_b?=", "Re: a Bcc: b"),
        ("", "Re:"),
    ],
)
def test_the_subject_is_that_of_the_original_with_one_re(subject: str, expected: str) -> None:
    message = built(ReplyRequest(FROM, text="x"), f"Subject: {subject}\n\n")
    assert [each.decoded for each in message.headers.fields("Subject")] == [expected]
    assert message.headers.get("Bcc") is None


def test_a_subject_that_is_given_is_used_as_it_is() -> None:
    message = built(ReplyRequest(FROM, text="x", subject="Ticket #12345 – gelöst"))
    assert message.headers.fields("Subject")[0].decoded == "Ticket #12345 – gelöst"
    assert built(ReplyRequest(FROM, text="x", subject="")).headers.get("Subject") == "Re: The printer"


def test_an_original_without_message_id_is_answered_without_in_reply_to() -> None:
    headers = built(ReplyRequest(FROM, text="x"), "From: ann@a.example\n\n").headers
    assert headers.get("In-Reply-To") is None
    assert headers.get("References") is None


def test_custom_fields_and_reply_to_stand_in_the_message() -> None:
    request = ReplyRequest(
        FROM,
        text="x",
        reply_to=(Address("Büro", Mailbox("office", "desk.example")),),
        headers=(("X-Support-Ticket", "12345"), ("X-Note", "größer"), ("Auto-Submitted", "auto-replied")),
    )
    headers = built(request).headers
    assert headers.get("X-Support-Ticket") == "12345"
    assert headers.fields("X-Note")[0].decoded == "größer"
    assert headers.get_all("Auto-Submitted") == ["auto-replied"]
    assert headers.fields("Reply-To")[0].decoded == "Büro <office@desk.example>"
    assert built(ReplyRequest(FROM, text="x")).headers.get("Auto-Submitted") is None


def test_files_and_inline_pictures_go_along() -> None:
    request = ReplyRequest(
        FROM,
        html='<img src="cid:logo">',
        attachments=(
            Attached("Übersicht.pdf", "application/pdf", b"%PDF"),
            Attached("logo.png", "image/png", b"\x89PNG", "logo"),
        ),
    )
    message = built(request)
    assert message.root.content_type == "multipart/mixed"
    files = {
        each.filename: (each.content_type, each.content, each.content_id) for each in message.attachments
    }
    assert files == {
        "Übersicht.pdf": ("application/pdf", b"%PDF", None),
        "logo.png": ("image/png", b"\x89PNG", "logo"),
    }


FILE = Attached("a.pdf", "application/pdf", b"%PDF", "logo")


@pytest.mark.parametrize(
    "file",
    [
        replace(FILE, filename="x" * 256),
        replace(FILE, filename="a\r\nb"),
        *(
            replace(FILE, content_type=each)
            for each in ("pdf", "a/b\r\nBcc: x", "a/b/c", "é/x", 'a/b; x="\n"')
        ),
        *(replace(FILE, content_id=each) for each in ("", "x" * 129, "a b", "a>b", "é", "a\r\nb")),
    ],
)
def test_a_file_that_cannot_be_written_is_named(file: Attached) -> None:
    with pytest.raises(MessageError) as refused:
        check(ReplyRequest(FROM, text="x", attachments=(replace(FILE, content_id="other"), file)))
    assert (refused.value.http_status, refused.value.field) == (400, "attachments[1]")


def test_two_files_have_two_content_ids() -> None:
    with pytest.raises(MessageError, match="given twice") as refused:
        check(ReplyRequest(FROM, text="x", attachments=(FILE, FILE)))
    assert refused.value.field == "attachments"


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Jan 2026 09:00:00 +0000"])
def test_a_date_that_is_none_is_when_the_mail_was_received(date: str) -> None:
    text = built(ReplyRequest(FROM, text="x"), f"From: ann@a.example\nDate: {date}\n\nHi\n").text or ""
    assert "On Thu, 01 Jan 2026 00:00:00 +0000, ann@a.example wrote:" in text


def test_a_strangers_name_is_cut_in_the_attribution() -> None:
    request = ReplyRequest(FROM, text="x", html="x")
    message = built(request, f"From: {'x' * 10_000} <ann@a.example>\n\nHi\n")
    for said in (message.text, message.html):
        assert "x" * 256 in (said or "")
        assert "x" * 257 not in (said or "")


def test_the_same_request_gives_the_same_bytes() -> None:
    request = ReplyRequest(FROM, text="x", html="<p>x</p>")
    original = parse(PLAIN.encode())
    one, other = (build(request, TO, original, at=NOW, message_id=OUR_ID, now=NOW) for _ in range(2))
    assert one == other


def test_blind_copies_are_in_no_field() -> None:
    to = replace(TO, bcc=(Address("Eve", Mailbox("eve", "spy.example")),))
    assert b"eve" not in built(ReplyRequest(FROM, text="x"), to=to).headers.raw
