# SPDX-License-Identifier: Apache-2.0
"""Neither the mail that is answered nor who answers it through the API can add a field to the answer."""

from __future__ import annotations

from collections import Counter
from typing import TypeVar

from hypothesis import example, given
from hypothesis import strategies as st

from rejoinder.errors import MessageError, RejoinderError, RequestInvalid
from rejoinder.message.address import Address, Mailbox, parse_address_list, parse_mailbox
from rejoinder.message.compose import Attached
from rejoinder.message.parse import ParsedMessage, parse
from rejoinder.replies.answer_compose import build, check
from rejoinder.replies.fingerprint import differing, fingerprint
from rejoinder.replies.original import parsed
from rejoinder.replies.recipients import Recipients, recipients
from rejoinder.replies.request import ReplyRequest
from tests.property import strategies as some
from tests.unit.replies.originals import NOW, OUR_ID

FROM = Address("Desk", Mailbox("support", "desk.example"))
OURS = {
    "date", "from", "reply-to", "to", "cc", "subject", "message-id", "in-reply-to", "references",
    "mime-version", "content-type", "content-transfer-encoding",
}  # fmt: skip

T = TypeVar("T")


def mostly(good: st.SearchStrategy[T], hostile: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """What can be sent, but for one in twenty, so that most requests come to an answer."""
    return st.integers(0, 19).flatmap(lambda number: hostile if number == 7 else good)


texts = mostly(some.lines, some.any_text)
# Whoever makes a request has parsed its mailboxes; their names are anything.
any_address = st.builds(lambda name, address: Address(name, address.mailbox), some.any_text, some.addresses)
addresses = mostly(some.addresses, any_address)
address_lists = st.lists(addresses, max_size=2).map(tuple)
files = st.builds(
    Attached,
    texts,
    mostly(st.sampled_from(["text/plain", "image/png"]), some.any_text),
    st.binary(max_size=40),
    mostly(st.none(), some.any_text),
)
requests = st.builds(
    ReplyRequest,
    from_=addresses,
    to=mostly(st.lists(addresses, min_size=1, max_size=2).map(tuple), st.none()),
    cc=st.one_of(st.none(), address_lists),
    reply_to=address_lists,
    subject=st.one_of(st.none(), texts),
    text=st.one_of(st.none(), some.any_text),
    html=st.one_of(st.none(), some.any_text),
    headers=st.lists(st.tuples(mostly(some.field_names, some.any_text), texts), max_size=2).map(tuple),
    attachments=st.lists(files, max_size=2).map(tuple),
    include_original=st.booleans(),
    reply_all=st.booleans(),
)
header_blocks = st.lists(
    st.tuples(
        st.sampled_from(["From", "Reply-To", "To", "Cc", "Subject", "Date", "Message-ID", "References"]),
        st.one_of(some.any_text, some.addresses.map(str), some.msg_ids),
    ),
    max_size=8,
).map(lambda fields: "".join(f"{name}: {value}\r\n" for name, value in fields))
originals = st.tuples(header_blocks.map(lambda text: text.encode("utf-8", "replace")), some.mail_bytes).map(
    b"".join
)


def answer(request: ReplyRequest, original: ParsedMessage) -> tuple[Recipients, bytes] | None:
    """What the request becomes, unless it is refused."""
    try:
        check(request)
        to = recipients(request, original.headers, sent=False, is_own=lambda mailbox: mailbox.host == "b")
    except (MessageError, RequestInvalid) as refused:
        blamed(refused)
        return None
    return to, build(request, to, original, at=NOW, message_id=OUR_ID, now=NOW).raw


def blamed(refused: RejoinderError) -> None:
    assert refused.http_status == 400
    assert refused.field


@given(requests, originals)
@example(
    ReplyRequest(FROM, text="x", html="x", reply_all=True),
    b"From: \x85 <a@b.c>, \xe4@b.c\r\nTo: a@[1\r\n\r\n",
)
def test_an_answer_has_our_fields_once_and_those_that_were_given(request: ReplyRequest, raw: bytes) -> None:
    answered = answer(request, parsed(raw))
    if answered is None:
        return
    to, message = answered
    assert message.isascii()
    assert message.count(b"\r\n") == message.count(b"\n") == message.count(b"\r")
    assert max(map(len, message.split(b"\r\n"))) <= 998
    fields = Counter(field.name.lower() for field in parse(message).headers)
    given_names = Counter(name.lower() for name, _ in request.headers)
    assert {name: fields[name] for name in given_names} == given_names
    assert set(fields) <= OURS | set(given_names)
    assert all(fields[name] <= 1 for name in OURS)
    for path in to.forward_paths:
        assert str(parse_mailbox(str(path))) == str(path)


@given(originals)
def test_whatever_mail_names_somebody_is_answered_to_all(raw: bytes) -> None:
    answered = answer(ReplyRequest(FROM, text="x", reply_all=True), parsed(raw))
    if answered is not None:
        to, message = answered
        headers = parse(message).headers
        for name, asked in (("To", to.to), ("Cc", to.cc)):
            written = parse_address_list(headers.get(name, ""))
            assert [each.mailbox for each in written] == [each.mailbox for each in asked]
        assert not any(each.mailbox.host == "b" for each in to.cc)
        assert len(set(to.forward_paths)) == len(to.to) + len(to.cc)


@given(requests, requests)
def test_fingerprints_differ_where_the_requests_do(one: ReplyRequest, other: ReplyRequest) -> None:
    differs = differing(fingerprint(one), fingerprint(other))
    assert (differs == ()) == (one == other)
