# SPDX-License-Identifier: Apache-2.0
"""Threading: the fields that make a reply a reply (RFC 5322 §3.6.4).

Reading is tolerant and linear; what it hands out can always be written. The surprise: a message
without a Message-ID is answered without In-Reply-To, because nothing is made up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from rejoinder.message.address import comment_end
from rejoinder.message.encoded_word import decode_words
from rejoinder.message.headers import Headers

_PART: Final = re.compile(r'(?s)\\.|"(?:[^"\\]|\\.)*+"|\(|<([^<>]*+)>')
_WRITABLE: Final = re.compile(r"<[!-;=?-~]{1,900}>")
# What mail programs write in their languages, with the counters some add ("Re[2]", "Re(2)", "Re^2").
_REPLY: Final = re.compile(
    r"(?i)(?:re|aw|sv|vs|antw|antwort|odp|ynt|yan|res|rés|rif|r|atb|ref|bls|vá|hlas|נענה|отв|ответ|απ|σχετ"
    r"|תגובה|השב|回复|回覆|答复|返信|답장|회신)"
    r"[ ]?(?:\[\d{1,5}\]|\(\d{1,5}\)|\^\d{1,5}|\d{1,5})?[ ]?[:：][ ]?"
)


@dataclass(frozen=True, slots=True)
class ReplyFields:
    """What a reply says about the message it answers; absent fields are None or empty."""

    in_reply_to: str | None
    references: tuple[str, ...]
    subject: str


def msg_ids(value: str | None) -> tuple[str, ...]:
    """The message identifiers in a field body, with their angle brackets, in order.

    Comments and quoted phrases are passed over (RFC 5322 §4.5.4), space inside brackets is removed.
    """
    found: list[str] = []
    at = 0
    text = value or ""
    while match := _PART.search(text, at):
        at = comment_end(text, match.end()) if match[0] == "(" else match.end()
        if match[1]:
            msg_id = f"<{''.join(match[1].split())}>"
            if _WRITABLE.fullmatch(msg_id):
                found.append(msg_id)
    return tuple(found)


def reply_fields(original: Headers, max_references: int = 100) -> ReplyFields:
    """In-Reply-To, References and Subject of a reply to this message (RFC 5322 §3.6.4)."""
    own = msg_ids(original.get("Message-ID"))[:1]
    chain = msg_ids(" ".join(original.get_all("References")))
    if not chain:
        parents = msg_ids(original.get("In-Reply-To"))
        chain = parents if len(parents) == 1 else ()
    subject = original.get("Subject")
    return ReplyFields(
        in_reply_to=own[0] if own else None,
        references=trimmed([*(each for each in chain if each not in own), *own], max_references),
        subject=reply_subject(subject),
    )


def trimmed(chain: list[str], most: int) -> tuple[str, ...]:
    """The chain without repeats; when it is too long its first and its newest identifiers stay."""
    unique = list(dict.fromkeys(chain))
    if len(unique) <= most:
        return tuple(unique)
    return (unique[0], *unique[len(unique) - most + 1 :])


def reply_subject(subject: str | None) -> str:
    """``Re:`` once, whatever mark of a reply the subject has, in its language."""
    return f"Re: {base_subject(subject)}".rstrip()


def base_subject(subject: str | None) -> str:
    """The subject decoded, on one line, without its marks of a reply."""
    text = " ".join(decode_words(subject or "").split())
    at = 0
    while match := _REPLY.match(text, at):
        at = match.end()
    return text[at:]
