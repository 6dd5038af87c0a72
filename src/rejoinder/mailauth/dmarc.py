# SPDX-License-Identifier: Apache-2.0
"""DMARC (RFC 9989): whose policy applies, which domains belong together, and whether the author is proven.

There is no list of public suffixes: the DNS itself says where an organization begins, by the records
that the tree walk meets (§4.10). The surprise: a record half-way up is neither the policy nor the
organization when there is another one above it. A DNS failure is a temperror wherever it could have
made a difference, and never a pass.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from rejoinder.dns import Question, Rcode, Resolver
from rejoinder.mailauth.verdict import (
    DkimResult,
    DkimVerdict,
    DmarcResult,
    DmarcVerdict,
    Policy,
    SpfResult,
    SpfVerdict,
)

_VERSION: Final = re.compile(r"[ \t]*v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)", re.IGNORECASE)
_REPORT_URI: Final = re.compile(
    r"mailto:[^\s@,]+@[^\s@,]+|(?!mailto:)[a-z][a-z0-9+.-]*:[^\s,]+", re.IGNORECASE
)
_MAX_RECORD: Final = 4096
_MAX_QUERIES: Final = 8


@dataclass(frozen=True, slots=True)
class Record:
    """A published record; ``policy`` is None where it has none that could be applied (§4.10.1)."""

    policy: Policy | None
    subdomain_policy: Policy | None = None
    nonexistent_policy: Policy | None = None
    strict_dkim: bool = False
    strict_spf: bool = False
    psd: Literal["y", "n", "u"] = "u"
    testing: bool = False

    def strict(self, mechanism: str) -> bool:
        """Whether this mechanism's domain must be the author's own (adkim=s, aspf=s)."""
        return self.strict_dkim if mechanism == "dkim" else self.strict_spf


@dataclass(frozen=True, slots=True)
class Walk:
    """What a tree walk met: the records from the longest name to the shortest."""

    domain: str
    records: tuple[tuple[str, Record], ...] = ()
    failed: bool = False
    """A query failed on the way, so there may be more records."""

    @property
    def own(self) -> Record | None:
        """The record of the domain where the walk started."""
        return self.records[0][1] if self.records and self.records[0][0] == self.domain else None

    @property
    def organization(self) -> str | None:
        """The Organizational Domain (§4.10.2); None where a failure left it open."""
        if self.failed:
            return None
        for name, record in self.records:
            if record.psd == "n":
                return name
            if record.psd == "y" and name != self.domain:
                return _one_label_below(name, self.domain)
        return self.records[-1][0] if self.records else self.domain

    @property
    def policy_record(self) -> tuple[str, Record] | None:
        """The record that applies: the domain's own, its organization's or its public suffix's (§4.10.1)."""
        if self.own is not None:
            return self.records[0]
        organization = self.organization
        last = self.records[-1] if self.records else None
        return next((found for found in self.records if found[0] == organization), last)


def parse_record(text: bytes) -> Record | None:
    """The record in a TXT record, None if it is none: it must begin with ``v=DMARC1`` (§4.7).

    What is wrong after that is ignored, and unknown tags too; a policy that is wrong or missing counts as
    ``none`` if somebody wants reports, and else leaves nothing to apply (§4.10.1).
    """
    if len(text) > _MAX_RECORD:
        return None
    written = text.decode("utf-8", "replace")
    version = _VERSION.match(written)
    if version is None or "DMARC1" not in version[0]:  # the value is case-sensitive, the tag is not
        return None
    tags = _tags(written[version.end() :])
    policies = {name: _policy(tags[name]) for name in ("p", "sp", "np") if name in tags}
    sound = policies.get("p") is not None and None not in policies.values()
    psd = tags.get("psd", "u").lower()
    return Record(
        policies["p"] if sound else _fallback(tags.get("rua", "")),
        policies.get("sp") if sound else None,
        policies.get("np") if sound else None,
        tags.get("adkim", "r").lower() == "s",
        tags.get("aspf", "r").lower() == "s",
        "y" if psd == "y" else "n" if psd == "n" else "u",
        tags.get("t", "n").lower() == "y",
    )


def walk_questions(domain: str) -> list[Question]:
    """The at most eight questions of a tree walk (§4.10), from the domain itself up to the top."""
    labels = domain.split(".")
    if not domain or "" in labels:
        return []
    names = [labels] + [labels[-count:] for count in range(min(len(labels), _MAX_QUERIES) - 1, 0, -1)]
    return [Question("_dmarc." + ".".join(name), "TXT") for name in names]


async def walk(domain: str, resolver: Resolver) -> Walk:
    """Walk up from a domain until a record says where its organization begins."""
    records: list[tuple[str, Record]] = []
    failed = False
    for answer in await resolver.many(walk_questions(domain)):
        failed = failed or answer.failed
        found = [record for record in map(parse_record, answer.texts) if record is not None]
        if len(found) != 1:
            continue  # several are as good as none
        records.append((answer.question.name.removeprefix("_dmarc."), found[0]))
        if found[0].psd != "u":
            break
    return Walk(domain, tuple(records), failed)


