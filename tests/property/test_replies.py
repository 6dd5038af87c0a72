# SPDX-License-Identifier: Apache-2.0
"""Nothing of a mail that is answered can become a field of the answer, whatever it holds."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from rejoinder.errors import ReplyRefused
from rejoinder.message.address import Mailbox
from rejoinder.message.headers import Headers, split
from rejoinder.message.thread import msg_ids
from rejoinder.replies.compose import Message, Reply, Text, compose_reply, propose
from rejoinder.replies.original import Original
from rejoinder.replies.report import compose_report
from rejoinder.replies.rules import MAX_REFERENCES
from tests.property import strategies as some
from tests.unit.replies.originals import ALICE, NOW, ORIGINAL, OUR_ID

TEXT_FIELDS = ["Date", "From", "To", "Subject", "Message-ID", "In-Reply-To", "References", "Auto-Submitted"]
octets = st.one_of(some.any_text.map(lambda text: text.encode("utf-8", "replace")), st.binary(max_size=200))
ids = st.lists(st.from_regex(r"<[a-c]{1,2}@x\.example>", fullmatch=True), max_size=8)


def answered(original: Original, content: Text | Message) -> tuple[Reply, Headers]:
    reply = compose_reply(original, content, recipient=ALICE, message_id=OUR_ID, now=NOW)
    assert reply.raw.isascii()
    assert reply.raw.count(b"\r\n") == reply.raw.count(b"\n") == reply.raw.count(b"\r")
    assert all(len(line) <= 998 for line in reply.raw.split(b"\r\n"))
    return reply, split(reply.raw)[0]


def original_with(subject: bytes, name: bytes, references: bytes) -> Original:
    block = b"From: %s <alice@customer.example>\r\nSubject: %s\r\nReferences: %s\r\n" % (
        name,
        subject,
        references,
    )
    return replace(ORIGINAL, headers=split(block + b"Message-ID: <1@customer.example>\r\n")[0])


@given(octets, octets, octets)
@example(b"=?utf-8?q?a=0D=0ABcc:_v=40x.example?=", b"=?utf-8?b?Cg==?=", b"<a@b>\r\n Bcc: v@x.example")
@example(b"\x85\x93", b'"\x00', b"<>")
def test_no_subject_name_or_chain_of_an_original_makes_a_field(
    subject: bytes, name: bytes, references: bytes
) -> None:
    original = original_with(subject, name, references)
    _, headers = answered(original, Text("Hello"))
    names = [field.name for field in headers if not field.name.startswith(("MIME-", "Content-"))]
    assert names == [each for each in TEXT_FIELDS if headers.get(each) is not None]
    assert set(TEXT_FIELDS) - set(names) <= {"In-Reply-To", "References"}
    _, built = answered(original, Message(b"From: support@desk.example\r\n\r\nHello"))
    assert sorted(each.name for each in built) == sorted([*names, "MIME-Version"])


@given(octets, octets, st.text(max_size=100))
def test_a_report_about_any_original_may_leave(subject: bytes, name: bytes, reason: str) -> None:
    report = compose_report(
        original_with(subject, name, b""), ALICE, reason, hostname="mx.desk.example", token="t", now=NOW
    )
    assert report.raw.isascii()
    assert len(split(report.raw)[0].fields("From")) == 1
    assert split(report.raw)[0].get("Bcc") is None


@given(ids, ids, st.sampled_from(["<1@customer.example>", ""]))
def test_a_chain_never_shrinks_repeats_or_names_the_reply_itself(
    theirs: list[str], given_: list[str], own: str
) -> None:
    original = original_with(b"x", b"", " ".join(theirs).encode())
    given_ = [*given_, "<1@customer.example>"]
    built = f"From: support@desk.example\r\nMessage-ID: {own or OUR_ID}\r\nReferences: {' '.join(given_)}\r\n"
    reply, headers = answered(original, Message(built.encode()))
    chain = msg_ids(headers.get("References"))
    assert chain == reply.references
    assert len(chain) == len(set(chain)) <= MAX_REFERENCES
    assert set(theirs) | set(given_) == set(chain)
    assert chain[-1] == "<1@customer.example>"
    assert reply.message_id not in chain


@given(st.one_of(st.binary(max_size=300), some.any_text.map(lambda t: t.encode("utf-8", "replace"))))
def test_whatever_a_worker_builds_is_refused_or_may_leave(raw: bytes) -> None:
    for built in (raw, b"From: support@desk.example\r\n" + raw):
        try:
            propose(ORIGINAL, Message(built))
            reply = compose_reply(ORIGINAL, Message(built), recipient=ALICE, message_id=OUR_ID, now=NOW)
        except ReplyRefused:
            continue
        headers, _ = split(reply.raw)
        for once in TEXT_FIELDS:
            assert len(headers.fields(once)) == 1
        assert headers.get("Bcc") is None
        assert reply.author == Mailbox("support", "desk.example")
