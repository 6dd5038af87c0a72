# SPDX-License-Identifier: Apache-2.0
"""The conversation that the demonstration shows, and everything about it that must be so.

Three rounds in one thread, each answer verified by its recipient; then four mails that must not be
answered, each for one reason only. What is not as it must be is a sentence in ``faults``; nothing raises
for it. The surprise: the replayed mail is the customer's own, not a byte changed; only the envelope is
another, and that is enough.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rejoinder.clock.deadline import within
from rejoinder.errors import ReplyDmarcFailed, ReplyNoPolicy, ReplyRecipientUnproven, ReplyToAutomaticMail
from rejoinder.ingress.session import Delivery
from rejoinder.internet.desk import PATIENCE, Answer, Desk
from rejoinder.internet.person import Person, post
from rejoinder.internet.proof import badly_threaded, unless, unproven, verify
from rejoinder.internet.town import CUSTOMER_HOST, SUPPORT, Town
from rejoinder.mailauth.verdict import Verdict
from rejoinder.message.address import Mailbox, parse_address_list
from rejoinder.message.headers import Headers, split
from rejoinder.message.parse import parse
from rejoinder.outbound.connection import NextHop
from rejoinder.smtp.reply import Reply
from rejoinder.store.records import DeliveryStatus, Email, RunState

SUBJECT: Final = "My printer is on fire"
ROUNDS: Final = (
    "Hello,\n\nmy printer is on fire. What shall I do?\n\nAlice\n",
    "Thank you. It still burns, and now the desk does too.\n\nAlice\n",
    "The fire brigade was here. You can close the ticket.\n\nAlice\n",
)
VICTIM: Final = Mailbox("victim", "elsewhere.example")
_TICKET: Final = re.compile(r"ticket number is (\w+)")


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail that was handed to the server, and what the server said and thought of it."""

    raw: bytes
    reverse_path: Mailbox
    smtp_reply: Reply | None
    email: Email | None
    """None if the server kept nothing."""

    @property
    def headers(self) -> Headers:
        """Its header fields."""
        return split(self.raw)[0]

    @property
    def verdict(self) -> Verdict | None:
        """What the server found about its author."""
        return None if self.email is None else Verdict.from_json(self.email.verdict)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A letter of the customer and the answer as their mail server got it, verified there."""

    letter: Letter
    answer: Delivery | None
    verdict: Verdict | None
    text: str
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A mail that must not be answered, and the codes of the rules that saw to it."""

    title: str
    letter: Letter
    codes: tuple[str, ...]
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Case:
    title: str
    raw: bytes
    reverse_path: Mailbox
    code: str


async def three_rounds(town: Town, desk: Desk) -> AsyncIterator[Exchange]:
    """The customer writes and answers each answer; ends early when one does not come."""
    earlier: list[Exchange] = []
    for text in ROUNDS:
        last = earlier[-1].answer if earlier else None
        answering = None if last is None else split(last.raw)[0]
        raw = town.alice.write(SUPPORT, SUBJECT, text, answering=answering)
        exchange = await _exchange(town, desk, raw, earlier)
        earlier.append(exchange)
        yield exchange
        if exchange.answer is None:
            return


async def unanswered(town: Town, desk: Desk, exchanges: Sequence[Exchange]) -> AsyncIterator[Unanswered]:
    """The four mails that nobody may answer; they need a conversation that went before."""
    for case in _cases(town, exchanges):
        letter = await hand_over(town, desk, case.raw, case.reverse_path)
        run = None if letter.email is None else await desk.ended(letter.email)
        codes = () if letter.email is None or run is None else await desk.refusals(letter.email)
        is_answered = letter.email is not None and await desk.is_answered(letter.email)
        faults = [
            *accepted(letter),
            *unless(run is not None and run.state is RunState.FINISHED, "the worker's run did not end well"),
            *unless(
                codes == (case.code,),
                f"it was refused for {', '.join(codes) or 'no reason'}, not for {case.code} alone",
            ),
            *unless(not is_answered, "it was answered"),
        ]
        yield Unanswered(case.title, letter, codes, tuple(faults))


async def hand_over(
    town: Town, desk: Desk, raw: bytes, reverse_path: Mailbox, to: Mailbox = SUPPORT
) -> Letter:
    """Give a mail to the server as the customer's mail server would."""
    _, before = await desk.newest()
    hop = NextHop(to.domain, *desk.smtp)
    result = await post(town.pool, hop, CUSTOMER_HOST, raw, reverse_path=reverse_path, to=to)
    newest, total = await desk.newest()
    return Letter(raw, reverse_path, result.outcomes[0].reply, newest if total > before else None)


