# SPDX-License-Identifier: Apache-2.0
"""One try of a worker's run on a mail, from its start to the effects that it leaves.

The story: ``Runner.start`` looks up what the rules need to know (one read), starts the worker in a child and
hands out a ``Try``. Whatever the worker asks is judged here at once, by ``replies.rules``, and what is
allowed is built and kept as a value. Whoever started the try waits until it is ``settled`` (ended, or ended
the waiting with ``accept``), decides by the table in ``runtime.outcome``, and commits the effects with its
own transaction. Nothing a worker does through us exists before that commit.

The surprise: the Message-ID of the nth message of a mail is derived from the mail's id and n, so a try that
is repeated after a crash says the same ids.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from typing import Final

import structlog

from rejoinder.clock import SECOND, Clock
from rejoinder.errors import ActionRefused, EventEnded, ReplyInvalid
from rejoinder.ids import derived
from rejoinder.replies.compose import Message, Reply, Text, compose_reply, propose
from rejoinder.replies.original import Original
from rejoinder.replies.rules import Case, Usage, judge
from rejoinder.replies.settings import RepliesSettings
from rejoinder.runtime.budget import Place, Places
from rejoinder.runtime.values import Ended, Ending, Host, MessageEvent, RawSource, Refused, ReplyAction
from rejoinder.store import sent, threads
from rejoinder.store.unit import Store, Unit

_log = structlog.get_logger("runtime")

DAY = 86_400 * SECOND
LARGE = 1 << 20
"""Octets from which on a message is not worked on in the loop."""
WORKER = "worker"
"""The policy under which a worker's replies are sent and counted."""
_LONGEST: Final = 200
"""Characters of an error in the log; the run's row has the rest."""
_NAMED: Final = re.compile(r"(?m)^(?:  .*\n)+([A-Za-z_][\w.]*)")
"""The name of the first exception in a traceback: what follows the lines of its frames."""
_FAILURES: Final = frozenset({Ending.EXCEPTION, Ending.TIME_LIMIT, Ending.CRASH})


@dataclass(frozen=True)
class Assignment:
    """A mail and the worker that shall handle it."""

    account: str
    worker: str
    run_id: str
    attempt: int
    event_key: str
    event_key_stable: bool
    original: Original
    raw: RawSource
    raw_size: int
    auth: str
    received_at: int
    references: tuple[str, ...]
    in_reply_to: tuple[str, ...]
    deaths: int = 0
    """How often a child died under it for a neighbour's fault; after two it runs alone."""

    @property
    def email_id(self) -> str:
        """The id of the mail."""
        return self.original.email_id


def used(account: str, assignment: Assignment, since: int) -> Unit[Usage]:
    """What was answered already, for the rules."""
    reverse_path = assignment.original.reverse_path
    answered = yield from sent.of_email(assignment.email_id)
    thread_id = yield from threads.find(
        account, references=assignment.references, in_reply_to=assignment.in_reply_to
    )
    to_correspondent = in_thread = 0
    if reverse_path is not None:
        to_correspondent = yield from sent.count_since(
            account, WORKER, correspondent=str(reverse_path), thread_id=None, since=since
        )
    if thread_id is not None:
        in_thread = yield from sent.count_since(
            account, WORKER, correspondent=None, thread_id=thread_id, since=since
        )
    return Usage(sum(row.policy == WORKER for row in answered), to_correspondent, in_thread)


class Runner:
    """Starts tries; what they have in common is given once."""

    def __init__(
        self,
        *,
        host: Host,
        store: Store,
        clock: Clock,
        secret: bytes,
        settings: RepliesSettings,
        max_size: int,
    ) -> None:
        self._host = host
        self._store = store
        self._clock = clock
        self._secret = secret
        self._settings = settings
        self._max_size = max_size
        self._places = Places()

    def has_room(self, worker: str, runs: int = 1) -> bool:
        """Whether so many runs of this worker would start at once."""
        return self._host.has_room(worker, runs)

    def start(self, assignment: Assignment) -> Try:
        """Start the worker on the mail."""
        attempt = Try(assignment, self)
        attempt.start(self._host)
        return attempt

    def place(self, assignment: Assignment) -> Place:
        """A place before which other answers to the correspondent and in the thread are counted."""
        account, reverse_path = assignment.account, assignment.original.reverse_path
        root = next(iter((*assignment.references, *assignment.in_reply_to)), assignment.event_key)
        return self._places.take((f"to {account} {str(reverse_path or '').lower()}", f"in {account} {root}"))

    async def usage(self, assignment: Assignment, place: Place) -> Usage:
        """What was answered already, or is about to be."""
        since = self._clock.now() - DAY
        to_correspondent, in_thread = place.before()
        stored = await self._store.read(lambda: used(assignment.account, assignment, since))
        return Usage(
            stored.in_event, stored.to_correspondent + to_correspondent, stored.in_thread + in_thread
        )

    def reply(self, assignment: Assignment, action: ReplyAction, usage: Usage, ordinal: int) -> Reply:
        """Judge the action and build what it sends.

        Raises:
            ReplyRefused: a rule forbids it.
        """
        original, now = assignment.original, self._clock.now()
        content = _content(action)
        proposal = propose(original, content)
        refusal = judge(Case(original, proposal, usage, self._settings))
        if refusal is not None:
            raise refusal
        assert proposal.recipient is not None  # the rules refuse the null reverse-path
        token = derived(self._secret, assignment.email_id, str(ordinal))
        reply = compose_reply(
            original,
            content,
            recipient=proposal.recipient,
            message_id=f"<{token}@{proposal.author.host}>",
            now=now,
        )
        if len(reply.raw) > self._max_size:
            raise ReplyInvalid(
                f"cannot reply to {original.email_id}: the reply has {len(reply.raw)} octets, more than "
                f"outbound.max_size = {self._max_size}"
            )
        return reply


