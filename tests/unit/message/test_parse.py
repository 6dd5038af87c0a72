# SPDX-License-Identifier: Apache-2.0
"""The MIME tree: what is found in what strangers wrote, and that nothing of it breaks us."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rejoinder.errors import HeaderBlockTooLarge
from rejoinder.message.limits import Limits
from rejoinder.message.parse import Part, parse


def tree(part: Part) -> object:
    """The types of a tree, nested as it is."""
    if not part.children:
        return part.content_type
    return [part.content_type, *(tree(child) for child in part.children)]


def multipart(boundary: str, *parts: str, kind: str = "mixed") -> str:
    """A whole multipart with its header block."""
    body = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n{body}--{boundary}--\r\n'


TEXT = "Content-Type: text/plain\r\n\r\nhello"
HTML = "Content-Type: text/html\r\n\r\n<p>hello</p>"
IMAGE = (
    'Content-Type: image/png; name="a.png"\r\nContent-ID: <i1@x>\r\nContent-Transfer-Encoding: base64\r\n'
    'Content-Disposition: inline; filename="C:\\\\dir\\\\b.png"\r\n\r\niVBO'
)


class TestOnePart:
    def test_text_is_text(self) -> None:
        message = parse(b"Subject: x\r\n\r\nhello\r\nworld\r\n")
        assert (message.text, message.html, message.attachments) == ("hello\nworld\n", None, ())
        assert message.defects == ()

    def test_html_is_html(self) -> None:
        assert parse(HTML.encode()).html == "<p>hello</p>"
        assert parse(HTML.encode()).text is None

    def test_anything_else_is_an_attachment(self) -> None:
        message = parse(IMAGE.encode())
        (image,) = message.attachments
        assert message.text is None
        assert image.content == b"\x89PN"
        assert image.size == 3
        assert image.content_type == "image/png"
        assert image.content_id == "i1@x"
        assert image.disposition == "inline"
        assert image.filename == "b.png"

    def test_an_attached_text_is_an_attachment(self) -> None:
        message = parse(b"Content-Disposition: attachment; filename=a.txt\r\n\r\nhello")
        assert message.text is None
        assert [part.filename for part in message.attachments] == ["a.txt"]

    def test_a_part_without_fields_has_nothing_to_say(self) -> None:
        part = parse(b"\r\nhello").root
        assert (part.filename, part.disposition, part.content_id) == (None, None, None)

    @pytest.mark.parametrize("value", ["", "text", "text/", "/plain", "a b/c", "text/plain/x", ";"])
    def test_a_type_that_is_none_is_plain_text(self, value: str) -> None:
        assert parse(f"Content-Type: {value}\r\n\r\nhello".encode()).text == "hello"

    @pytest.mark.parametrize(
        ("raw", "text"),
        [
            (b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\ngr\xfcn", "grün"),
            (b"Content-Type: text/plain; charset=x-unknown\r\n\r\ngr\xc3\xbcn", "grün"),
            (b"\r\n\xef\xbb\xbfhi", "hi"),
            (b"Content-Type: text/plain; charset=utf-16le\r\n\r\nh\x00i\x00\r\n", "hi"),
            (b"Content-Transfer-Encoding: base64\r\n\r\n!!!", ""),
            (b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=", ""),
            (b"Content-Transfer-Encoding: nonsense\r\n\r\nhi", "hi"),
            (b"\r\n\x00", "\x00"),
            (b"", ""),
        ],
    )
    def test_any_body_becomes_text(self, raw: bytes, text: str) -> None:
        assert parse(raw).text == text


class TestMultipart:
    def test_alternatives_are_text_and_html(self) -> None:
        message = parse(multipart("b", TEXT, HTML, kind="alternative").encode())
        assert (message.text, message.html, message.attachments) == ("hello", "<p>hello</p>", ())
        assert message.defects == ()

    def test_a_tree_is_found_in_one_pass(self) -> None:
        inner = multipart("in", TEXT, multipart("rel", HTML, IMAGE, kind="related"), kind="alternative")
        message = parse(multipart("out", inner, IMAGE, TEXT).encode())
        assert tree(message.root) == [
            "multipart/mixed",
            ["multipart/alternative", "text/plain", ["multipart/related", "text/html", "image/png"]],
            "image/png",
            "text/plain",
        ]
        assert message.text == "hello\nhello"
        assert [part.content_type for part in message.attachments] == ["image/png", "image/png"]
        assert message.defects == ()

    def test_preamble_and_epilogue_are_no_text(self) -> None:
        raw = (
            multipart("b", TEXT).replace("\r\n\r\n--b", "\r\n\r\npreamble\r\n--b", 1)
            + "epilogue\r\n--b\r\n\r\nx"
        )
        assert parse(raw.encode()).text == "hello"

    def test_bare_lf_is_a_line_end_too(self) -> None:
        raw = multipart("b", TEXT, HTML).replace("\r\n", "\n")
        assert (parse(raw.encode()).text, parse(raw.encode()).html) == ("hello", "<p>hello</p>")

    def test_the_line_end_before_a_boundary_is_not_of_the_part(self) -> None:
        assert parse(multipart("b", TEXT + "\r\n").encode()).text == "hello\n"

    def test_space_may_follow_a_boundary(self) -> None:
        assert parse(multipart("b", TEXT).replace("--b\r\n", "--b \t\r\n").encode()).text == "hello"

    def test_a_boundary_that_begins_like_another_is_another(self) -> None:
        message = parse(multipart("b", multipart("b-", TEXT), HTML).encode())
        assert tree(message.root) == ["multipart/mixed", ["multipart/mixed", "text/plain"], "text/html"]

    def test_a_part_may_have_no_header_fields(self) -> None:
        assert parse(multipart("b", "\r\nhello").encode()).text == "hello"

    def test_a_part_of_a_digest_is_a_message(self) -> None:
        message = parse(multipart("b", "\r\nSubject: x\r\n\r\nhello", kind="digest").encode())
        assert [part.content_type for part in message.attachments] == ["message/rfc822"]

    def test_an_attached_message_stays_closed(self) -> None:
        inner = multipart("in", TEXT, HTML)
        message = parse(multipart("b", TEXT, f"Content-Type: message/rfc822\r\n\r\n{inner}").encode())
        (attached,) = message.attachments
        assert message.html is None
        assert attached.content == inner.removesuffix("\r\n").encode() + b"\r\n"
        assert parse(attached.content).html == "<p>hello</p>"

    def test_a_named_text_after_the_first_part_is_an_attachment(self) -> None:
        named = 'Content-Type: text/plain; name="a.txt"\r\n\r\nattached'
        message = parse(multipart("b", named, named).encode())
        assert message.text == "attached"
        assert [part.filename for part in message.attachments] == ["a.txt"]


class TestBroken:
    @pytest.mark.parametrize(
        ("raw", "text", "defect"),
        [
            ("Content-Type: multipart/mixed\r\n\r\nhello", "hello", "a multipart has no boundary"),
            ("Content-Type: multipart/mixed; boundary=b\r\n\r\nhello", "hello", "a multipart has no parts"),
            ("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\nhello", "", None),
            (f"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{TEXT}", "hello",
             "a multipart is not closed"),
            ("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: y\r\n--b\r\n\r\nhello\r\n--b--",
             "\nhello",
             "a part ends within its header block"),
            ("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b", "", "a multipart is not closed"),
            ("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: y", "",
             "a multipart is not closed"),
            (multipart("b", multipart("in", TEXT).replace("--in--\r\n", "")), "hello\n",
             "a multipart is not closed"),
        ],
    )  # fmt: skip
    def test_what_is_there_is_read(self, raw: str, text: str, defect: str | None) -> None:
        message = parse(raw.encode())
        assert message.text == text
        assert message.defects == ((defect,) if defect else ())

    def test_a_boundary_used_twice_belongs_to_the_inner(self) -> None:
        message = parse(multipart("b", multipart("b", TEXT), HTML).encode())
        assert (message.text, message.html) == ("hello", "<p>hello</p>")

    def test_lines_of_two_hyphens_are_text(self) -> None:
        part = "X: y\r\n--\r\n-- other\r\n\r\n-- \r\n--x--\r\nhello"
        assert parse(multipart("b", part).encode()).text == "-- \n--x--\nhello"

    def test_a_message_without_an_empty_line_is_all_header_block(self) -> None:
        message = parse(b"Content-Type: multipart/mixed; boundary=b")
        assert message.text == ""


class TestLimits:
    def test_a_header_block_beyond_its_limit_is_refused(self) -> None:
        with pytest.raises(HeaderBlockTooLarge):
            parse(b"A: " + b"x" * 300_000 + b"\r\n\r\n")

    def test_nesting_of_5000_is_read_to_its_limit_and_the_rest_left_whole(self) -> None:
        opening = "".join(
            f"Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"
            for level in range(5_000)
        )
        closing = "".join(f"\r\n--b{level}--" for level in reversed(range(5_000)))
        message = parse((opening + TEXT + closing).encode())
        assert message.defects == ("a multipart is nested too deep",)
        (rest,) = message.attachments
        assert rest.content_type == "multipart/mixed"
        assert b"hello" in rest.content
        assert b"--b51" in rest.content
        assert message.text is None

    def test_depth_counts_multiparts(self) -> None:
        raw = multipart("a", multipart("b", TEXT)).encode()
        assert parse(raw, Limits(depth=2)).text == "hello"
        assert parse(raw, Limits(depth=1)).text is None

    def test_parts_beyond_the_limit_stay_together(self) -> None:
        message = parse(multipart("b", *[TEXT] * 10).encode(), Limits(parts=4))
        assert message.text == "\n".join(["hello"] * 4)
        assert message.defects == ("there are more parts, or longer headers of parts, than are read",)
        (rest,) = message.attachments
        assert rest.content.count(b"hello") == 6

    def test_the_headers_of_parts_have_a_limit_together(self) -> None:
        part = "X: " + "x" * 250 + "\r\n\r\nhello"
        message = parse(multipart("b", *[part] * 10).encode(), Limits(header_block=100))
        assert message.text == "hello"
        assert message.attachments[0].content.count(b"hello") == 9

    @pytest.mark.parametrize(
        "piece",
        ["--b\r\n", "--b\r\n\r\n", "--\r\n", "\r\n", "--b--\r\n", "--c\r\n", "-", "--b\r\nX: y\r\n", "\n--b",
         "--b\r\n\n",
         "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
         "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n"],
    )  # fmt: skip
    def test_hostile_bodies_are_read_once(
        self, piece: str, steps: Callable[[Callable[[int], object]], float]
    ) -> None:
        head = "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        limits = Limits(parts=1 << 30, header_block=1 << 30)

        def read(size: int) -> object:
            message = parse((head + piece * size).encode(), limits)
            return message.text, message.attachments

        assert steps(read) < 4