async def evaluate(
    author_domains: Collection[str],
    spf: SpfVerdict,
    dkim: Sequence[DkimVerdict],
    resolver: Resolver,
    others: Iterable[str] = (),
) -> tuple[DmarcVerdict, tuple[tuple[str, str], ...]]:
    """The verdict, and the organization of every domain that was walked, as (domain, organization).

    Args:
        author_domains: the distinct domains of From, lower-case A-labels; other than one is a permerror.
        spf: its domain counts if it passed.
        dkim: the domain of each signature that proves the message counts.
        resolver: asked for the records, in parallel.
        others: domains whose organization is wanted as well, such as the reverse-path's.
    """
    author = next(iter(author_domains)) if len(author_domains) == 1 else ""
    identifiers = _identifiers(spf, dkim)
    domains = dict.fromkeys([author, *(item.domain for item in identifiers), *others])
    await resolver.many([question for domain in domains for question in walk_questions(domain)])
    walks = {domain: await walk(domain, resolver) for domain in domains if domain}
    organizations = tuple(
        (domain, found) for domain, w in walks.items() if (found := w.organization) is not None
    )
    if not author:
        reason = "no author domain" if not author_domains else "several author domains"
        return DmarcVerdict(DmarcResult.PERMERROR, reason=reason), organizations
    return await _judge(walks, author, identifiers, resolver), organizations


@dataclass(frozen=True, slots=True)
class _Identifier:
    """A domain that a mechanism authenticated, or could not for now."""

    mechanism: Literal["spf", "dkim"]
    domain: str
    passed: bool


def _identifiers(spf: SpfVerdict, dkim: Sequence[DkimVerdict]) -> list[_Identifier]:
    found = [
        _Identifier("dkim", signature.domain, signature.proves)
        for signature in dkim
        if signature.proves or signature.result is DkimResult.TEMPERROR
    ]
    if spf.result in (SpfResult.PASS, SpfResult.TEMPERROR):
        found.append(_Identifier("spf", spf.domain, spf.result is SpfResult.PASS))
    return list(dict.fromkeys(found))


async def _judge(
    walks: dict[str, Walk], author: str, identifiers: list[_Identifier], resolver: Resolver
) -> DmarcVerdict:
    start = walks[author]
    if start.failed and start.own is None:
        return DmarcVerdict(DmarcResult.TEMPERROR, domain=author, reason="the policy could not be looked up")
    found = start.policy_record
    if found is None or found[1].policy is None:
        reason = "no policy published" if found is None else f"no policy in the record of {found[0]}"
        return DmarcVerdict(DmarcResult.NONE, domain=author, reason=reason)
    policy_domain, record = found
    policy = await _policy_for(author, policy_domain, record, resolver)
    sure = [item for item in identifiers if item.passed and _aligned(item, record, walks, author)]
    open_ = [item for item in identifiers if _aligned(item, record, walks, author) is not False]
    aligned_by = tuple(f"{item.mechanism}={item.domain}" for item in sure)
    if sure:
        result, reason = DmarcResult.PASS, ""
    elif open_:
        result, reason = (
            DmarcResult.TEMPERROR,
            f"{open_[0].mechanism} of {open_[0].domain} is open: DNS failed",
        )
    else:
        result, reason = DmarcResult.FAIL, "no aligned domain passed SPF or DKIM"
    return DmarcVerdict(result, policy, author, policy_domain, aligned_by, reason, record.testing)


def _aligned(item: _Identifier, record: Record, walks: dict[str, Walk], author: str) -> bool | None:
    """Identifier alignment (§4.4); None where a DNS failure left it open."""
    if item.domain == author:
        return True
    if record.strict(item.mechanism):
        return False
    one, other = walks[item.domain].organization, walks[author].organization
    return None if one is None or other is None else one == other


async def _policy_for(author: str, policy_domain: str, record: Record, resolver: Resolver) -> Policy | None:
    if author == policy_domain:
        return record.policy
    policy = record.subdomain_policy or record.policy
    if record.nonexistent_policy in (None, policy):
        return policy
    answer = await resolver.query(author, "A")  # §3.2: non-existent is NXDOMAIN, as in RFC 8020
    return record.nonexistent_policy if answer.rcode is Rcode.NXDOMAIN else policy


def _tags(text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for spec in text.split(";"):
        name, equals, value = spec.partition("=")
        if equals:
            tags.setdefault(name.strip().lower(), value.strip())
    return tags


def _policy(value: str) -> Policy | None:
    return Policy(value.lower()) if value.lower() in set(Policy) else None


def _fallback(reports_to: str) -> Policy | None:
    wanted = any(_REPORT_URI.match(uri.strip()) for uri in reports_to.split(","))
    return Policy.NONE if wanted else None


def _one_label_below(suffix: str, domain: str) -> str:
    return ".".join(domain.split(".")[-(suffix.count(".") + 2) :])
