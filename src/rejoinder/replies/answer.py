# SPDX-License-Identifier: Apache-2.0
"""Answer a mail through the API: who asks has chosen to, so the rules are few.

The story of ``Answering.reply``: a repeat of a request with the same idempotency key gets its first answer
again; otherwise the recipients are found, the rules are asked, the message is built and kept, and one
transaction writes everything: the answer under its key, what it takes of the budgets and of the quota, and
the submission. So whatever dies at whatever moment, a request that is repeated under its key sends once.
Where a provider sends, its first answer is waited for a little and becomes part of ours.

The surprise: of equal requests at once the others wait for the first, and those of another process lose
against the unique index and give the winner's answer; no state "in progress" can be left behind
(docs/adr/0010).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Final, TypeVar, assert_never

from rejoinder.clock import SECOND, Clock
from rejoinder.errors import (
    MessageTooLarge,
    SenderDomainForbidden,
    SendFailed,
    SendNotStored,
    StoreError,
)
from rejoinder.ids import Ids
from rejoinder.message.address import Mailbox
from rejoinder.queue.turns import Turns
from rejoinder.replies import quota
from rejoinder.replies.answer_compose import build, check
from rejoinder.replies.answered import Answered, find
from rejoinder.replies.fingerprint import differing, fingerprint
from rejoinder.replies.first_attempt import Awaited, FirstAttempts, FirstResult, Refused, Taken
from rejoinder.replies.original import Original, parsed
from rejoinder.replies.recipients import recipients
from rejoinder.replies.request import ReplyRequest
from rejoinder.replies.rules import Case, Proposal, Usage, judge_api, judge_api_budget
from rejoinder.replies.settings import QuotaSettings, RepliesSettings
from rejoinder.replies.submit import RETURN_PATH, Content, Origin, Submission, prepare, submit
from rejoinder.store import idempotency, raws, sent
from rejoinder.store.raw import RawStore
from rejoinder.store.records import Email, KeptAnswer, Raw, Sent
from rejoinder.store.row import parameters
from rejoinder.store.unit import Store, Unit

API: Final = "api"
"""The policy under which answers through the API are sent and counted."""
_DAY: Final = 86_400 * SECOND
_AT_ONCE: Final = 64 * 1024
"""Octets up to which reading and building a message holds up nobody; above, a thread does it."""
_COMPOSERS: Final = 2
"""Threads for that: few, because they are busy, and of their own, lest loading and keeping mail wait."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Idempotency:
    """What makes two requests of an account one: method, path with the id in it, and the caller's key."""

    method: str
    path: str
    key: str


@dataclass(frozen=True, slots=True)
class AnswerSent:
    """What the caller is told; ``message_id`` is the one on the wire, without angle brackets."""

    id: str
    message_id: str
    replied_to_email_id: str
    replied_to_thread_id: str
    is_thread_reply: bool
    aws_message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request, and how it came about."""

    sent: AnswerSent
    replayed: bool = False
    """Whether an earlier request under the same key got it, and nothing was sent now."""
    differing: tuple[str, ...] = ()
    """The fields in which a replayed request differs from the one that sent."""


@dataclass(frozen=True, slots=True)
class _Asking:
    """An idempotency key with what was asked under it."""

    idempotency: Idempotency
    fingerprint: str


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What the store knows of the answered mail; ``ours`` says whether we made its Message-ID.

    ``alias`` is the Message-ID that its recipients know, where a provider put it in the place of ours.
    """

    raw: Raw
    ours: bool
    alias: str | None


