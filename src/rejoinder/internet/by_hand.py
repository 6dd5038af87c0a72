# SPDX-License-Identifier: Apache-2.0
"""Part two of the demonstration: somebody answers a mail over the HTTP API, and everything that must be so.

The customer writes to a mailbox where no worker answers. An operator does, with HTML and a file; the text
and the quotation come from the server. Then the same request comes again under its key, as from a client
that never got the first answer. The surprise: that repeat is judged by what arrives, not by what is said of
it: the customer's mail server must have got one mail.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rejoinder.clock.deadline import within
from rejoinder.ingress.session import Delivery
from rejoinder.internet.caller import Caller, HttpAnswer
from rejoinder.internet.conversation import Letter, accepted, hand_over
from rejoinder.internet.desk import PATIENCE, Desk
from rejoinder.internet.proof import badly_threaded, unless, unproven, verify
from rejoinder.internet.town import BILLING, Town
from rejoinder.mailauth.verdict import Verdict
from rejoinder.message.address import Mailbox, parse_address_list
from rejoinder.message.headers import split
from rejoinder.message.parse import parse
from rejoinder.store.records import Email

KEY: Final = "invoice-of-the-fireproof-printer"
"""The Idempotency-Key."""
INVOICE: Final = "item;price\r\nprinter, fireproof;199,00 €\r\n\r\nto pay;199,00 €\n".encode()
"""Bytes with both line ends and more than ASCII: who changes one is found out."""
_FILE: Final = "invoice.csv"
_TYPE: Final = "text/csv"
_SUBJECT: Final = "The invoice"
_QUESTION: Final = "Can I have the invoice for the new printer?"
_SAID: Final = "Here it is. May it never burn."
_HTML: Final = f"<p>Dear Alice,</p><p><b>{_SAID}</b></p>"
_REQUEST: Final = {
    "from": f"Bea at the desk <{BILLING}>",
    "html": _HTML,
    "attachments": [{"filename": _FILE, "contentType": _TYPE, "content": b64encode(INVOICE).decode("ascii")}],
}


@dataclass(frozen=True, slots=True)
class ByHand:
    """A letter and its answer by hand; what did not come to pass is None."""

    letter: Letter
    path: str = ""
    """Where the answer was POSTed, twice."""
    replies: Sequence[HttpAnswer | None] = ()
    answer: Delivery | None = None
    verdict: Verdict | None = None
    read: HttpAnswer | None = None
    """What the API tells of the sent mail afterwards."""
    faults: Sequence[str] = ()


async def answer_by_hand(town: Town, desk: Desk, caller: Caller) -> ByHand:
    """The customer writes, an operator answers twice under one key, and one answer arrives."""
    raw = town.alice.write(BILLING, _SUBJECT, f"Hello,\n\n{_QUESTION}\n\nAlice\n")
    letter = await hand_over(town, desk, raw, town.alice.address.mailbox, BILLING)
    if letter.email is None:
        return ByHand(letter, faults=[*accepted(letter), "the letter was not stored"])
    before = len(town.sink.received)
    path = f"/api/v2/emails/{letter.email.id}/reply"
    first = await caller.post(path, _REQUEST, idempotency_key=KEY)
    if first is None or first.status != 200:
        return ByHand(letter, path, [first], faults=[f"the request: the API said {first or 'nothing'}"])
    again = await caller.post(path, _REQUEST, idempotency_key=KEY)
    answer = await within(town.clock, PATIENCE, town.sink.next())
    if answer is None:
        return ByHand(letter, path, [first, again], faults=["what arrived: nothing"])
    verdict = await verify(town, answer)
    in_store = [*await _not_once(desk, letter.email), *_not_one(len(town.sink.received) - before)]
    read = await caller.get(f"/api/v2/emails/{first.body.get('id')}")
    faults = [
        *_at("the request", _badly_answered(letter.email, first)),
        *_at("the repeat", _badly_repeated(first, again)),
        *_at("the repeat", in_store),
        *_at("what arrived", unproven(verdict)),
        *_at("what arrived", badly_threaded(letter.headers, answer)),
        *_at("what arrived", _badly_sent(town.alice.address.mailbox, answer)),
        *_at("what arrived", _other_content(answer)),
        *_at("the sent mail", _badly_told(first, read, answer)),
    ]
    return ByHand(letter, path, [first, again], answer, verdict, read, faults)


def _badly_answered(email: Email, first: HttpAnswer) -> Iterator[str]:
    told = [first.body.get(name) for name in ("repliedToEmailId", "repliedToThreadId")]
    yield from unless(told == [email.id, email.thread_id], f"it says that it answered {told}")


def _badly_repeated(first: HttpAnswer, again: HttpAnswer | None) -> Iterator[str]:
    if again is None or again.status != 200:
        yield f"the API said {again or 'nothing'}"
        return
    yield from unless(again.body == first.body, "its answer is another")
    replayed = again.headers.get("idempotency-replayed")
    yield from unless(replayed == "true", f"Idempotency-Replayed is {replayed}, not true")


async def _not_once(desk: Desk, email: Email) -> list[str]:
    """What the store has against one answer in the letter's thread, once its delivery is settled."""
    settled, count = await desk.answer(email), await desk.answers(email)
    thread = None if settled is None else settled.sent.thread_id
    return [
        *unless(count == 1, f"the store has {count} answers, not one"),
        *unless(settled is not None, "the answer's delivery is not settled in the store"),
        *unless(thread == email.thread_id, f"the store has the answer in the thread {thread}"),
    ]


