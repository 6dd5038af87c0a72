# SPDX-License-Identifier: Apache-2.0
"""How a message leaves: load, sign, find the next hops, try them in turn, record.

One job is one message and one destination domain, with all forward-paths there that are not settled. A
positive answer settles a forward-path as delivered, a permanent one as bounced; anything else is tried again
by ``outbound.schedule``, at the next MX first where the host itself was the trouble (RFC 5321 §5.1). Where a
provider sends, it takes the place of all next hops, and of our signature.

The surprise: an attempt whose outcome nobody knows, because the connection or our process died after the
content had gone (RFC 1047), is marked ``uncertain`` and repeated with the same bytes under the same
Message-ID, so that a receiver can tell the two for one.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

import structlog

from rejoinder.clock import SECOND, Clock, after
from rejoinder.dns import Resolver
from rejoinder.errors import StoreError
from rejoinder.ids import Ids
from rejoinder.message.address import Mailbox
from rejoinder.outbound.connection import HopResult, NextHop
from rejoinder.outbound.mx import IsOurs, Unreachable, addresses, next_hops
from rejoinder.outbound.pool import Pool
from rejoinder.outbound.provider import Provider
from rejoinder.outbound.settings import OutboundSettings
from rejoinder.outbound.sign import Signing
from rejoinder.queue.backoff import end_of, next_due
from rejoinder.replies.first_attempt import FirstAttempts, FirstResult, Refused, Taken
from rejoinder.replies.submit import RETURN_PATH, delivery_jobs
from rejoinder.smtp.envelope import Envelope
from rejoinder.smtp.grammar import read_mailbox
from rejoinder.smtp.reply import Reply
from rejoinder.store import events, jobs, raws, sent
from rejoinder.store.evidence import Json, evidence
from rejoinder.store.raw import RawStore
from rejoinder.store.records import Delivery, DeliveryStatus, Event, EventKind, Job, Raw, Sent
from rejoinder.store.unit import Store, Unit

_log = structlog.get_logger("outbound")

_LONGEST_REPLY: Final = 1024
_LONGEST_BACK_OFF: Final = 300.0

_UNSETTLED = (DeliveryStatus.QUEUED, DeliveryStatus.DEFERRED)
_EVENT_OF = {
    DeliveryStatus.DELIVERED: EventKind.DELIVERED,
    DeliveryStatus.BOUNCED: EventKind.BOUNCED,
    DeliveryStatus.DEFERRED: EventKind.DELAYED,
    DeliveryStatus.EXPIRED: EventKind.EXPIRED,
}
_LOGGED_AS: Final = {
    DeliveryStatus.DELIVERED: "outbound.delivery_delivered",
    DeliveryStatus.BOUNCED: "outbound.delivery_bounced",
    DeliveryStatus.DEFERRED: "outbound.delivery_deferred",
    DeliveryStatus.EXPIRED: "outbound.delivery_expired",
}


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What one attempt came to, for every forward-path of the job."""

    replies: tuple[tuple[Delivery, Reply | None], ...]
    dialogue: tuple[str, ...]
    hop: str = ""
    uncertain: bool = False
    is_up: bool | None = None
    """Whether a host took a session, which tells something about the whole lane; None if none was asked."""
    handed_over: bool = False
    """Whether a provider was asked, who says the same for every forward-path."""
    taken: Taken | None = None

    @property
    def first_result(self) -> FirstResult:
        """What whoever waits for it is told."""
        reply = self.replies[0][1]
        refused = self.handed_over and reply is not None and reply.is_permanent
        return Refused(str(reply)) if refused else self.taken


