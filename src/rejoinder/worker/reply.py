# SPDX-License-Identifier: Apache-2.0
"""What a worker may answer with, made into octets here, in the child; the host judges and composes."""

from __future__ import annotations

from email.message import Message as LibraryMessage
from typing import NamedTuple

from rejoinder.errors import ActionRefused
from rejoinder.worker.frames import MAX_BLOB


class EmailMessage:
    """A whole message with its envelope: ``EmailMessage(from, to, raw)``.

    ``from_`` must be a mailbox of the domain that got the mail, ``to`` the mail's sender; ``raw`` is a
    message as RFC 5322 has it: bytes, text, or a message of the standard library.
    """

    def __init__(self, from_: str, to: str, raw: bytes | str | LibraryMessage) -> None:
        self.from_ = from_
        self.to = to
        self.raw = raw

    vars()["from"] = property(
        lambda self: self.from_
    )  # `from` is a keyword; getattr(message, "from") reads it.


Answer = str | bytes | bytearray | memoryview | LibraryMessage | EmailMessage


class Outgoing(NamedTuple):
    """An answer as it goes to the host: ``kind`` is that of ``frames.Call``."""

    kind: str
    octets: bytes
    from_: str | None = None
    to: str | None = None


def outgoing(answer: Answer) -> Outgoing:
    """The answer as octets.

    Raises:
        TypeError: it is none of what ``reply`` takes.
        ActionRefused: it is larger than any message that may leave.
    """
    if isinstance(answer, str):
        made = Outgoing("reply-text", answer.encode(errors="replace"))
    elif isinstance(answer, EmailMessage):
        made = Outgoing("reply-raw", _octets(answer.raw), answer.from_, answer.to)
    else:
        made = Outgoing("reply-raw", _octets(answer))
    if len(made.octets) > MAX_BLOB:
        raise ActionRefused(
            f"the reply has {len(made.octets)} octets; at most {MAX_BLOB} may leave; send a link instead"
        )
    return made


def _octets(raw: object) -> bytes:
    if isinstance(raw, bytes | bytearray | memoryview):
        return bytes(raw)
    if isinstance(raw, str):
        return raw.encode(errors="surrogateescape")
    if isinstance(raw, LibraryMessage):
        # RFC 5322 §2.3: lines end in CRLF; the standard library's own default is LF.
        return raw.as_bytes(policy=raw.policy.clone(linesep="\r\n"))
    raise TypeError(
        f"a reply cannot be a {type(raw).__name__}; give a text, bytes, an email.message.EmailMessage "
        "or an EmailMessage(from, to, raw) of rejoinder.worker"
    )