class Answering:
    """Answers mail for whoever calls the API.

    Args:
        account_of: The account of a domain of ours; None for any other domain.
        max_size: Octets of the largest message that leaves.
        first_attempts: By whom a provider's first answer is told; None where no provider sends.
    """

    def __init__(
        self,
        *,
        store: Store,
        raw_store: RawStore,
        account_of: Callable[[str], str | None],
        clock: Clock,
        ids: Ids,
        settings: RepliesSettings,
        quota: QuotaSettings,
        max_size: int,
        first_attempts: FirstAttempts | None = None,
    ) -> None:
        self._store = store
        self._raws = raw_store
        self._account_of = account_of
        self._clock = clock
        self._ids = ids
        self._settings = settings
        self._quota = quota
        self._max_size = max_size
        self._first_attempts = first_attempts
        self._turns = Turns()
        self._composers = ThreadPoolExecutor(_COMPOSERS, "compose")  # no thread before the first large one

    async def find(self, account: str, asked: str) -> Answered | None:
        """The mail of an account that an id asks for: one received, one sent, or the latest of a thread."""
        return await self._store.read(lambda: find(account, asked))

    async def reply(
        self,
        answered: Answered,
        request: ReplyRequest,
        *,
        reply_any: bool,
        idempotency: Idempotency | None = None,
    ) -> Answer:
        """Send the answer, or give again what was answered under the key.

        ``reply_any`` lets it answer automatic mail.

        Raises:
            MessageError: a field cannot be written, and says which.
            RecipientMissing: nobody is named, and nobody can be found.
            SenderDomainForbidden: the domain of From is not the account's.
            ReplyToAutomaticMail: an answer could loop.
            MessageTooLarge: what was built is larger than may leave.
            ReplyBudget: the day's answers to a recipient, or in the thread, are used up.
            QuotaExceeded: the month's or the hour's recipients are.
            SendNotStored: the store could not keep it; nothing was sent.
            SendingNotConfigured: the provider that sends cannot be used; nothing was sent.
            SendFailed: it refused the message for good, and nothing is kept under the key.
        """
        await self._done(request.header_size, lambda: check(request))
        if idempotency is None:
            return await self._answer(answered, request, reply_any, None)
        prints = await self._done(_size(request), lambda: fingerprint(request))
        turn = json.dumps([answered.account, *parameters(idempotency).values()])
        async with self._turns.taken([turn]):
            return await self._answer(answered, request, reply_any, _Asking(idempotency, prints))

    async def _answer(
        self, answered: Answered, request: ReplyRequest, reply_any: bool, asking: _Asking | None
    ) -> Answer:
        horizon = self._clock.now() - _DAY
        found = await self._store.read(lambda: _load(answered, asking, horizon))
        if isinstance(found, KeptAnswer):
            return _replayed(found, asking)
        submission = await self._submission(answered, request, reply_any, found)
        made = AnswerSent(
            submission.sent.id,
            submission.sent.message_id.strip("<>"),
            answered.id,
            answered.thread_id,
            answered.is_thread_reply,
        )
        kept = None if asking is None else _kept(asking, made, submission.sent)
        with self._expected(submission, made) as awaited:
            try:
                earlier = await self._commit(submission, answered, kept)
            except StoreError as error:
                raise SendNotStored from error
            if earlier is not None:
                return _replayed(earlier, asking)
            return _answer_to(made, await self._first_result(awaited))

    def _expected(self, submission: Submission, made: AnswerSent) -> AbstractContextManager[Awaited | None]:
        """Expect what a provider says to a message that it gets whole; of several parts none says it."""
        if self._first_attempts is None or len(submission.jobs) > 1:
            return nullcontext()
        return self._first_attempts.expected(made.id, lambda result: _settle(made, submission, result))

    async def _first_result(self, awaited: Awaited | None) -> FirstResult:
        if self._first_attempts is None or awaited is None:
            return None
        return await self._first_attempts.result(awaited)

    async def _submission(
        self, answered: Answered, request: ReplyRequest, reply_any: bool, loaded: _Loaded
    ) -> Submission:
        """Judge the request and build what it sends; nothing is written but a large message's file."""
        record, now = answered.record, self._clock.now()
        content = _as_known(await self._raws.load(loaded.raw), loaded.alias)
        original = await self._done(len(content), lambda: parsed(content))
        to = recipients(
            request,
            original.headers,
            sent=isinstance(record, Sent),
            is_own=lambda mailbox: self._account_of(mailbox.host) == answered.account,
        )
        self._check_author(answered.account, request.from_.mailbox)
        author = Mailbox(request.from_.mailbox.local_part, request.from_.mailbox.host)
        if isinstance(record, Email) and not reply_any:
            self._check_original(Original.of(record, original.headers, ours=loaded.ours), author)
        together = None
        if self._first_attempts is not None:
            await self._first_attempts.handover.ready()
            together = self._first_attempts.handover.most
        message_id = f"<{self._ids.unique(now)}@{author.host}>"
        built = await self._done(
            len(content) + _size(request),
            lambda: build(request, to, original, at=answered.at, message_id=message_id, now=now),
        )
        raw = await self._keep(built.raw, now)
        return prepare(
            Origin(answered.account, API, record.id if isinstance(record, Email) else None),
            Content(raw, author, message_id, built.subject, json.dumps(request.tags)),
            reverse_path=Mailbox(RETURN_PATH, author.host),
            forward_paths=to.forward_paths,
            ids=self._ids,
            now=now,
            together=together,
        )

    def _check_author(self, account: str, author: Mailbox) -> None:
        if self._account_of(author.host) != account:
            raise SenderDomainForbidden(
                f"You don't have permission to send from domain: {author.domain}",
                field="from",
                details=f"It is no domain of the account {account}; its operator can add it as a [[domain]].",
            )

    def _check_original(self, original: Original, author: Mailbox) -> None:
        refusal = judge_api(Case(original, Proposal(author, None), Usage(0, 0, 0), self._settings))
        if refusal is not None:
            raise refusal

    async def _keep(self, content: bytes, now: int) -> Raw:
        if len(content) > self._max_size:
            raise MessageTooLarge(
                f"the message has {len(content)} octets, more than outbound.max_size = {self._max_size}; "
                "send smaller or fewer attachments, or leave the original out (include_original)"
            )
        try:
            return await self._raws.keep(content, now)
        except StoreError as error:
            raise SendNotStored from error

    async def _commit(
        self, submission: Submission, answered: Answered, kept: KeptAnswer | None
    ) -> KeptAnswer | None:
        """As ``_write``, at once; where nothing was written a large message's file goes too."""
        try:
            earlier = await self._store.transaction(lambda: self._write(submission, answered, kept))
        except Exception:
            await self._raws.discard(submission.raw, self._store)
            raise
        if earlier is not None:
            await self._raws.discard(submission.raw, self._store)
        return earlier

    def _write(
        self, submission: Submission, answered: Answered, kept: KeptAnswer | None
    ) -> Unit[KeptAnswer | None]:
        """Write everything, unless something is kept under the key: then that, and nothing is written."""
        now = submission.sent.created_at
        if kept is not None:
            earlier = yield from idempotency.keep(kept, now - _DAY)
            if earlier is not None:
                return earlier
        yield from self._spend_budget(submission, answered.thread_id, now - _DAY)
        yield from quota.spend(submission, self._quota)
        yield from submit(submission, answered.thread_id)
        return None

    def _spend_budget(self, submission: Submission, thread_id: str, since: int) -> Unit[None]:
        account, settings = submission.sent.account, self._settings
        in_thread = to_correspondent = 0
        if settings.api_per_thread:
            in_thread = yield from sent.count_since(
                account, API, correspondent=None, thread_id=thread_id, since=since
            )
        for delivery in submission.deliveries:
            to = delivery.forward_path
            if settings.api_per_correspondent:
                to_correspondent = yield from sent.count_since(
                    account, API, correspondent=to, thread_id=None, since=since
                )
            refusal = judge_api_budget(to, Usage(0, to_correspondent, in_thread), settings)
            if refusal is not None:
                raise refusal

    async def _done(self, size: int, work: Callable[[], T]) -> T:
        """The result of work that takes as long as its input is large."""
        if size <= _AT_ONCE:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._composers, work)