class DeliverHandler:
    """The queue's handler of deliveries."""

    def __init__(
        self,
        *,
        store: Store,
        raw_store: RawStore,
        resolver: Resolver,
        pool: Pool,
        signing: Signing,
        clock: Clock,
        ids: Ids,
        settings: OutboundSettings,
        ehlo: str,
        is_ours: IsOurs,
        provider: Provider | None = None,
        first_attempts: FirstAttempts | None = None,
        chance: random.Random,
    ) -> None:
        self._store = store
        self._raws = raw_store
        self._resolver = resolver
        self._pool = pool
        self._signing = signing
        self._clock = clock
        self._ids = ids
        self._settings = settings
        self._ehlo = ehlo
        self._is_ours = is_ours
        self._provider = provider
        self._first_attempts = first_attempts
        self._chance = chance

    async def handle(self, job: Job) -> None:
        """Attempt the delivery; see ``queue.worker.Handler``."""
        loaded = await self._store.read(lambda: _load(job))
        if loaded is None:
            await self._store.transaction(lambda: jobs.finish(job))
            return
        message, deliveries, raw = loaded
        content = await self._raws.load(raw)
        domain = json.loads(job.payload).get("domain")
        if self._provider is not None:
            attempt = await self._hand_over(self._provider, message, deliveries, content)
        elif domain is None:
            await self._part(job, message, deliveries)
            return
        else:
            attempt = await self._attempt(message, deliveries, domain, content)
        try:
            await self._record(job, message, attempt)
        except StoreError as error:
            # The next hop may have the mail, and no row says so. Left to its lease, the job comes back as
            # interrupted, and the attempt that repeats this one is marked; given back it would not be.
            _log.error("outbound.attempt_not_recorded", job_id=job.id, sent_id=message.id, error=error.text)

    async def bury(self, job: Job, error: str) -> None:
        """Make the delivery a dead letter; see ``queue.worker.Handler``."""
        message = await self._store.read(lambda: sent.by_id(job.subject_id))
        step = EventKind.DEAD_LETTERED
        event = None if message is None else self._event(message, step, kind=job.kind, error=error)
        await self._store.transaction(lambda: _bury(job, event))

    async def _attempt(
        self, message: Sent, deliveries: Sequence[Delivery], domain: str, raw: bytes
    ) -> _Attempt:
        author = read_mailbox(message.author)
        content = await self._signing.signed(author.host, raw, self._clock.now())
        if content is None:
            # RFC 7372 §3.1; ours is never to leave unsigned, and a key can come back.
            return _told(deliveries, Reply.of(451, "4.7.20", f"no DKIM key for {author.host}"))
        hops = await self._hops(domain)
        if isinstance(hops, Unreachable):
            return _told(deliveries, Reply.of(550 if hops.permanent else 451, hops.status, hops.reason))
        return await self._talk(hops, message, deliveries, content)

    async def _hand_over(
        self, provider: Provider, message: Sent, deliveries: Sequence[Delivery], content: bytes
    ) -> _Attempt:
        envelope = _envelope(message, deliveries, content)
        if envelope.reverse_path is None:
            # A provider knows no null reverse-path; reports come to where nothing answers them.
            author = read_mailbox(message.author)
            envelope = replace(envelope, reverse_path=Mailbox(RETURN_PATH, author.host))
        result = await provider.send(envelope, content)
        return _Attempt(
            tuple((each, result.reply) for each in deliveries),
            result.dialogue,
            provider.name,
            uncertain=result.reply is None,
            is_up=result.is_up,
            handed_over=True,
            taken=result.taken,
        )

    async def _part(self, job: Job, message: Sent, deliveries: Sequence[Delivery]) -> None:
        """What was queued for a provider that sends no more goes to each domain by itself."""
        paths = [read_mailbox(each.forward_path) for each in deliveries]
        parts = list(delivery_jobs(message, paths, self._ids, self._clock.now()))
        await self._store.transaction(lambda: _replace(job, parts))

    async def _talk(
        self, hops: Sequence[NextHop], message: Sent, deliveries: Sequence[Delivery], content: bytes
    ) -> _Attempt:
        """Try the next hops until one answers for the mail, or may have taken it.

        Whom a next hop has refused for good before it was lost is not named to the next one.
        """
        replies: dict[str, Reply | None] = {}
        asked: list[tuple[NextHop, HopResult]] = []
        unsettled = deliveries
        for hop in hops:
            result = await self._pool.send(hop, self._ehlo, _envelope(message, unsettled, content), content)
            asked.append((hop, result))
            replies |= _replies(unsettled, result)
            unsettled = [each for each in unsettled if not _is_settled(replies[each.forward_path])]
            if result.state in ("answered", "uncertain") or not unsettled:
                break
        last, result = asked[-1]
        return _Attempt(
            tuple((each, replies[each.forward_path]) for each in deliveries),
            tuple(line for hop, result in asked for line in _dialogue(hop, result)),
            last.name,
            uncertain=result.state == "uncertain",
            is_up=result.state not in ("unreachable", "greeting-refused"),
        )

    async def _hops(self, domain: str) -> Sequence[NextHop] | Unreachable:
        settings = self._settings
        match settings.route:
            case "direct":
                return await next_hops(
                    domain,
                    self._resolver,
                    port=settings.mx_port,
                    allow_private=settings.allow_private_mx,
                    is_ours=self._is_ours,
                    shuffle=self._chance.shuffle,
                )
            case "ses":
                raise AssertionError("a provider was given, and takes the place of next hops")
            case "relay":
                return await relay_hops(*settings.relay_host(), self._resolver)
        assert_never(settings.route)

    async def _record(self, job: Job, message: Sent, attempt: _Attempt) -> None:
        now = self._clock.now()
        due = self._due(job, now)
        results = [
            replace(
                delivery,
                status=_status(reply, due),
                attempts=delivery.attempts + 1,
                last_reply=None if reply is None else str(reply)[:_LONGEST_REPLY],
                uncertain=delivery.uncertain or (attempt.uncertain and reply is None) or job.interrupted,
                updated_at=now,
            )
            for delivery, reply in attempt.replies
        ]
        steps = [
            self._attempted(job, message, attempt),
            *(self._settled(message, each, attempt) for each in results),
        ]

        def unit() -> Unit[None]:
            yield from _write(job, results, steps, due)
            yield from _open_or_close_lane(job, attempt, due, now)
            if attempt.taken is not None:
                yield from sent.alias(message, attempt.taken.message_id, attempt.taken.provider_id, now)

        await self._record_and_tell(message, attempt.first_result, unit)
        for each in results:
            _log.info(
                _LOGGED_AS[each.status],
                sent_id=message.id,
                email_id=message.email_id,
                message_id=message.message_id,
                forward_path=each.forward_path,
                next_hop=attempt.hop or None,
                attempt=each.attempts,
                reply=each.last_reply,
                uncertain=each.uncertain,
                wait=(due - now) / SECOND if due and each.status is DeliveryStatus.DEFERRED else None,
            )

    async def _record_and_tell(
        self, message: Sent, result: FirstResult, unit: Callable[[], Unit[None]]
    ) -> None:
        """Write, with what whoever waits for the first attempt wants to be written, and tell them."""
        awaited = None if self._first_attempts is None else self._first_attempts.claim(message.id)
        if awaited is None:
            await self._store.transaction(unit)
            return

        def settled() -> Unit[None]:
            yield from unit()
            yield from awaited.settle(result)

        try:
            await self._store.transaction(settled)
            awaited.tell(result)
        finally:
            awaited.tell(None)

    def _due(self, job: Job, now: int) -> int | None:
        """When to try again; None when the tries are used up, or, in a lane that had to wait, their time."""
        schedule = self._settings.schedule
        is_over = now >= end_of(schedule, job.created_at)
        return None if is_over else next_due(schedule, job.tries, now, self._chance.random)

    def _attempted(self, job: Job, message: Sent, attempt: _Attempt) -> Event:
        return self._event(
            message,
            EventKind.ATTEMPTED,
            attempt=job.attempt,
            next_hop=attempt.hop or None,
            dialogue=list(attempt.dialogue),
            provider_id=None if attempt.taken is None else attempt.taken.provider_id,
            message_id=None if attempt.taken is None else attempt.taken.message_id,
            uncertain=attempt.uncertain or None,
            repeats_uncertain=job.interrupted or any(each.uncertain for each, _ in attempt.replies) or None,
        )

    def _settled(self, message: Sent, delivery: Delivery, attempt: _Attempt) -> Event:
        kind = _EVENT_OF[delivery.status]
        # A provider that refuses has asked nobody: nothing came back from where the mail should go.
        is_unsent = attempt.handed_over and kind is EventKind.BOUNCED
        return self._event(
            message,
            EventKind.FAILED if is_unsent else kind,
            forward_path=delivery.forward_path,
            reply=delivery.last_reply,
            uncertain=delivery.uncertain or None,
        )

    def _event(self, message: Sent, kind: EventKind, /, **values: Json) -> Event:
        now = self._clock.now()
        return Event(
            self._ids.new("event", now),
            message.account,
            kind,
            now,
            message.email_id,
            message.id,
            message.run_id,
            evidence(**values),
        )