class Try:
    """One try: the ``Actions`` of its worker, and its end."""

    def __init__(self, assignment: Assignment, runner: Runner) -> None:
        self.assignment = assignment
        self.effects: list[Reply] = []
        self._runner = runner
        self._refused: list[Refused] = []
        self._usage: Usage | None = None
        self._place: Place | None = None
        self._one_at_a_time = asyncio.Lock()
        self._settled = asyncio.Event()
        self._committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[Ended] | None = None

    def start(self, host: Host) -> None:
        """Begin; called once."""
        assignment = self.assignment
        event = MessageEvent(
            event_key=assignment.event_key,
            event_key_stable=assignment.event_key_stable,
            email_id=assignment.email_id,
            reverse_path=None if (path := assignment.original.reverse_path) is None else str(path),
            forward_path=str(assignment.original.forward_path),
            header_block=assignment.original.headers.raw,
            raw=assignment.raw,
            raw_size=assignment.raw_size,
            auth=assignment.auth,
            received_at=assignment.received_at,
            attempt=assignment.attempt,
            alone=assignment.deaths >= 2,
        )
        self._task = asyncio.create_task(self._run(host, event))
        self._task.add_done_callback(lambda _: self._settled.set())

    @property
    def end(self) -> Ended | None:
        """How it ended; None while it goes on."""
        return self._task.result() if self._task is not None and self._task.done() else None

    async def settled(self) -> None:
        """Return when it has ended or its worker has called ``accept``."""
        await self._settled.wait()

    async def ended(self) -> Ended:
        """Return how it ended, when it has."""
        return await asyncio.shield(self._running)

    def committed(self) -> None:
        """Tell that the mail is durable: ``accept`` returns to the worker."""
        if not self._committed.done():
            self._committed.set_result(None)

    async def cancel(self) -> None:
        """Stop it; its effects are discarded, and an ``accept`` that waits is refused."""
        self._committed.cancel()
        self._running.cancel()
        await asyncio.wait({self._running})
        self.release()

    def release(self) -> None:
        """Say that its effects are committed or discarded."""
        if self._place is not None:
            self._place.leave()
            self._place = self._usage = None

    async def reply(self, action: ReplyAction) -> str:
        """Judge a reply and keep it; see ``Actions.reply``."""
        async with self._one_at_a_time:
            if self._usage is None:
                self._place = self._runner.place(self.assignment)
                self._usage = await self._runner.usage(self.assignment, self._place)
            usage = Usage(
                self._usage.in_event + len(self.effects), self._usage.to_correspondent, self._usage.in_thread
            )
            if self._running.done():
                raise EventEnded(
                    f"the run of {self.assignment.email_id} has ended; its actions came too late"
                )
            try:
                reply = await self._built(action, usage)
            except ActionRefused as refusal:
                self._refused.append(Refused(refusal.codes, refusal.text))
                if not self.effects:
                    self.release()
                raise
            self.effects.append(reply)
            return reply.message_id

    async def _built(self, action: ReplyAction, usage: Usage) -> Reply:
        """The reply, built beside the loop when the worker's message is large."""
        ordinal = len(self.effects)
        if action.raw is None or len(action.raw) < LARGE:
            return self._runner.reply(self.assignment, action, usage, ordinal)
        return await asyncio.to_thread(self._runner.reply, self.assignment, action, usage, ordinal)

    async def accept(self) -> None:
        """End the sender's waiting; see ``Actions.accept``."""
        self._settled.set()
        await asyncio.wait({self._committed})
        if self._committed.cancelled():
            raise EventEnded(f"the run of {self.assignment.email_id} was ended before its mail was accepted")

    async def _run(self, host: Host, event: MessageEvent) -> Ended:
        ended = await host.run(self.assignment.worker, event, self)
        self._log_end(ended)
        return replace(ended, refused=tuple(self._refused))

    def _log_end(self, ended: Ended) -> None:
        assignment, is_failure = self.assignment, ended.ending in _FAILURES
        say = _log.warning if is_failure else _log.info
        say(
            "runtime.run_failed" if is_failure else "runtime.run_ended",
            email_id=assignment.email_id,
            run_id=assignment.run_id,
            worker=assignment.worker,
            attempt=assignment.attempt,
            ending=ended.ending,
            replies=len(self.effects),
            refused=[" ".join(each.codes) for each in self._refused],
            error=_summary(ended),
        )

    @property
    def _running(self) -> asyncio.Task[Ended]:
        assert self._task is not None
        return self._task


def _summary(ended: Ended) -> str | None:
    """What went wrong, without the message of the worker's exception, which may hold anything."""
    named = _NAMED.search(ended.error) if ended.ending is Ending.EXCEPTION else None
    return named[1] if named else ended.error.partition("\n")[0][:_LONGEST] or None


def _content(action: ReplyAction) -> Text | Message:
    if action.raw is not None:
        return Message(action.raw, action.from_, action.to)
    if action.text is None:
        raise ReplyInvalid("reply() needs a text or a message")
    return Text(action.text)
