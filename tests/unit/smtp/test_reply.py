# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from rejoinder.errors import SmtpError
from rejoinder.smtp.reply import Reply, ReplyReader


def read(data: bytes) -> list[Reply]:
    reader = ReplyReader()
    replies = []
    for i in range(len(data)):
        reader.receive_data(data[i : i + 1])
        while (reply := reader.next_reply()) is not None:
            replies.append(reply)
    return replies


@pytest.mark.parametrize(
    ("wire", "reply"),
    [
        (b"250 2.1.0 ok\r\n", Reply(250, "2.1.0", ("ok",))),
        (b"250-one\r\n250-\r\n250 three\r\n", Reply(250, None, ("one", "", "three"))),
        (b"550-5.7.1 one\r\n550 5.7.1 two\r\n", Reply(550, "5.7.1", ("one", "two"))),
        # No text at all, and no blank before it.
        (b"354\r\n", Reply(354, None, ("",))),
        (b"250 \r\n", Reply(250, None, ("",))),
        # Only the enhanced code.
        (b"250 2.0.0\r\n", Reply(250, "2.0.0", ("",))),
        # The class of the enhanced code must be that of the code, or it is text (RFC 2034 §4).
        (b"250 5.1.1 odd\r\n", Reply(250, None, ("5.1.1 odd",))),
        # A version number is none.
        (b"220 4.2.1x\r\n", Reply(220, None, ("4.2.1x",))),
        # Some servers end lines in a bare LF; text may hold anything.
        (b"220 caf\xc3\xa9 \xff\n", Reply(220, None, ("café \ufffd",))),
    ],
)
def test_a_reply_is_read(wire: bytes, reply: Reply) -> None:
    assert read(wire) == [reply]


def test_replies_are_read_one_after_the_other() -> None:
    assert [reply.code for reply in read(b"250 a\r\n550-b\r\n550 c\r\n354 d\r\n")] == [250, 550, 354]


@pytest.mark.parametrize("wire", [b"hello\r\n", b"25\r\n", b"199 x\r\n", b"600 x\r\n", b"250x\r\n", b"\r\n"])
def test_what_is_no_reply_raises(wire: bytes) -> None:
    with pytest.raises(SmtpError, match="no SMTP reply"):
        read(wire)


def test_a_reply_without_an_end_is_not_kept_for_ever() -> None:
    with pytest.raises(SmtpError, match="longer than"):
        read(b"250 " + b"x" * 5000)
    with pytest.raises(SmtpError, match="more than 256 lines"):
        read(b"250-x\r\n" * 300)


def test_the_enhanced_code_is_written_on_every_line() -> None:
    assert Reply(550, "5.7.1", ("a", "b")).to_bytes() == b"550-5.7.1 a\r\n550 5.7.1 b\r\n"
    assert Reply(354, None, ("go",)).to_bytes() == b"354 go\r\n"


def test_no_text_can_make_a_line_of_its_own() -> None:
    assert Reply(550, None, ("a\r\n250 b\0é",)).to_bytes() == b"550 a??250 b??\r\n"


def test_text_of_any_length_is_folded_into_lines() -> None:
    reply = Reply.of(550, "5.7.1", "word " * 300 + "\nlast\r\n\n")
    assert reply.lines[-1] == "last"
    assert all(len(line) <= 512 for line in reply.to_bytes().split(b"\r\n"))
    assert Reply.of(250, None, "").lines == ("",)


def test_what_is_written_is_read_again() -> None:
    for reply in (
        Reply(421, "4.3.2", ("x",)),
        Reply.of(550, "5.1.1", "a\nb\nc"),
        Reply(250, None, ("", "y")),
    ):
        assert read(reply.to_bytes()) == [reply]


def test_a_reply_has_a_class_and_a_text() -> None:
    assert Reply(354, None, ("",)).is_positive
    assert Reply(451, None, ("",)).is_transient
    assert Reply(550, None, ("",)).is_permanent
    assert not Reply(451, None, ("",)).is_permanent
    assert str(Reply(550, "5.1.1", ("no", "such"))) == "550 5.1.1 no such"
    assert str(Reply(250, None, ("",))) == "250"
