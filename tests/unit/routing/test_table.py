# SPDX-License-Identifier: Apache-2.0
"""The routing table: one target per address, by rank, then by order."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from rejoinder.message.address import Mailbox
from rejoinder.routing.settings import DomainEntry, RouteEntry
from rejoinder.routing.table import Table, Target, TargetKind, Unroutable

DOMAINS = [DomainEntry(name="desk.example"), DomainEntry(name="Bücher.example", account="books")]
ROUTES = [
    RouteEntry(match="*@desk.example", worker="everything"),
    RouteEntry(match="sales-*@desk.example", worker="sales"),
    RouteEntry(match="*-team@desk.example", worker="team"),
    RouteEntry(match="support+*@desk.example", worker="ticket"),
    RouteEntry(match="Support@desk.example", worker="support"),
    RouteEntry(match="support@desk.example", worker="second"),
    RouteEntry(match="support+vip@desk.example", store=True),
    RouteEntry(match="abuse@desk.example", worker="abuse"),
    RouteEntry(match="info@bücher.example", worker="books"),
]


@pytest.mark.parametrize(
    ("address", "match"),
    [
        ("support@desk.example", "Support@desk.example"),
        # Case-blind here: the local-part is ours to interpret.
        ("SUPPORT@DESK.example", "Support@desk.example"),
        ("support@desk.example.", "Support@desk.example"),
        ("support+17@desk.example", "support+*@desk.example"),
        ("support+@desk.example", "support+*@desk.example"),
        # Exact before subaddress, whatever the order.
        ("support+vip@desk.example", "support+vip@desk.example"),
        ("sales-eu@desk.example", "sales-*@desk.example"),
        # Two patterns fit: the first as written.
        ("sales-team@desk.example", "sales-*@desk.example"),
        ("other-team@desk.example", "*-team@desk.example"),
        ("anything@desk.example", "*@desk.example"),
        ("new\nline@desk.example", "*@desk.example"),
        ("abuse@desk.example", "abuse@desk.example"),
        # A domain is the same as U-labels and as A-labels.
        ("info@xn--bcher-kva.example", "info@bücher.example"),
    ],
)
def test_the_closest_match_wins_and_then_the_first(address: str, match: str) -> None:
    local_part, _, domain = address.rpartition("@")
    target = Table(DOMAINS, ROUTES).find(Mailbox(local_part, domain))
    assert isinstance(target, Target)
    assert target.match == match


@pytest.mark.parametrize("domain", ["desk.example", "bücher.example", ""])
def test_postmaster_is_always_there_and_no_catch_all_takes_it(domain: str) -> None:
    target = Table(DOMAINS, ROUTES).find(Mailbox("Postmaster", domain))
    assert isinstance(target, Target)
    assert (target.kind, target.worker) == (TargetKind.STORE, None)


def test_the_return_path_mailbox_is_stored_with_a_mark_and_never_routed() -> None:
    for local_part in ("bounces", "bounces+verp=x"):
        target = Table(DOMAINS, ROUTES).find(Mailbox(local_part, "desk.example"))
        assert isinstance(target, Target)
        assert target.kind is TargetKind.RETURN_PATH


def test_what_is_not_ours_is_told_apart_from_what_nobody_has() -> None:
    table = Table(DOMAINS, ROUTES)
    assert table.find(Mailbox("a", "elsewhere.example")) is Unroutable.RELAYING
    assert table.find(Mailbox("a", "bücher.example")) is Unroutable.UNKNOWN_MAILBOX
    assert Table([], []).find(Mailbox("postmaster", "")) is Unroutable.RELAYING


def test_a_domain_knows_its_account() -> None:
    table = Table(DOMAINS, ROUTES)
    assert table.account_of("XN--bcher-kva.example") == "books"
    assert table.account_of("elsewhere.example") is None


@pytest.mark.parametrize(
    "entry",
    [
        {"match": "a@b.example"},
        {"match": "a@b.example", "worker": "w", "store": True},
        {"match": "b.example", "store": True},
        {"match": "a@*.example", "store": True},
        {"match": "@b.example", "store": True},
    ],
)
def test_a_route_without_one_target_or_without_a_mailbox_is_refused(entry: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RouteEntry.model_validate(entry)
