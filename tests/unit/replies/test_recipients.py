# SPDX-License-Identifier: Apache-2.0
"""To whom an answer through the API goes."""

from __future__ import annotations

import pytest

from rejoinder.errors import RecipientMissing, RequestInvalid
from rejoinder.message.address import Address, Mailbox, parse_address_list
from rejoinder.message.headers import Headers, split
from rejoinder.replies.recipients import Recipients, recipients
from rejoinder.replies.request import ReplyRequest

FROM = Address("Desk", Mailbox("support", "desk.example"))


def headers(text: str) -> Headers:
    return split(text.encode())[0]


def addresses(text: str) -> tuple[Address, ...]:
    return tuple(parse_address_list(text))


def found(text: str, request: ReplyRequest | None = None, *, sent: bool = False) -> Recipients:
    return recipients(
        request or ReplyRequest(FROM),
        headers(text),
        sent=sent,
        is_own=lambda mailbox: mailbox.host == "desk.example",
    )


def shown(some: tuple[Address, ...]) -> list[str]:
    return [str(each) for each in some]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("From: Ann <ann@a.example>\n", ["Ann <ann@a.example>"]),
        # RFC 5322 §3.6.2: Reply-To is there to be preferred.
        ("From: ann@a.example\nReply-To: Help <help@b.example>\n", ["Help <help@b.example>"]),
        ("From: ann@a.example\nReply-To: x@b.example, y@b.example\n", ["x@b.example", "y@b.example"]),
        ("From: ann@a.example\nReply-To: nobody at all\n", ["ann@a.example"]),
        ("From: ann@a.example\nReply-To:\n", ["ann@a.example"]),
        # Nothing can be sent there, so it is as if it were not there.
        ("From: ann@a.example\nReply-To: help@b..example\n", ["ann@a.example"]),
        ("From: ann@a.example, ben@a.example\n", ["ann@a.example", "ben@a.example"]),
        ("From: ann@a.example, Ann <ANN@A.example>\n", ["ann@a.example"]),
        ("From: =?utf-8?q?Gr=C3=BC=0D=0ABcc=3A_x?= <ann@a.example>\n", ["Grü Bcc: x <ann@a.example>"]),
        ("From: ann@münchen.example\n", ["ann@xn--mnchen-3ya.example"]),
    ],
)
def test_an_answer_to_received_mail_goes_to_reply_to_else_to_from(fields: str, expected: list[str]) -> None:
    to = found(fields)
    assert shown(to.to) == [each.replace("Grü Bcc: x", '"Grü Bcc: x"') for each in expected]
    assert to.cc == to.bcc == ()


def test_a_strangers_name_is_cut_where_no_name_is_so_long() -> None:
    [to] = found(f"From: {'x' * 10_000} <ann@a.example>\n").to
    assert to == Address("x" * 256, Mailbox("ann", "a.example"))


def test_an_answer_to_sent_mail_goes_to_whom_it_was_sent() -> None:
    to = found("From: support@desk.example\nReply-To: support@desk.example\nTo: ann@a.example\n", sent=True)
    assert shown(to.to) == ["ann@a.example"]


@pytest.mark.parametrize(
    "fields", ["", "From: \n", "From: nobody\n", "From: undisclosed:;\n", "To: a@a.example\n"]
)
@pytest.mark.parametrize("reply_all", [False, True])
def test_nobody_to_answer_is_refused_by_the_seeds_sentence(fields: str, reply_all: bool) -> None:
    with pytest.raises(RecipientMissing) as refused:
        found(fields, ReplyRequest(FROM, reply_all=reply_all))
    assert refused.value.text == "Cannot determine recipient email address"
    assert refused.value.field == "to"


def test_whom_the_request_names_wins_over_the_mail() -> None:
    request = ReplyRequest(FROM, to=addresses("ben@b.example"), bcc=addresses("eve@e.example"))
    to = found("From: ann@a.example\nCc: carl@c.example\n", request)
    assert shown(to.to) == ["ben@b.example"]
    assert to.cc == ()
    assert shown(to.bcc) == ["eve@e.example"]


def many(number: int) -> str:
    return ", ".join(f"{each}@a.example" for each in range(number))


