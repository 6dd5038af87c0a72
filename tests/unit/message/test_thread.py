# SPDX-License-Identifier: Apache-2.0
"""Threading fields and subjects."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rejoinder.message.headers import split
from rejoinder.message.thread import ReplyFields, base_subject, msg_ids, reply_fields, reply_subject, trimmed


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        (None, ()),
        ("", ()),
        ("<a@x>", ("<a@x>",)),
        ("<a@x> <b@x>\t<c@x>,<d@x><e@x>", ("<a@x>", "<b@x>", "<c@x>", "<d@x>", "<e@x>")),
        # RFC 5322 §4.5.4: phrases and comments around identifiers.
        ('Your message of "Mon <no@x>" <a@x> (not <this@x> (nor <that@x>))', ("<a@x>",)),
        ("<a@\t x>", ("<a@x>",)),
        ('<"quoted"@x>', ('<"quoted"@x>',)),
        ("<without-at>", ("<without-at>",)),
        ("a@x", ()),
        ("<> <a@x", ()),
        ("<<a@x>>", ("<a@x>",)),
        ("(<a@x>", ()),
        ('"<a@x>', ("<a@x>",)),
        ("\\<a@x> <b@x>", ("<b@x>",)),
        ("<ü@x> <a\x00@x> <b@x>", ("<b@x>",)),
        # What cannot be written on a line is no identifier.
        (f"<{'a' * 901}> <b@x>", ("<b@x>",)),
    ],
)
def test_identifiers_are_read(value: str | None, ids: tuple[str, ...]) -> None:
    assert msg_ids(value) == ids


@pytest.mark.parametrize("piece", ["<", ">", "(", '"', '\\"', "<a@x>", "<a", "(<", "\\", '"\\', "< "])
def test_hostile_identifiers_are_read_once(
    piece: str, steps: Callable[[Callable[[int], object]], float]
) -> None:
    assert steps(lambda size: msg_ids(piece * size)) < 4


class TestRFC5322ReplyFields:
    @pytest.mark.parametrize(
        ("raw", "fields"),
        [
            (b"Message-ID: <m@x>\r\nSubject: Hi\r\n\r\n", ReplyFields("<m@x>", ("<m@x>",), "Re: Hi")),
            (
                b"Message-ID: <m@x>\r\nReferences: <a@x>\r\n <b@x>\r\nIn-Reply-To: <c@x>\r\n\r\n",
                ReplyFields("<m@x>", ("<a@x>", "<b@x>", "<m@x>"), "Re:"),
            ),
            (b"Message-ID: <m@x>\r\nIn-Reply-To: <p@x>\r\n\r\n",
             ReplyFields("<m@x>", ("<p@x>", "<m@x>"), "Re:")),
            # Two parents stand for no line of ancestors.
            (b"Message-ID: <m@x>\r\nIn-Reply-To: <p@x> <q@x>\r\n\r\n",
             ReplyFields("<m@x>", ("<m@x>",), "Re:")),
            (b"Message-ID: <m@x>\r\nReferences: \r\nIn-Reply-To: <p@x>\r\n\r\n",
             ReplyFields("<m@x>", ("<p@x>", "<m@x>"), "Re:")),
            # Nothing is made up.
            (b"Subject: Hi\r\n\r\n", ReplyFields(None, (), "Re: Hi")),
            (b"References: <a@x>\r\n\r\n", ReplyFields(None, ("<a@x>",), "Re:")),
            (b"Message-ID: none\r\n\r\n", ReplyFields(None, (), "Re:")),
            # No identifier twice, the answered one last.
            (b"Message-ID: <m@x>\r\nReferences: <a@x> <m@x> <a@x> <b@x>\r\n\r\n",
             ReplyFields("<m@x>", ("<a@x>", "<b@x>", "<m@x>"), "Re:")),
            (b"Message-ID: <m@x>\r\nReferences: <a@x>\r\nReferences: <b@x>\r\n\r\n",
             ReplyFields("<m@x>", ("<a@x>", "<b@x>", "<m@x>"), "Re:")),
        ],
    )  # fmt: skip
    def test_are_made_from_the_original(self, raw: bytes, fields: ReplyFields) -> None:
        assert reply_fields(split(raw)[0]) == fields

    def test_a_long_chain_keeps_its_first_and_its_newest(self) -> None:
        chain = b" ".join(b"<%d@x>" % number for number in range(200))
        found = reply_fields(split(b"Message-ID: <m@x>\r\nReferences: " + chain + b"\r\n\r\n")[0], 4)
        assert found.references == ("<0@x>", "<198@x>", "<199@x>", "<m@x>")

    def test_a_chain_of_one_is_its_newest(self) -> None:
        assert trimmed(["<a>", "<b>", "<c>"], 2) == ("<a>", "<c>")


@pytest.mark.parametrize(
    ("subject", "base"),
    [
        (None, ""),
        ("", ""),
        ("Hi", "Hi"),
        ("Re: Hi", "Hi"),
        ("RE: re: Re: Hi", "Hi"),
        ("Re:Hi", "Hi"),
        ("Re : Hi", "Hi"),
        ("Re[2]: Hi", "Hi"),
        ("Re(3): Re^4: Re2: Hi", "Hi"),
        ("Re [2]: Hi", "Hi"),
        ("AW: Hi", "Hi"),
        ("Antw: WG: Hi", "WG: Hi"),
        ("SV: VS: Odp: YNT: RIF: Res: Antwort: Hi", "Hi"),
        ("回复：Hi", "Hi"),
        ("Отв: Hi", "Hi"),
        ("תגובה: Hi", "Hi"),
        # No marks of a reply.
        ("Request: Hi", "Request: Hi"),
        ("Regarding: Hi", "Regarding: Hi"),
        ("[list] Re: Hi", "[list] Re: Hi"),
        ("Re Hi", "Re Hi"),
        ("Fwd: Re: Hi", "Fwd: Re: Hi"),
        # Decoded and put on one line first.
        ("=?utf-8?q?Re=3A_gr=C3=BCn?=", "grün"),
        ("=?utf-8?q?AW:?= Hi", "Hi"),
        ("Re:\r\n  Hi\t  there", "Hi there"),
        ("=?utf-8?q?a=0D=0ABcc:_v?=", "a Bcc: v"),
    ],
)
def test_a_reply_has_one_mark(subject: str | None, base: str) -> None:
    assert base_subject(subject) == base
    assert reply_subject(subject) == (f"Re: {base}" if base else "Re:")
    assert reply_subject(reply_subject(subject)) == reply_subject(subject)


def test_thousands_of_marks_are_read_once(steps: Callable[[Callable[[int], object]], float]) -> None:
    assert steps(lambda size: base_subject("Re[2]: " * size)) < 4
    assert steps(lambda size: base_subject("Re" + "2" * size)) < 4
