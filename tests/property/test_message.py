# SPDX-License-Identifier: Apache-2.0
"""What holds for every message: what is written is read back, and nobody's text becomes structure."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from rejoinder.errors import MessageError
from rejoinder.message.address import Address, Mailbox, author_domains, parse_address_list, parse_mailbox
from rejoinder.message.automatic import detect
from rejoinder.message.compose import Draft, compose
from rejoinder.message.encode import address_field, field, ids_field, parameter
from rejoinder.message.encoded_word import decode_words, encode_words
from rejoinder.message.event_key import EventKeys
from rejoinder.message.headers import Headers, split
from rejoinder.message.parameters import parse_parameters
from rejoinder.message.parse import parse
from rejoinder.message.quote import quote_text
from rejoinder.message.thread import base_subject, msg_ids, reply_fields, reply_subject
from rejoinder.message.trace import format_date, parse_date
from rejoinder.message.transfer import crlf, decode_body, encode_body
from tests.property import strategies as some

DRAFT = Draft(
    from_=Address("Support", Mailbox("support", "desk.example")),
    to=(Address("Jane", Mailbox("jane", "x.example")),),
    subject="Hi",
    text="Hello",
    html=None,
    message_id="<01@desk.example>",
    date=1_763_758_841_000_000,
)


def assert_may_leave(raw: bytes) -> None:
    """7-bit, CRLF only, no line over 998 octets (RFC 5322 §2.1.1, §2.3)."""
    assert raw.isascii()
    assert b"\0" not in raw
    assert raw.count(b"\r\n") == raw.count(b"\n") == raw.count(b"\r")
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))


@given(some.any_text, some.any_text)
def test_no_name_and_no_value_make_a_second_field(name: str, value: str) -> None:
    try:
        raw = field(name, value)
    except MessageError:
        return
    assert_may_leave(raw)
    headers, body = split(raw + b"\r\nbody")
    assert [each.name for each in headers] == [name]
    assert body == len(raw) + 2


@given(some.field_names, some.lines)
@example("Subject", "=?utf-8?q?a?=")
@example("Subject", "a " * 45 + "ü  b")
@example("X", "a" * 1_000)
def test_a_value_is_read_as_it_was_written(name: str, value: str) -> None:
    (found,) = split(field(name, value))[0]
    assert found.name == name
    assert found.decoded == value.strip(" \t").replace("\t", " ")


@given(st.lists(some.addresses, min_size=1, max_size=5))
def test_addresses_are_read_as_they_were_written(addresses: list[Address]) -> None:
    raw = address_field("From", addresses)
    assert_may_leave(raw)
    headers, _ = split(raw)
    assert parse_address_list(headers[0].value) == addresses
    assert author_domains(headers) == {address.mailbox.domain for address in addresses}


@given(some.any_text, some.any_text, some.any_text)
def test_no_address_adds_a_recipient(name: str, local_part: str, domain: str) -> None:
    try:
        raw = address_field("To", [Address(name, Mailbox(local_part, domain))])
    except MessageError:
        return
    assert [found.mailbox.local_part for found in parse_address_list(split(raw)[0][0].value)] == [local_part]


@given(st.from_regex(r"([A-Za-z_' =?.-]{0,12} ?<)?[a-z.+=-]{1,8}@[a-z.-]{1,8}>?", fullmatch=True))
@example("Jane Doe <jane.doe@customer.example>")
@example("jane@customer.example")
@example("=?utf-8?q?x?= <jane@customer.example>")
def test_a_common_address_is_read_as_a_list_of_one(value: str) -> None:
    assert parse_address_list(value) == parse_address_list(f"{value},")


@given(some.mailboxes)
def test_a_mailbox_is_read_as_it_was_written(mailbox: Mailbox) -> None:
    assert parse_mailbox(str(mailbox)) == mailbox


@given(some.lines)
def test_words_say_what_the_text_said(text: str) -> None:
    words = encode_words(text)
    assert all(len(word) <= 75 for word in words)
    assert decode_words(" ".join(words)) == text


@given(some.lines)
def test_a_parameter_is_read_as_it_was_written(value: str) -> None:
    parts = parameter("filename", value)
    assert parse_parameters("attachment; " + ";\r\n ".join(parts))[1].get("filename", "") in {
        value,
        value.strip(),
    }


@given(st.binary(max_size=400) | some.any_text.map(str.encode))
def test_a_body_is_read_as_it_was_written(data: bytes) -> None:
    encoding, lines = encode_body(data)
    assert_may_leave(lines.replace(b"\0", b""))
    expected = crlf(data)
    assert decode_body(lines, encoding) in {expected, expected + b"\r\n"}


@given(some.lines, some.any_text, st.none() | some.any_text, st.lists(some.msg_ids, unique=True, max_size=30))
def test_a_draft_is_read_as_it_was_composed(
    subject: str, text: str, html: str | None, references: list[str]
) -> None:
    raw = compose(replace(DRAFT, subject=subject, text=text, html=html, references=tuple(references)))
    assert_may_leave(raw)
    message = parse(raw)
    assert message.defects == ()
    assert message.attachments == ()
    assert message.headers.fields("Subject")[0].decoded == subject.strip(" ")
    assert msg_ids(message.headers.get("References")) == tuple(references)
    for found, given_text in ((message.text, text), (message.html, html)):
        lines = None if given_text is None else re.sub(r"\r\n?|\n", "\n", given_text).removeprefix("\ufeff")
        assert found in {lines, f"{lines}\n"} if lines is not None else found is None


@given(st.lists(some.msg_ids, max_size=20), some.msg_ids, st.integers(2, 12), st.integers(1, 20))
def test_references_never_shrink_below_their_ends_and_never_loop(
    chain: list[str], own: str, most: int, rounds: int
) -> None:
    first = (*(each for each in dict.fromkeys(chain) if each != own), own)[0]
    lengths = []
    for number in range(rounds):
        block = ids_field("References", chain) + ids_field("Message-ID", [own])
        fields = reply_fields(split(block)[0], most)
        chain = list(fields.references)
        assert fields.in_reply_to == own == chain[-1]
        assert chain[0] == first
        assert len(set(chain)) == len(chain) <= most
        lengths.append(len(chain))
        own = f"<answer-{number}@desk.example>"
    assert all(before <= after for before, after in pairwise(lengths))


@given(some.any_text)
def test_a_subject_has_one_mark_however_often_it_is_answered(subject: str) -> None:
    once = reply_subject(subject)
    assert reply_subject(once) == once
    assert base_subject(once) == base_subject(subject)


@given(
    some.msg_ids, st.lists(st.sampled_from([" ", "\r\n ", "\r\n\t", "(c)", "(a (b) <x@y>)", ","]), max_size=5)
)
def test_any_folding_gives_the_same_identifiers(msg_id: str, between: list[str]) -> None:
    space = "".join(between)
    headers, _ = split(f"References:{space}{msg_id}{space}<z@z>{space}\r\n\r\n".encode())
    assert msg_ids(headers.get("References")) == (msg_id, "<z@z>")


@given(st.integers(0, 4_000_000_000))
def test_a_date_is_read_as_it_was_written(seconds: int) -> None:
    assert parse_date(format_date(seconds * 1_000_000)) == seconds * 1_000_000


@given(some.addresses, some.any_text)
def test_every_quoted_line_has_its_mark(author: Address, text: str) -> None:
    assert all(line.startswith(">") for line in quote_text(author, None, text).split("\n")[1:])


@given(some.mail_bytes | st.binary(max_size=300))
def test_no_bytes_break_a_reader(raw: bytes) -> None:
    message = parse(raw)
    headers: Headers = message.headers
    for part in message.attachments:
        assert part.size == len(part.content)
        assert part.filename != ""
    assert isinstance((message.text or "") + (message.html or ""), str)
    for each in headers:
        assert isinstance(each.decoded, str)
        assert each.raw in raw
        parse_address_list(each.value)
        parse_date(each.value)
    detect(headers, None)
    reply_fields(headers)
    author_domains(headers)
    EventKeys(None, headers, raw).of(Mailbox("a", "b"))


@given(some.mail_bytes)
def test_what_a_reply_takes_over_can_be_written(raw: bytes) -> None:
    headers, _ = split(raw)
    fields = reply_fields(headers)
    assert_may_leave(ids_field("References", fields.references) + field("Subject", fields.subject))


@given(st.lists(st.integers(0, 2_500).map(lambda length: b"x" * length), max_size=6))
@example([b"x" * 998])
@example([b"x" * 999])
@example([b"x" * 998, b"", b"x" * 999])
def test_text_leaves_as_it_is_when_no_line_is_too_long(lines: list[bytes]) -> None:
    encoding, body = encode_body(b"\n".join(lines))
    assert (encoding == "7bit") == (max(map(len, lines), default=0) <= 998)
    assert max(map(len, body.split(b"\r\n"))) <= 998