@pytest.mark.parametrize(
    ("fields", "request_", "number"),
    [
        (f"Reply-To: {many(21)}\n", ReplyRequest(FROM), 21),
        (f"From: {many(1_000)}\n", ReplyRequest(FROM, cc=addresses("x@x.example")), 1_000),
        (f"From: x@x.example\nTo: {many(100)}\n", ReplyRequest(FROM, reply_all=True), 101),
        (f"Cc: {many(101)}\n", ReplyRequest(FROM, to=addresses("x@x.example"), reply_all=True), 101),
    ],
)
def test_a_stranger_does_not_decide_to_how_many_an_answer_goes(
    fields: str, request_: ReplyRequest, number: int
) -> None:
    with pytest.raises(RequestInvalid, match="name `to` yourself") as refused:
        found(fields, request_)
    assert f"names {number} mailboxes" in refused.value.text
    assert refused.value.field == "to"


@pytest.mark.parametrize(
    ("fields", "request_", "number"),
    [
        (f"Reply-To: {many(20)}\n", ReplyRequest(FROM), 20),
        (f"From: x@x.example\nTo: {many(99)}\n", ReplyRequest(FROM, reply_all=True), 100),
        # Whoever asks may name as many as the request allows.
        (f"From: {many(1_000)}\n", ReplyRequest(FROM, to=addresses(many(200))), 200),
        ("From: x@x.example\n", ReplyRequest(FROM, cc=addresses(many(200)), reply_all=True), 201),
    ],
)
def test_some_do_and_so_does_whoever_asks(fields: str, request_: ReplyRequest, number: int) -> None:
    assert len(found(fields, request_).forward_paths) == number


def test_a_mail_of_ours_may_have_gone_to_many() -> None:
    assert len(found(f"To: {many(200)}\n", sent=True).to) == 200


def test_an_empty_list_of_recipients_is_none() -> None:
    assert shown(found("From: ann@a.example\n", ReplyRequest(FROM, to=())).to) == ["ann@a.example"]


MANY = (
    "From: Ann <ann@a.example>\n"
    "To: support@desk.example, Ben <ben@b.example>, ann@a.example\n"
    "Cc: carl@c.example, BEN@b.example, sales@desk.example, broken@, carl@C.example\n"
)


def test_a_reply_to_all_copies_everybody_else_once_and_none_of_ours() -> None:
    to = found(MANY, ReplyRequest(FROM, reply_all=True))
    assert shown(to.to) == ["Ann <ann@a.example>"]
    assert shown(to.cc) == ["Ben <ben@b.example>", "carl@c.example"]


def test_a_reply_to_all_of_sent_mail_copies_whom_it_was_copied_to() -> None:
    sent = "From: support@desk.example\nTo: ann@a.example\nCc: ben@b.example, ann@a.example\n"
    to = found(sent, ReplyRequest(FROM, reply_all=True), sent=True)
    assert (shown(to.to), shown(to.cc)) == (["ann@a.example"], ["ben@b.example"])


def test_copies_that_are_named_win_over_a_reply_to_all() -> None:
    to = found(MANY, ReplyRequest(FROM, reply_all=True, cc=addresses("dora@d.example")))
    assert shown(to.cc) == ["dora@d.example"]
    assert found(MANY, ReplyRequest(FROM, reply_all=True, cc=())).cc == ()


def test_who_is_named_to_is_not_copied_by_a_reply_to_all() -> None:
    to = found(MANY, ReplyRequest(FROM, reply_all=True, to=addresses("carl@c.example")))
    assert shown(to.to) == ["carl@c.example"]
    assert shown(to.cc) == ["Ben <ben@b.example>", "ann@a.example"]


def test_each_mailbox_is_one_forward_path_with_its_domain_as_a_labels() -> None:
    request = ReplyRequest(
        FROM,
        to=addresses("ann@A.example, ann@bücher.example"),
        cc=addresses("ann@a.example"),
        bcc=addresses("eve@e.example, eve@E.EXAMPLE, Ann@a.example"),
    )
    assert [str(path) for path in found("", request).forward_paths] == [
        "ann@a.example",
        "ann@xn--bcher-kva.example",
        "eve@e.example",
        "Ann@a.example",  # RFC 5321 §2.4: who wrote both may mean both
    ]