def _told(deliveries: Sequence[Delivery], reply: Reply) -> _Attempt:
    """The attempt that ended before anybody was asked."""
    return _Attempt(tuple((each, reply) for each in deliveries), ())


def _envelope(message: Sent, deliveries: Sequence[Delivery], content: bytes) -> Envelope:
    return Envelope(
        None if message.reverse_path is None else read_mailbox(message.reverse_path),
        tuple(read_mailbox(each.forward_path) for each in deliveries),
        len(content),
    )


def _dialogue(hop: NextHop, result: HopResult) -> tuple[str, ...]:
    return (f"({hop.name} [{hop.address}]:{hop.port})", *result.dialogue)


def _replies(deliveries: Sequence[Delivery], result: HopResult) -> dict[str, Reply | None]:
    found = {
        each.forward_path: outcome.reply for each, outcome in zip(deliveries, result.outcomes, strict=True)
    }
    if result.state != "greeting-refused":
        return found
    # RFC 5321 §3.1: a host that refuses the session says nothing about the mail.
    return {path: _later(reply) for path, reply in found.items()}


def _is_settled(reply: Reply | None) -> bool:
    return reply is not None and reply.is_permanent


async def relay_hops(host: str, port: int, resolver: Resolver) -> Sequence[NextHop] | Unreachable:
    """The addresses of the configured next hop; the operator chose it, so it may be private."""
    if host.replace(".", "").isdigit() or ":" in host:
        return [NextHop(host, host, port)]
    answers = await addresses([host], resolver)
    if hops := [NextHop(host, address, port) for answer in answers for address in answer.hosts]:
        return hops
    rcodes = " and ".join(answer.rcode for answer in answers)
    return Unreachable(False, "4.4.4", f"the relay {host} has no address ({rcodes})")


