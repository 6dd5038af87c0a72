# SPDX-License-Identifier: Apache-2.0
"""From a reply's JSON to what is asked: spellings, addresses, and what each refusal names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.api.reply_wire import MAX_HEADER_SIZE, MAX_HTML, reply_request
from rejoinder.errors import (
    ContentMissing,
    EmailFormatInvalid,
    FieldsConflict,
    FromMissing,
    HeaderInjection,
    MessageTooLarge,
    RequestInvalid,
)
from rejoinder.message.address import Address, Mailbox
from rejoinder.replies.request import ReplyRequest

LEAST: Final = {"from": "support@desk.example", "text": "Hello"}
SUPPORT: Final = Mailbox("support", "desk.example")
ZOE: Final = Address("", Mailbox("zoe", "customer.example"))


def read(**fields: object) -> ReplyRequest:
    return reply_request({**LEAST, **fields})


def refusal(**fields: object) -> RequestInvalid:
    with pytest.raises(RequestInvalid) as raised:
        read(**fields)
    return raised.value


def test_the_least_is_a_from_and_a_text() -> None:
    assert reply_request(LEAST) == ReplyRequest(from_=Address("", SUPPORT), text="Hello")


def test_what_is_null_or_empty_was_not_given() -> None:
    names = ("from_name", "to", "cc", "bcc", "reply_to", "subject", "html", "headers", "attachments", "tags")
    flags = ("include_original", "includeOriginal", "reply_all", "replyAll")
    assert read(**dict.fromkeys(names + flags)) == reply_request(LEAST)
    assert read(to="", cc="", subject="", html="", from_name="") == reply_request(LEAST)


def test_what_is_unknown_is_ignored() -> None:
    assert read(react={"a": [1]}, scheduled_at=7, simple="perhaps") == reply_request(LEAST)


@pytest.mark.parametrize("simple", [True, False, None])
def test_simple_changes_nothing(simple: bool | None) -> None:
    files = [{"filename": "a.txt", "content": "YQ=="}]
    assert read(simple=simple, attachments=files, cc="zoe@customer.example") == read(
        attachments=files, cc="zoe@customer.example"
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": "é" * MAX_HEADER_SIZE},
        {"from_name": "é" * MAX_HEADER_SIZE},
        {"headers": {f"X-{number}": "x" * 10_000 for number in range(30)}},
        {"to": [f"{'x' * 900} <{number}@customer.example>" for number in range(300)]},
    ],
    ids=["subject", "name", "headers", "addresses"],
)
def test_header_fields_have_a_size_that_is_read_everywhere(fields: dict[str, object]) -> None:
    error = refusal(**fields)
    assert isinstance(error, MessageTooLarge)
    assert "are written into header fields" in error.text


def test_html_has_a_size() -> None:
    error = refusal(html="x" * (MAX_HTML + 1))
    assert (type(error), error.field) == (MessageTooLarge, "html")
    assert read(html="x" * MAX_HTML).html


def test_a_long_subject_is_a_subject() -> None:
    assert len(read(subject="x" * (MAX_HEADER_SIZE - 100)).subject or "") == MAX_HEADER_SIZE - 100


# --- spellings ----------------------------------------------------------------------------------------

PAIRS: Final = [
    ("reply_to", "replyTo", "zoe@customer.example", "other@customer.example"),
    ("include_original", "includeOriginal", False, True),
    ("reply_all", "replyAll", True, False),
    ("from_name", "fromName", "Zoë", "Zoe"),
]


@pytest.mark.parametrize(("snake", "camel", "value", "other"), PAIRS)
def test_both_spellings_say_the_same(snake: str, camel: str, value: object, other: object) -> None:
    assert read(**{snake: value}) == read(**{camel: value}) == read(**{snake: value, camel: value})
    assert read(**{snake: value}) != reply_request(LEAST)
    assert read(**{snake: value, camel: None}) == read(**{snake: value})


@pytest.mark.parametrize(("snake", "camel", "value", "other"), PAIRS)
def test_two_spellings_with_different_values_conflict(
    snake: str, camel: str, value: object, other: object
) -> None:
    error = refusal(**{snake: value, camel: other})
    assert isinstance(error, FieldsConflict)
    assert (error.code, error.field) == ("conflicting-fields", snake)


def test_two_spellings_of_one_meaning_do_not_conflict() -> None:
    one, other = "Zoe <zoe@customer.example>", [" Zoe  <zoe@customer.example> "]
    assert read(reply_to=one, replyTo=other).reply_to == read(reply_to=one).reply_to


# --- addresses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("support@desk.example", Address("", SUPPORT)),
        (" support@desk.example\n", Address("", SUPPORT)),
        ("<support@desk.example>", Address("", SUPPORT)),
        ("Support <support@desk.example>", Address("Support", SUPPORT)),
        ("Support<support@desk.example>", Address("Support", SUPPORT)),
        ('"Desk, the \\"best\\"" <support@desk.example>', Address('Desk, the "best"', SUPPORT)),
        # A name needs no quotes; it is quoted when it is written.
        ("Desk, the best <support@desk.example>", Address("Desk, the best", SUPPORT)),
        ("a@b.example <support@desk.example>", Address("a@b.example", SUPPORT)),
        ("Zoë <support@desk.example>", Address("Zoë", SUPPORT)),
        ("support@Bücher.example", Address("", Mailbox("support", "xn--bcher-kva.example"))),
        ('"a b"@desk.example', Address("", Mailbox("a b", "desk.example"))),
    ],
)
def test_an_address_is_read_with_or_without_a_name(written: str, address: Address) -> None:
    assert reply_request({**LEAST, "from": written}).from_ == address


@pytest.mark.parametrize(
    "written",
    [
        "support",
        "@desk.example",
        "support@",
        "support@@desk.example",
        "sup port@desk.example",
        "support@desk..example",
        "support@-desk.example",
        "a..b@desk.example",
        "a@b.example, c@d.example",
        "Support <support@desk.example> and more",
        "Support <<support@desk.example>>",
        "Support support@desk.example",
        "support@desk.example\r\nBcc: eve@evil.example",
        "support@desk.example\x00",
        "zoë@desk.example",
        "<>",
        "x" * 2_000 + "@desk.example",
        "\ud800@desk.example",
    ],
)
def test_what_is_no_address_is_refused_and_shown(written: str) -> None:
    error = refusal(to=written)
    assert isinstance(error, EmailFormatInvalid)
    assert error.text.startswith("Invalid email format: ")
    assert error.details
    assert error.field == "to"
    assert len(error.text) < 200


def test_the_wrong_address_of_a_list_is_named() -> None:
    assert refusal(cc=["zoe@customer.example", "bob"]).field == "cc[1]"
    assert refusal(bcc=["zoe@customer.example", 7]).field == "bcc[1]"
    assert refusal(reply_to={"a": 1}).field == "reply_to"
    assert refusal(replyTo=[None]).field == "replyTo[0]"


def test_one_address_and_a_list_of_one_are_the_same() -> None:
    assert read(to="zoe@customer.example") == read(to=["zoe@customer.example"])
    assert read(to="zoe@customer.example").to == (ZOE,)


def test_no_recipient_is_the_default_but_no_copy_is_meant() -> None:
    request = read(to=[], cc=[])
    assert (request.to, request.cc) == (None, ())


def test_there_is_an_end_of_addresses() -> None:
    assert refusal(to=["zoe@customer.example"] * 600, bcc=["zoe@customer.example"] * 401).field == "to"
    assert refusal(to=["zoe@customer.example"] * 1_001).field == "to"


@pytest.mark.parametrize("value", [None, "", "  ", "\n"])
def test_a_from_is_required(value: object) -> None:
    error = refusal(**{"from": value})
    assert isinstance(error, FromMissing)
    assert (error.text, error.field) == ("From address is required", "from")


def test_from_name_is_the_name_that_counts() -> None:
    assert read(**{"from": "Desk <support@desk.example>"}, from_name="Support").from_ == Address(
        "Support", SUPPORT
    )


# --- content ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [{}, {"text": ""}, {"html": None}, {"text": "", "html": ""}])
def test_a_text_or_html_is_required(content: dict[str, object]) -> None:
    with pytest.raises(ContentMissing, match=r"^Either html or text content must be provided$"):
        reply_request({"from": "support@desk.example", **content})


def test_what_utf_8_cannot_hold_is_replaced() -> None:
    assert read(text="a\ud800b💌", html="\udfff").text == "a\ufffdb💌"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"text": 7}, "text"),
        ({"html": ["<p>"]}, "html"),
        ({"subject": {}}, "subject"),
        ({"from": ["support@desk.example"]}, "from"),
        ({"from_name": True}, "from_name"),
        ({"include_original": "no"}, "include_original"),
        ({"replyAll": 1}, "replyAll"),
        ({"headers": "X-A: b"}, "headers"),
        ({"headers": {"X-A": 7}}, "headers.X-A"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "headers"),
        ({"headers": {f"X-{n}": "" for n in range(101)}}, "headers"),
        ({"attachments": {}}, "attachments"),
        ({"tags": "support"}, "tags"),
        ({"tags": ["support"]}, "tags[0]"),
        ({"tags": [{"value": "x"}]}, "tags[0].name"),
        ({"tags": [{"name": "x", "value": "y" * 257}]}, "tags[0].value"),
        ({"tags": [{"name": "x"}] * 51}, "tags"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, object], named: str) -> None:
    assert refusal(**fields).field == named


def test_headers_and_tags_are_kept_in_their_order() -> None:
    request = read(
        headers={"X-B": "1", "X-A": "2", "X-C": None}, tags=[{"name": "b", "value": "1"}, {"name": "a"}]
    )
    assert request.headers == (("X-B", "1"), ("X-A", "2"))
    assert request.tags == (("b", "1"), ("a", ""))


ANY_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=6,
)
NAMES: Final = (
    "from", "from_name", "to", "cc", "bcc", "reply_to", "replyTo", "subject", "text", "html", "headers",
    "attachments", "include_original", "includeOriginal", "replyAll", "tags", "simple",
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(NAMES), ANY_JSON))
def test_any_json_is_a_request_or_refused_by_a_field_of_it(fields: dict[str, Any]) -> None:
    for body in (fields, {**LEAST, **fields}):
        with suppress(RequestInvalid, HeaderInjection), _naming_a_field():
            reply_request(body)


@contextmanager
def _naming_a_field() -> Iterator[None]:
    try:
        yield
    except (RequestInvalid, HeaderInjection) as error:
        if not error.field:
            raise AssertionError(error.text) from error
        raise
