# SPDX-License-Identifier: Apache-2.0
"""What passes between the host of the children and the stages: events in, actions judged, an end out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Ending(StrEnum):
    """How a try of a run ended."""

    NORMAL = "normal"
    """The handler returned, and every action and background task of the run is done."""
    REJECT = "reject"
    """As NORMAL, and the last verdict that the handler gave was ``set_reject``."""
    DEFER = "defer"
    """As NORMAL, and the last verdict that the handler gave was ``defer``."""
    EXCEPTION = "exception"
    """The handler, or a task it left to ``wait_until``, raised."""
    TIME_LIMIT = "time-limit"
    """It was cancelled at its time limit, or killed when the child did not answer the cancellation."""
    CRASH = "crash"
    """The child died under it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An action that a rule forbade: the codes of all the rules that failed, and the first one's sentence."""

    codes: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of one try."""

    ending: Ending
    reason: str = ""
    """What ``set_reject`` or ``defer`` was given: one line, no control characters."""
    error: str = ""
    """The traceback or what is known of the crash, at most 16 KiB."""
    log: str = ""
    """stdout, stderr and logging of this run, at most 16 KiB."""
    neighbour: bool = False
    """Whether the child died for another message's fault: such a try is not counted."""
    refused: tuple[Refused, ...] = ()
    """What the worker asked and did not get, in order, whether or not it caught the exception."""


@dataclass(frozen=True, slots=True)
class ReplyAction:
    """What a worker asks with ``message.reply()``: ``text``, or ``raw`` with or without an envelope."""

    text: str | None = None
    raw: bytes | None = None
    """A whole message (RFC 5322) as the worker built it."""
    from_: str | None = None
    """The envelope sender of ``EmailMessage(from, to, raw)``; its domain must be the receiving one."""
    to: str | None = None
    """The recipient of ``EmailMessage(from, to, raw)``; must be the incoming reverse-path."""


class Actions(Protocol):
    """Judges the actions of one try, at once, in the order in which the worker called them."""

    async def reply(self, action: ReplyAction) -> str:
        """The Message-ID, with brackets, that will be on the wire.

        Raises:
            ActionRefused: a rule forbids it; the worker sees the exception with its ``code``.
        """
        ...

    async def accept(self) -> None:
        """Return when the mail is committed and the sender has its 250; the run goes on."""
        ...


class RawSource(Protocol):
    """The content as received, fetched when the worker asks for it."""

    async def descriptor(self) -> int:
        """A read-only file descriptor at offset 0; whoever asked closes it."""
        ...


@dataclass(frozen=True, slots=True)
class MessageEvent:
    """One mail for one worker."""

    event_key: str
    event_key_stable: bool
    email_id: str
    reverse_path: str | None
    forward_path: str
    header_block: bytes
    raw: RawSource
    raw_size: int
    auth: str
    """``Verdict.as_json()``."""
    received_at: int
    attempt: int
    alone: bool = False
    """Run it in a fresh child by itself (after two deaths of a child for a neighbour's fault)."""


class Host(Protocol):
    """Runs workers in child processes."""

    def has_room(self, worker: str, runs: int = 1) -> bool:
        """Whether so many runs of this worker would start at once."""
        ...

    async def run(self, worker: str, event: MessageEvent, actions: Actions) -> Ended:
        """Run the worker on the mail and tell how it ended; waits for room first.

        Never raises for the worker's faults. Whoever cancels it cancels the run in the child.
        """
        ...
