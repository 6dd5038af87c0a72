# SPDX-License-Identifier: Apache-2.0
"""The outcome of authentication, as values whose words are those of RFC 8601 §2.7.

A Verdict is stored as evidence with the message and read back later, so each of its questions
(``dmarc_valid``, ``reverse_path_proven``) is answered from what it holds, never from the DNS. That is why
it keeps the Organizational Domains that the tree walk found.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from pydantic import TypeAdapter

from rejoinder.message.address import Mailbox


class SpfResult(StrEnum):
    """RFC 7208 §2.6."""

    NONE = "none"
    """No domain could be taken from the envelope, or it publishes no SPF record."""
    NEUTRAL = "neutral"
    """The domain asserts nothing about this address."""
    PASS = "pass"
    """The domain lets this address send."""
    FAIL = "fail"
    """The domain forbids this address to send."""
    SOFTFAIL = "softfail"
    """The domain thinks this address should not send."""
    TEMPERROR = "temperror"
    """The DNS failed; asking later may tell."""
    PERMERROR = "permerror"
    """The domain's record cannot be understood."""


class DkimResult(StrEnum):
    """RFC 8601 §2.7.1, of one signature."""

    NEUTRAL = "neutral"
    """Not looked at, because the message has too many, so it counts for nothing."""
    PASS = "pass"
    """The signature is valid."""
    FAIL = "fail"
    """The signature does not match the message."""
    POLICY = "policy"
    """The signature is sound but of a kind that we do not accept."""
    TEMPERROR = "temperror"
    """The key could not be fetched; asking later may tell."""
    PERMERROR = "permerror"
    """The signature or its key cannot be used."""


class DmarcResult(StrEnum):
    """RFC 9989 §5.3, with RFC 8601's word for each."""

    NONE = "none"
    """The author's domain publishes no policy."""
    PASS = "pass"
    """SPF or DKIM passed for a domain aligned with the author's."""
    FAIL = "fail"
    """Neither did, and a policy is published."""
    TEMPERROR = "temperror"
    """The DNS failed where it could have mattered."""
    PERMERROR = "permerror"
    """There is no one author domain to ask about."""


class Policy(StrEnum):
    """What the author's domain asks for mail that fails (RFC 9989 §4.7)."""

    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class SpfVerdict:
    """What SPF said of the reverse-path's domain, or of the HELO name where the reverse-path is null.

    ``domain`` is in lower-case A-labels, ``explanation`` the domain's own words for a fail, ``steps`` how the
    result came about, one line each.
    """

    result: SpfResult
    domain: str = ""
    identity: Literal["mailfrom", "helo"] = "mailfrom"
    explanation: str = ""
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DkimVerdict:
    """What became of one signature.

    ``domain`` (d=) is in lower-case A-labels, ``identity`` is i=, ``reason`` says in RFC 6376's words why it
    did not pass, ``signed_fields`` the distinct names in h=. ``body_limited``: it has l=, and its best
    result is ``policy`` (RFC 6376 §8.2). ``testing``: its key says t=y.
    """

    result: DkimResult
    domain: str = ""
    selector: str = ""
    identity: str = ""
    algorithm: str = ""
    reason: str = ""
    signed_fields: tuple[str, ...] = ()
    body_limited: bool = False
    testing: bool = False

    @property
    def proves(self) -> bool:
        """Whether its domain answers for the message; under a testing key nobody does (RFC 6376 §3.6.1)."""
        return self.result is DkimResult.PASS and not self.testing


@dataclass(frozen=True, slots=True)
class DmarcVerdict:
    """What DMARC said of the author's domain.

    ``domain`` is the Author Domain, ``policy_domain`` where the record stands, ``policy`` what it asks for
    this domain (None without a record), ``aligned_by`` the mechanism and domain that passed, such as
    ``"dkim=example.com"``. ``testing``: the record says t=y, the policy is not to be enforced yet.
    """

    result: DmarcResult
    policy: Policy | None = None
    domain: str = ""
    policy_domain: str = ""
    aligned_by: tuple[str, ...] = ()
    reason: str = ""
    testing: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """All three, and the Organizational Domains of the domains in them, as (domain, its organization)."""

    spf: SpfVerdict
    dkim: tuple[DkimVerdict, ...]
    dmarc: DmarcVerdict
    organizations: tuple[tuple[str, str], ...] = ()

    @classmethod
    def unanswered(cls) -> Verdict:
        """The verdict where the time for asking the DNS was over before anything was known."""
        late = "the DNS did not answer in time"
        return cls(
            SpfVerdict(SpfResult.TEMPERROR, steps=(late,)),
            (),
            DmarcVerdict(DmarcResult.TEMPERROR, reason=late),
        )

    @property
    def dmarc_valid(self) -> bool:
        """DMARC passed under a published policy; ``none`` is not valid."""
        return self.dmarc.result is DmarcResult.PASS and self.dmarc.policy is not None

    @property
    def failed_for_now(self) -> bool:
        """The DNS failed where it could have mattered: 451 4.4.3 is the answer."""
        return self.dmarc.result is DmarcResult.TEMPERROR

    def reverse_path_proven(self, reverse_path: Mailbox | None) -> bool:
        """Whether whoever sent this may speak for the reverse-path, so that an answer may go there.

        SPF passed for its domain, or its domain is aligned (relaxed, RFC 9989 §4.10.2) with a DKIM signature
        that proves the message or with the author's domain that passed DMARC.
        """
        if reverse_path is None or not reverse_path.domain:
            return False
        host = reverse_path.host
        if self.spf.result is SpfResult.PASS and self.spf.identity == "mailfrom" and self.spf.domain == host:
            return True
        proven = [signature.domain for signature in self.dkim if signature.proves]
        if self.dmarc_valid:
            proven.append(self.dmarc.domain)
        return any(self.aligned(host, domain) for domain in proven)

    def aligned(self, one: str, other: str) -> bool:
        """Relaxed alignment of two of the domains looked at: the same, or of the same organization."""
        organizations = dict(self.organizations)
        known = organizations.get(one)
        return one == other or (known is not None and known == organizations.get(other))

    def as_json(self) -> str:
        """The field names as keys, the RFC's words as results."""
        return _VERDICT.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> Verdict:
        """Read back what ``as_json`` gave.

        Raises:
            ValueError: it is not that.
        """
        return _VERDICT.validate_json(text)


_VERDICT: Final = TypeAdapter(Verdict)
