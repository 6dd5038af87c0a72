# SPDX-License-Identifier: Apache-2.0
"""Whether a mail may be answered: a table of rules for each policy, all evaluated, pure.

The order of a table is the order of precedence: the first rule that fails is the exception, which
carries the codes of all that failed. A rule returns None, or the sentence that says what is refused, the
value and what to do about it. A worker answers by itself and must pass them all; through the API somebody
chose to answer, so there only what could loop is refused. The surprise: that a mail continues a
conversation with us (our ids in its References) is no loop; only the mail itself being ours is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rejoinder.errors import (
    ReplyBudget,
    ReplyDmarcFailed,
    ReplyNoPolicy,
    ReplyNullReversePath,
    ReplyOncePerEvent,
    ReplyRecipientMismatch,
    ReplyRecipientUnproven,
    ReplyReferencesExceeded,
    ReplyRefused,
    ReplySenderDomainMismatch,
    ReplyToAutomaticMail,
    ReplyToList,
    ReplyToOurselves,
    ReplyToReport,
)
from rejoinder.mailauth.verdict import DmarcResult
from rejoinder.message.address import Mailbox
from rejoinder.message.automatic import AutomaticKind
from rejoinder.replies.original import Original
from rejoinder.replies.settings import RepliesSettings

MAX_REFERENCES: Final = 100
"""A mail that names more messages than this is not answered."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """The reply that is asked for: its author and the mailbox it would go to."""

    author: Mailbox
    recipient: Mailbox | None
    """None for the null reverse-path."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What was answered already: in this event, and in 24 hours to the correspondent and in the thread."""

    in_event: int
    to_correspondent: int
    in_thread: int


@dataclass(frozen=True, slots=True)
class Case:
    """All that a rule may look at."""

    original: Original
    proposal: Proposal
    usage: Usage
    settings: RepliesSettings


def judge(case: Case) -> ReplyRefused | None:
    """None if the reply may go, else the exception of the first rule that failed, with every code."""
    failed = [(refusal, text) for refusal, rule in WORKER_RULES if (text := rule(case)) is not None]
    if not failed:
        return None
    refusal, text = failed[0]
    codes = tuple(refusal.code for refusal, _ in failed)
    return refusal(f"cannot reply to {case.original.email_id}: {text}", codes)


def judge_api(case: Case) -> ReplyToAutomaticMail | None:
    """As ``judge``, for an answer through the API: DMARC and lists are not asked, a person vouches for it."""
    failed = [(refusal.code, text) for refusal, rule in API_RULES if (text := rule(case)) is not None]
    if not failed:
        return None
    codes = (ReplyToAutomaticMail.code, *(code for code, _ in failed if code != ReplyToAutomaticMail.code))
    return ReplyToAutomaticMail(
        f"cannot reply to {case.original.email_id}: {failed[0][1]}; a key with the scope reply:any may do so",
        codes,
    )


def judge_api_budget(recipient: str, usage: Usage, settings: RepliesSettings) -> ReplyBudget | None:
    """None if one more answer through the API may go to this recipient, in this thread, today."""
    spent = _spent(recipient, usage, settings.api_per_correspondent, settings.api_per_thread, "api_")
    return None if spent is None else ReplyBudget(f"cannot reply: {spent}")


_BY_A_PROGRAM: Final = (
    AutomaticKind.AUTO_REPLIED,
    AutomaticKind.AUTO_GENERATED,
    AutomaticKind.BULK,
    AutomaticKind.DAEMON,
    AutomaticKind.SUPPRESSED,
)
_A_REPORT: Final = "it is a report about other mail (RFC 3834 §2)"


def _null_reverse_path(case: Case) -> str | None:
    if case.original.reverse_path is not None:
        return None
    return "its reverse-path is <>, which asks for no answer (RFC 3834 §2); let it be stored"


def _report(case: Case) -> str | None:
    kinds = (AutomaticKind.DSN, AutomaticKind.MDN, AutomaticKind.REPORT)
    return _found(case, kinds, _A_REPORT)


def _notification(case: Case) -> str | None:
    return _found(case, (AutomaticKind.DSN, AutomaticKind.MDN), _A_REPORT)


def _automatic(case: Case) -> str | None:
    return _found(case, _BY_A_PROGRAM, "a program sent it (RFC 3834 §2)")


def _auto_replied(case: Case) -> str | None:
    """Only the standard's own field: others are set by programs that send newsletters, too."""
    for sign in case.original.automatic:
        if sign.kind is AutomaticKind.AUTO_REPLIED and sign.field.lower() == "auto-submitted":
            return f"it is an automatic answer (RFC 3834 §5), as {sign.field}: {sign.value} tells"
    return None


def _list(case: Case) -> str | None:
    return _found(case, (AutomaticKind.LIST,), "it came through a mailing list (RFC 3834 §2)")


def _found(case: Case, kinds: Sequence[AutomaticKind], what: str) -> str | None:
    for sign in case.original.automatic:
        if sign.kind in kinds:
            return f"{what}, as {sign.field}: {sign.value} tells"
    return None


