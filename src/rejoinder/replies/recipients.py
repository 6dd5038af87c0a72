# SPDX-License-Identifier: Apache-2.0
"""To whom an answer through the API goes, when its author does not say so; pure.

What is read from the answered mail was written by a stranger: a mailbox to which nothing can be sent is
passed over, and names are put on one line. The surprise: Reply-To wins over From even when it names
somebody else, because that is what it is for (RFC 5322 §3.6.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rejoinder.errors import AddressError, RecipientMissing, RequestInvalid
from rejoinder.message.address import Address, Mailbox, parse_address_list, parse_mailbox
from rejoinder.message.headers import Headers
from rejoinder.replies.compose import shown_name
from rejoinder.replies.request import ReplyRequest

MAX_BY_DEFAULT: Final = 20
"""To how many mailboxes a stranger may let an answer go."""
MAX_TO_ALL: Final = 100
"""To how many where everybody shall get it."""


@dataclass(frozen=True, slots=True)
class Recipients:
    """Who gets an answer: in its fields, and beside them."""

    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]

    @property
    def forward_paths(self) -> tuple[Mailbox, ...]:
        """Each mailbox once, its domain as A-labels."""
        paths = (Mailbox(each.mailbox.local_part, each.mailbox.host) for each in self._all())
        return tuple(dict.fromkeys(paths))

    def _all(self) -> Iterable[Address]:
        return (*self.to, *self.cc, *self.bcc)


def recipients(
    request: ReplyRequest, headers: Headers, *, sent: bool, is_own: Callable[[Mailbox], bool]
) -> Recipients:
    """The recipients asked for, and for those not given the default.

    Args:
        request: What was asked.
        headers: Those of the mail that is answered.
        sent: Whether we sent that mail, so that an answer follows it to its recipients.
        is_own: Whether a mailbox is one of the account's own, which a reply to all leaves out.

    Raises:
        RecipientMissing: nobody is named, and nobody can be found.
        RequestInvalid: the mail names more than somebody else may decide.
    """
    to = request.to or _default_to(headers, sent=sent)
    if not to:
        raise RecipientMissing(
            field="to",
            details="No to was given, and the mail that is answered names no mailbox that can be written to.",
        )
    cc = request.cc
    if cc is None:
        cc = tuple(_others(headers, to, is_own)) if request.reply_all else ()
    if not sent:
        by_default = [*(() if request.to else to), *(() if request.cc else cc)]
        _check_number(by_default, MAX_TO_ALL if request.reply_all else MAX_BY_DEFAULT)
    return Recipients(to, cc, request.bcc)


def _check_number(by_default: Sequence[Address], most: int) -> None:
    """Refuse what lets whoever wrote the mail decide how many we write to."""
    if len(by_default) > most:
        raise RequestInvalid(
            f"the mail that is answered names {len(by_default)} mailboxes for its answer, and at most {most} "
            "get one that the request does not name: name `to` yourself, and with replyAll also `cc`",
            field="to",
        )


def _default_to(headers: Headers, *, sent: bool) -> tuple[Address, ...]:
    if sent:
        return _named(headers, "To")
    return _named(headers, "Reply-To") or _named(headers, "From")


def _others(headers: Headers, to: Iterable[Address], is_own: Callable[[Mailbox], bool]) -> Iterator[Address]:
    """Everybody else who got the mail, each once."""
    seen = {_identity(each) for each in to}
    for each in (*_named(headers, "To"), *_named(headers, "Cc")):
        identity = _identity(each)
        if identity not in seen and not is_own(each.mailbox):
            seen.add(identity)
            yield each


def _named(headers: Headers, field: str) -> tuple[Address, ...]:
    """The mailboxes in the fields of this name that can be written to, each once."""
    found: dict[tuple[str, str], Address] = {}
    for address in parse_address_list(", ".join(headers.get_all(field))):
        mailbox = Mailbox(address.mailbox.local_part, address.mailbox.host)
        if _is_writable(mailbox):
            found.setdefault(_identity(address), Address(shown_name(address), mailbox))
    return tuple(found.values())


def _is_writable(mailbox: Mailbox) -> bool:
    try:
        parse_mailbox(str(mailbox))
    except AddressError:
        return False
    return True


def _identity(address: Address) -> tuple[str, str]:
    """A person's mailbox, however its letters are written: nobody wants the same mail twice."""
    return address.mailbox.local_part.casefold(), address.mailbox.host