def accepted(letter: Letter) -> Iterator[str]:
    """What keeps a letter from having been taken."""
    reply = letter.smtp_reply
    said = "nothing" if reply is None else str(reply)
    yield from unless(reply is not None and reply.code == 250, f"the server said {said}, not 250")


async def _exchange(town: Town, desk: Desk, raw: bytes, earlier: Sequence[Exchange]) -> Exchange:
    letter = await hand_over(town, desk, raw, town.alice.address.mailbox)
    if letter.email is None:
        return Exchange(letter, None, None, "", (*accepted(letter), "it was not stored"))
    answer = await _answer(town, desk, letter.email)
    if answer is None:
        why = ", ".join(await desk.refusals(letter.email)) or "nothing was refused"
        return Exchange(letter, None, None, "", (*accepted(letter), f"no answer came: {why}"))
    verdict = await verify(town, answer)
    text = parse(answer.raw).text or ""
    faults = [
        *accepted(letter),
        *unproven(verdict),
        *badly_threaded(letter.headers, answer),
        *_badly_sent(town, answer),
        *_in_another_thread(letter, await desk.answer(letter.email), earlier),
        *_other_ticket(text, earlier),
    ]
    return Exchange(letter, answer, verdict, text, tuple(faults))


async def _answer(town: Town, desk: Desk, email: Email) -> Delivery | None:
    """The answer as the customer's mail server gets it; None if there is none, or it does not come."""
    if await desk.ended(email) is None or not await desk.is_answered(email):
        return None
    return await within(town.clock, PATIENCE, town.sink.next())


def _badly_sent(town: Town, answer: Delivery) -> Iterator[str]:
    """RFC 3834 §3 and §4."""
    headers, envelope = split(answer.raw)[0], answer.envelope
    word = headers.get("Auto-Submitted")
    yield from unless(word == "auto-replied", f"Auto-Submitted is {word}, not auto-replied")
    reverse_path = envelope.reverse_path
    yield from unless(reverse_path is None, f"the answer left from <{reverse_path}>, not from <>")
    to = [str(path) for path in envelope.forward_paths]
    yield from unless(to == [str(town.alice.address.mailbox)], f"the answer went to {', '.join(to)}")
    authors = [str(each.mailbox) for each in parse_address_list(headers.get("From", ""))]
    yield from unless(authors == [str(SUPPORT)], f"the answer is from {', '.join(authors)}, not {SUPPORT}")


def _in_another_thread(letter: Letter, answer: Answer | None, earlier: Sequence[Exchange]) -> Iterator[str]:
    mails = [each.letter.email for each in earlier] + [letter.email]
    threads = {mail.thread_id for mail in mails if mail is not None}
    if answer is None:
        yield "the answer's delivery is not settled in the store"
        return
    status = answer.delivery.status
    yield from unless(status is DeliveryStatus.DELIVERED, f"the store says that the answer is {status}")
    one = threads | {answer.sent.thread_id}
    yield from unless(len(one) == 1, f"the store has the conversation in {len(one)} threads")


def _other_ticket(text: str, earlier: Sequence[Exchange]) -> Iterator[str]:
    tickets = [match and match[1] for match in map(_TICKET.search, [*(each.text for each in earlier), text])]
    yield from unless(tickets[-1] is not None, f"there is no ticket number in {text!r}")
    yield from unless(len(set(tickets)) == 1, f"the thread has the ticket numbers {tickets}")


def _cases(town: Town, exchanges: Sequence[Exchange]) -> Iterator[_Case]:
    alice, answer = town.alice, exchanges[-1].answer
    assert answer is not None
    yield _Case(
        "An out-of-office notice, signed; automatic mail is never answered",
        alice.write(
            SUPPORT,
            SUBJECT,
            "I am away until Monday.\n",
            answering=split(answer.raw)[0],
            headers=[("Auto-Submitted", "auto-replied")],
        ),
        alice.address.mailbox,
        ReplyToAutomaticMail.code,
    )
    yield _Case(
        "Somebody else's name; its domain forbids it",
        town.ceo.write(SUPPORT, "Urgent payment", "Please pay the attached invoice today.\n"),
        alice.address.mailbox,
        ReplyDmarcFailed.code,
    )
    yield _Case(
        "The customer's own signed mail, replayed to have somebody else answered",
        exchanges[0].letter.raw,
        VICTIM,
        ReplyRecipientUnproven.code,
    )
    yield _Case(
        "A domain without a policy; nothing proves who wrote",
        _from(town.noel),
        town.noel.address.mailbox,
        ReplyNoPolicy.code,
    )


def _from(person: Person) -> bytes:
    return person.write(SUPPORT, "A question", "Do you have printers that do not burn?\n")