def _later(reply: Reply | None) -> Reply | None:
    if reply is None or reply.is_transient:
        return reply
    return Reply.of(450, "4.3.2", f"the host refused the session: {reply}")


def _status(reply: Reply | None, due: int | None) -> DeliveryStatus:
    if reply is not None and reply.is_positive:
        return DeliveryStatus.DELIVERED
    if reply is not None and reply.is_permanent:
        return DeliveryStatus.BOUNCED
    return DeliveryStatus.EXPIRED if due is None else DeliveryStatus.DEFERRED


def _load(job: Job) -> Unit[tuple[Sent, list[Delivery], Raw] | None]:
    message = yield from sent.by_id(job.subject_id)
    if message is None:
        return None
    unsettled = [
        each
        for each in (yield from sent.deliveries(message.id))
        if each.status in _UNSETTLED and _is_of(job, each.forward_path)
    ]
    raw = yield from raws.get(message.raw_id)
    return (message, unsettled, raw) if raw is not None and unsettled else None


def _is_of(job: Job, forward_path: str) -> bool:
    payload = json.loads(job.payload)
    if "domain" in payload:
        return bool(read_mailbox(forward_path).host == payload["domain"])
    return forward_path in payload["forward_paths"]


def _replace(job: Job, parts: Sequence[Job]) -> Unit[None]:
    yield from jobs.finish(job)
    for part in parts:
        yield from jobs.enqueue(part)


def _write(job: Job, results: Sequence[Delivery], steps: Sequence[Event], due: int | None) -> Unit[None]:
    if due is not None and any(each.status is DeliveryStatus.DEFERRED for each in results):
        yield from jobs.retry(job, due)
    else:
        yield from jobs.finish(job)
    for delivery in results:
        yield from sent.update_delivery(delivery)
    for event in steps:
        yield from events.insert(event)


def _open_or_close_lane(job: Job, attempt: _Attempt, due: int | None, now: int) -> Unit[None]:
    """A host that is down is asked again by the message that is due first, not by all that wait for it."""
    if attempt.is_up:
        yield from jobs.open_lane(job.lane)
    elif attempt.is_up is False:
        longest = after(now, _LONGEST_BACK_OFF)
        yield from jobs.back_off(job.lane, longest if due is None else min(due, longest))


def _bury(job: Job, event: Event | None) -> Unit[None]:
    yield from jobs.bury(job)
    if event is not None:
        yield from events.insert(event)