def _not_one(arrived: int) -> Iterator[str]:
    yield from unless(arrived == 1, f"{arrived} mails arrived, not one")


def _badly_sent(alice: Mailbox, answer: Delivery) -> Iterator[str]:
    """A person's answer comes back to a place that always exists, and is not marked as automatic."""
    headers, envelope = split(answer.raw)[0], answer.envelope
    wanted = f"bounces@{BILLING.domain}"
    reverse_path = envelope.reverse_path or ""
    yield from unless(str(reverse_path) == wanted, f"it left from <{reverse_path}>, not from <{wanted}>")
    to = [str(path) for path in envelope.forward_paths]
    yield from unless(to == [str(alice)], f"it went to {', '.join(to)}")
    authors = [str(each.mailbox) for each in parse_address_list(headers.get("From", ""))]
    yield from unless(authors == [str(BILLING)], f"it is from {', '.join(authors)}, not {BILLING}")
    yield from unless(headers.get("Auto-Submitted") is None, "it says that a program wrote it")


def _other_content(answer: Delivery) -> Iterator[str]:
    message = parse(answer.raw)
    text, html = message.text or "", message.html or ""
    yield from unless(_SAID in text, f"its text is {text!r}")
    yield from unless(f"\n> {_QUESTION}\n" in text, "its text does not quote the letter")
    yield from unless(html.startswith(_HTML), f"its HTML is {html!r}")
    quotation = html.partition('class="gmail_quote')[2]
    yield from unless(_QUESTION in quotation, "its HTML does not quote the letter")
    files = [(each.filename, each.content_type, each.content) for each in message.attachments]
    yield from unless(files == [(_FILE, _TYPE, INVOICE)], f"its files are {files}")


def _badly_told(first: HttpAnswer, read: HttpAnswer | None, answer: Delivery) -> Iterator[str]:
    """One Message-ID everywhere: promised, on the wire, and in what is read afterwards."""
    on_the_wire = split(answer.raw)[0].get("Message-ID")
    promised = f"<{first.body.get('messageId')}>"
    yield from unless(promised == on_the_wire, f"{promised} was promised, but {on_the_wire} is on the wire")
    if read is None or read.status != 200:
        yield f"the API said {read or 'nothing'}"
        return
    yield from unless(read.body.get("message_id") == on_the_wire, "it is read with another Message-ID")
    event = read.body.get("last_event")
    yield from unless(event == "delivered", f"its last event is {event}, not delivered")


def _at(step: str, faults: Iterable[str]) -> Iterator[str]:
    return (f"{step}: {fault}" for fault in faults)