def _load(answered: Answered, asking: _Asking | None, horizon: int) -> Unit[KeptAnswer | _Loaded]:
    record = answered.record
    if asking is not None:
        of = asking.idempotency
        kept = yield from idempotency.find(record.account, of.method, of.path, of.key, horizon)
        if kept is not None:
            return kept
    raw = yield from raws.get(record.raw_id)
    if raw is None:
        raise StoreError(f"the content {record.raw_id} of {record.id} is not in the store")
    ours = record.message_id is not None and (yield from sent.is_ours(record.account, record.message_id))
    alias = (yield from sent.alias_of(record.id)) if isinstance(record, Sent) else None
    return _Loaded(raw, ours, alias)


def _as_known(content: bytes, alias: str | None) -> bytes:
    """The answered message under the Message-ID that its recipients know: the first such field counts."""
    return content if alias is None else b"Message-ID: " + alias.encode() + b"\r\n" + content


def _on_the_wire(made: AnswerSent, taken: Taken) -> AnswerSent:
    return replace(made, message_id=taken.message_id.strip("<>"), aws_message_id=taken.provider_id)


def _settle(made: AnswerSent, submission: Submission, result: FirstResult) -> Unit[None]:
    """Keep for a repeat of the request what is answered to it."""
    match result:
        case Taken():
            yield from idempotency.amend(made.id, json.dumps(parameters(_on_the_wire(made, result))))
        case Refused():
            yield from idempotency.forget(made.id)
            yield from quota.give_back(submission)
        case None:
            return
        case _:
            assert_never(result)


def _answer_to(made: AnswerSent, result: FirstResult) -> Answer:
    match result:
        case Taken():
            return Answer(_on_the_wire(made, result))
        case Refused():
            raise SendFailed(details=result.reply)
        case None:
            return Answer(made)
    assert_never(result)


def _kept(asking: _Asking, made: AnswerSent, row: Sent) -> KeptAnswer:
    of = asking.idempotency
    return KeptAnswer(
        row.account,
        of.method,
        of.path,
        of.key,
        asking.fingerprint,
        json.dumps(parameters(made)),
        row.id,
        row.created_at,
    )


def _replayed(kept: KeptAnswer, asking: _Asking | None) -> Answer:
    differs = () if asking is None else differing(kept.fingerprint, asking.fingerprint)
    return Answer(AnswerSent(**json.loads(kept.answer)), replayed=True, differing=differs)


def _size(request: ReplyRequest) -> int:
    files = sum(len(each.content) for each in request.attachments)
    return files + len(request.text or "") + len(request.html or "") + request.header_size