def _ourselves(case: Case) -> str | None:
    original = case.original
    authors = [author.mailbox for author in original.authors]
    ours = original.forward_path
    if original.ours:
        return "its Message-ID is one that we made: it is our own mail come back"
    for answering in (ours, case.proposal.author):
        if any(_same_to_us(author, answering) for author in authors):
            return f"its author is {answering}, the address that would answer"
    if original.reverse_path is not None and _same_to_us(original.reverse_path, ours):
        return f"its reverse-path is {ours}, the receiving address: the answer would come back to it"
    return None


def _same_to_us(one: Mailbox, other: Mailbox) -> bool:
    """Whether our routing takes them for one: local-parts of ours are case-blind (RFC 5321 §2.4)."""
    return one.host == other.host and one.local_part.casefold() == other.local_part.casefold()


def _no_policy(case: Case) -> str | None:
    dmarc = case.original.verdict.dmarc
    if dmarc.result is not DmarcResult.NONE:
        return None
    return (
        f"its author domain {dmarc.domain or '(none)'} publishes no DMARC policy, so nothing proves the "
        f"author (RFC 9989); the domain's owner can publish one at _dmarc.{dmarc.domain or 'DOMAIN'}"
    )


def _dmarc_failed(case: Case) -> str | None:
    verdict = case.original.verdict
    if verdict.dmarc.result is DmarcResult.NONE or verdict.dmarc_valid:
        return None
    return (
        f"DMARC says {verdict.dmarc.result} for its author domain {verdict.dmarc.domain or '(none)'} "
        f"({verdict.dmarc.reason or 'no aligned pass'}; SPF {verdict.spf.result}, "
        f"DKIM {', '.join(s.result for s in verdict.dkim) or 'none'}); its author is not proven (RFC 9989)"
    )


def _recipient_unproven(case: Case) -> str | None:
    original = case.original
    if original.reverse_path is None or original.verdict.reverse_path_proven(original.reverse_path):
        return None
    return (
        f"nothing proves the reverse-path {original.reverse_path}, where the answer would go: "
        f"SPF says {original.verdict.spf.result} and no aligned DKIM or DMARC pass vouches for its domain"
    )


def _references(case: Case) -> str | None:
    count = case.original.reference_count
    if count <= MAX_REFERENCES:
        return None
    return f"its References name {count} messages, more than {MAX_REFERENCES}"


def _once_per_event(case: Case) -> str | None:
    if case.usage.in_event == 0:
        return None
    return "this event was answered already; put everything into one reply"


def _recipient(case: Case) -> str | None:
    expected = case.original.reverse_path
    given = case.proposal.recipient
    if expected is None or (given is not None and given.same_as(expected)):
        return None
    return f"the recipient {given or '<>'} is not the sender of the mail, {expected}"


def _sender_domain(case: Case) -> str | None:
    received = case.original.forward_path.host
    if case.proposal.author.host == received:
        return None
    return f"the author {case.proposal.author} is not of the domain that received the mail, {received}"


def _budget(case: Case) -> str | None:
    settings = case.settings
    return _spent(
        case.proposal.recipient, case.usage, settings.per_correspondent, settings.per_thread, prefix=""
    )


def _spent(
    recipient: object, usage: Usage, per_correspondent: int, per_thread: int, prefix: str
) -> str | None:
    if 0 < per_correspondent <= usage.to_correspondent:
        return (
            f"{usage.to_correspondent} answers went to {recipient} in 24 hours; "
            f"the budget is replies.{prefix}per_correspondent = {per_correspondent}"
        )
    if 0 < per_thread <= usage.in_thread:
        return (
            f"{usage.in_thread} answers went out in this thread in 24 hours; "
            f"the budget is replies.{prefix}per_thread = {per_thread}"
        )
    return None


Rule = Callable[[Case], str | None]

WORKER_RULES: Final[tuple[tuple[type[ReplyRefused], Rule], ...]] = (
    (ReplyNullReversePath, _null_reverse_path),
    (ReplyToReport, _report),
    (ReplyToAutomaticMail, _automatic),
    (ReplyToList, _list),
    (ReplyToOurselves, _ourselves),
    (ReplyNoPolicy, _no_policy),
    (ReplyDmarcFailed, _dmarc_failed),
    (ReplyRecipientUnproven, _recipient_unproven),
    (ReplyReferencesExceeded, _references),
    (ReplyOncePerEvent, _once_per_event),
    (ReplyRecipientMismatch, _recipient),
    (ReplySenderDomainMismatch, _sender_domain),
    (ReplyBudget, _budget),
)

API_RULES: Final[tuple[tuple[type[ReplyRefused], Rule], ...]] = (
    (ReplyNullReversePath, _null_reverse_path),
    (ReplyToReport, _notification),
    (ReplyToAutomaticMail, _auto_replied),
    (ReplyToOurselves, _ourselves),
)
