# SPDX-License-Identifier: Apache-2.0
"""How a mail becomes ours: hold, decide, commit, answer.

The story: the content has ended. What no policy can make right is refused; who sent it is found out; each
recipient that is new gets a try of its worker. The session holds until every try has settled or the time
for holding is over. Then the answer is decided from all recipients (``ingress.decide``), everything becomes
durable in one transaction, and only then the sender hears the answer. A try that goes on is leased to us and
finished by ``dispatch`` when it ends.

The surprise: the same mail may come twice at the same time. In one process the second waits for the first;
between processes the loser of the unique key discards what its workers did and gives the winner's answer.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import structlog

from rejoinder.clock import Clock
from rejoinder.clock.deadline import within
from rejoinder.dns import Resolver
from rejoinder.errors import MessageError, StoreError
from rejoinder.ids import Ids
from rejoinder.ingress import log
from rejoinder.ingress.arrival import Arrival, Recipient, recipient
from rejoinder.ingress.commit import REMEMBERED, Committer, SeenElsewhere
from rejoinder.ingress.decide import Handling, overall
from rejoinder.ingress.session import Client, Delivery
from rejoinder.ingress.settings import IngressSettings
from rejoinder.mailauth.authenticate import authenticate
from rejoinder.mailauth.verdict import Verdict
from rejoinder.message.address import Mailbox
from rejoinder.message.event_key import EventKeys
from rejoinder.queue.turns import Turns
from rejoinder.replies.original import Original
from rejoinder.routing.table import Table, Target, Unroutable
from rejoinder.runtime.run import LARGE, Assignment, Runner, Try
from rejoinder.runtime.settings import WorkersSettings
from rejoinder.runtime.source import Held
from rejoinder.smtp.event import ContentRefused
from rejoinder.smtp.reply import Reply
from rejoinder.store import seen, sent
from rejoinder.store.records import Job, Seen
from rejoinder.store.unit import Store, Unit

MOST_HELD_RECIPIENTS = 10
"""With more recipients than this the sender does not wait for workers."""

_log = structlog.get_logger("ingress")


class Dispatch(Protocol):
    """Takes over the tries that go on after the answer."""

    def adopt(self, attempt: Try, job: Job) -> None:
        """Keep the lease of the job, and finish the run when the try ends."""
        ...


class Acceptor:
    """The ``MailHandler`` of the house."""

    def __init__(
        self,
        *,
        store: Store,
        table: Table,
        resolver: Resolver,
        clock: Clock,
        ids: Ids,
        runner: Runner,
        committer: Committer,
        dispatch: Dispatch,
        ingress: IngressSettings,
        workers: WorkersSettings,
        hostname: str,
    ) -> None:
        self._store = store
        self._table = table
        self._resolver = resolver
        self._clock = clock
        self._ids = ids
        self._runner = runner
        self._committer = committer
        self._dispatch = dispatch
        self._ingress = ingress
        self._workers = workers
        self._hostname = hostname
        self._turns = Turns()
        self._held_ids: set[tuple[str, str]] = set()
        self._held_octets = 0
        self._draining = False

    def drain(self) -> None:
        """From now on no sender waits for a worker."""
        self._draining = True

    def is_held(self, account: str, email_id: str) -> bool:
        """Whether a mail of this account and id has arrived here and is not yet committed."""
        return (account, email_id) in self._held_ids

    def recipient(self, forward_path: Mailbox, reverse_path: Mailbox | None, client: Client) -> Reply | None:
        """Whether the forward-path has a target; see ``MailHandler``."""
        match self._table.find(forward_path):
            case Unroutable.RELAYING:
                return Reply.of(550, "5.7.1", "Relaying denied")
            case Unroutable.UNKNOWN_MAILBOX:
                return Reply.of(550, "5.1.1", "No such mailbox here")
            case Target():
                return None

    async def accept(self, delivery: Delivery) -> Reply:
        """Take one mail; see ``MailHandler``."""
        try:
            arrival = Arrival.of(delivery)
        except MessageError as error:
            return await self._not_kept(
                delivery, Reply.of(*error.smtp_reply, "The header block is too large")
            )
        refusal = arrival.refusal()
        if refusal is not None:
            return await self._not_kept(delivery, refusal)
        authenticating = self._authenticated(arrival)
        verdict = await within(self._clock, self._ingress.authentication_timeout, authenticating)
        verdict = verdict or Verdict.unanswered()
        if verdict.failed_for_now and self._ingress.on_dns_failure == "defer":
            answer = Reply.of(
                451, "4.4.3", "The DNS failed while the sender was authenticated, try again later"
            )
            return await self._not_kept(delivery, answer)
        recipients = self._recipients(arrival, await self._event_keys(arrival))
        async with self._turns.taken(each.event_key for each in recipients):
            with self._holding(recipients, len(delivery.raw)):
                return await self._take(arrival, verdict, recipients)

    async def refused(self, refusal: ContentRefused, client: Client) -> None:
        """Leave an event row for a mail that is not kept; see ``MailHandler``.

        Only what was addressed to somebody here leaves one. Any stranger can say the rest at no cost, and
        the store forgets no event.
        """
        log.mail_refused(refusal, client)
        if not refusal.envelope.forward_paths:
            return
        try:
            await self._committer.note(refusal, client)
        except StoreError as error:
            _log.error("ingress.event_lost", code=error.code, error=error.text, answer=str(refusal.reply))

    async def _event_keys(self, arrival: Arrival) -> EventKeys:
        if len(arrival.delivery.raw) < LARGE:
            return arrival.event_keys()
        return await asyncio.to_thread(arrival.event_keys)

    def _recipients(self, arrival: Arrival, keys: EventKeys) -> Sequence[Recipient]:
        """The recipients, each mailbox once however often and in whatever case it was named."""
        found: dict[tuple[str, str], Recipient] = {}
        for named in arrival.delivery.envelope.forward_paths:
            target = self._table.find(named)
            if isinstance(target, Target):
                # RFC 5321 §4.5.1: the bare postmaster is the one of our first domain, who may be named too.
                path = named if named.domain else Mailbox(named.local_part, target.domain)
                ours = (path.local_part.casefold(), path.host)
                if ours not in found:
                    found[ours] = recipient(arrival, path, target, keys, self._ids)
        return list(found.values())

    async def _authenticated(self, arrival: Arrival) -> Verdict:
        delivery = arrival.delivery
        return await authenticate(
            delivery.raw,
            arrival.headers,
            arrival.body_offset,
            ip=delivery.client.ip,
            helo=delivery.client.helo or "",
            reverse_path=delivery.envelope.reverse_path,
            resolver=self._resolver,
            now=delivery.received_at,
            receiver=self._hostname,
        )

    async def _take(self, arrival: Arrival, verdict: Verdict, recipients: Sequence[Recipient]) -> Reply:
        horizon = arrival.delivery.received_at - REMEMBERED
        earlier, ours = await self._store.read(lambda: _known(arrival, recipients, horizon))
        handlings = [
            Handling(
                to, _original(arrival, to, verdict, to.target.account in ours), earlier.get(to.event_key)
            )
            for to in recipients
        ]
        for handling in handlings:
            handling.assignment = _assignment(arrival, handling)
        try:
            if self._may_hold(handlings):
                for handling in handlings:
                    if handling.assignment is not None:
                        handling.attempt = self._runner.start(handling.assignment)
                await self._hold([each.attempt for each in handlings if each.attempt is not None])
            return await self._decided(arrival, handlings)
        except BaseException:
            await self._abandon(handlings)  # the sender gets no answer for what they did
            raise

    async def _decided(self, arrival: Arrival, handlings: Sequence[Handling]) -> Reply:
        """Commit what follows from the ends of the tries; the answer that is true then."""
        while True:
            answer = overall(handlings)
            try:
                await self._commit(arrival, handlings, answer)
            except SeenElsewhere as lost:
                await self._discard(handlings, lost.seen)
                continue
            except StoreError as error:
                await self._abandon(handlings)
                answer = Reply.of(*error.smtp_reply, "Temporary failure, try again later")
                _log.error("ingress.commit_failed", code=error.code, error=error.text, answer=str(answer))
                log.mail_refused(_refusal(arrival.delivery, answer), arrival.delivery.client)
            return answer

    def _may_hold(self, handlings: Sequence[Handling]) -> bool:
        workers = Counter(each.assignment.worker for each in handlings if each.assignment is not None)
        return (
            not self._draining
            and self._workers.hold > 0
            and len(handlings) <= MOST_HELD_RECIPIENTS
            and self._held_octets <= self._workers.hold_memory
            and all(self._runner.has_room(worker, runs) for worker, runs in workers.items())
        )

    async def _hold(self, tries: Sequence[Try]) -> None:
        if tries:
            await within(self._clock, self._workers.hold, _all_settled(tries))

    async def _commit(self, arrival: Arrival, handlings: Sequence[Handling], answer: Reply) -> None:
        if answer.is_transient:
            await self._abandon(handlings)
            await self._not_kept(arrival.delivery, answer)
            return
        await self._committer.commit(arrival, handlings, answer)
        log.mail_kept(arrival, handlings, answer)
        for handling in handlings:
            if handling.attempt is not None:
                handling.attempt.committed()
                if not handling.goes_on:
                    handling.attempt.release()
            if handling.goes_on and handling.job is not None and handling.attempt is not None:
                self._dispatch.adopt(handling.attempt, handling.job)

    async def _discard(self, handlings: Sequence[Handling], winner: Seen) -> None:
        for handling in handlings:
            if handling.to.event_key == winner.event_key:
                handling.earlier, handling.assignment = winner, None
                if handling.attempt is not None:
                    await handling.attempt.cancel()
                    handling.attempt = None

    async def _abandon(self, handlings: Sequence[Handling]) -> None:
        for handling in handlings:
            if handling.attempt is not None:
                await handling.attempt.cancel()

    async def _not_kept(self, delivery: Delivery, answer: Reply) -> Reply:
        await self.refused(_refusal(delivery, answer), delivery.client)
        return answer

    @contextmanager
    def _holding(self, recipients: Sequence[Recipient], octets: int) -> Iterator[None]:
        ids = {(each.target.account, each.email_id) for each in recipients}
        self._held_ids |= ids
        self._held_octets += octets
        try:
            yield
        finally:
            self._held_ids -= ids
            self._held_octets -= octets


async def _all_settled(tries: Sequence[Try]) -> None:
    for each in tries:
        await each.settled()


def _refusal(delivery: Delivery, answer: Reply) -> ContentRefused:
    return ContentRefused(delivery.envelope, answer, len(delivery.raw), delivery.transcript)


def _assignment(arrival: Arrival, handling: Handling) -> Assignment | None:
    """What the target's worker shall do; None where there is none, or where the mail is known."""
    to, delivery = handling.to, arrival.delivery
    if handling.earlier is not None or to.target.worker is None:
        return None
    return Assignment(
        account=to.target.account,
        worker=to.target.worker,
        run_id=to.run_id,
        attempt=1,
        event_key=to.event_key,
        event_key_stable=to.event_key_stable,
        original=handling.original,
        raw=Held(delivery.raw),
        raw_size=len(delivery.raw),
        auth=handling.original.verdict.as_json(),
        received_at=delivery.received_at,
        references=arrival.references,
        in_reply_to=arrival.in_reply_to,
    )


def _original(arrival: Arrival, to: Recipient, verdict: Verdict, ours: bool) -> Original:
    reverse_path = arrival.delivery.envelope.reverse_path
    return Original(to.email_id, reverse_path, to.forward_path, arrival.headers, verdict, ours)


def _known(
    arrival: Arrival, recipients: Sequence[Recipient], horizon: int
) -> Unit[tuple[Mapping[str, Seen], frozenset[str]]]:
    """Which recipients had this mail before, and for which accounts its Message-ID is one that we made."""
    earlier: dict[str, Seen] = {}
    ours: set[str] = set()
    message_id = arrival.message_id
    for account in {each.target.account for each in recipients}:
        if message_id is not None and (yield from sent.is_ours(account, message_id)):
            ours.add(account)
    for each in recipients:
        found = yield from seen.find(each.target.account, each.event_key, horizon)
        if found is not None:
            earlier[each.event_key] = found
    return earlier, frozenset(ours)
