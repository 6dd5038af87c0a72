# SPDX-License-Identifier: Apache-2.0
"""What no part can see alone: settings of one part that contradict those of another."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from rejoinder.config.complaint import Complaint
from rejoinder.message.address import a_label
from rejoinder.routing.settings import DomainEntry, RouteEntry


class Named(Protocol):
    """Anything with a name."""

    @property
    def name(self) -> str:
        """The name."""
        ...


class Parts(Protocol):
    """What is compared here of the whole configuration."""

    @property
    def worker(self) -> Sequence[Named]:
        """The ``[[worker]]`` entries."""
        ...

    @property
    def domain(self) -> Sequence[DomainEntry]:
        """The ``[[domain]]`` entries."""
        ...

    @property
    def route(self) -> Sequence[RouteEntry]:
        """The ``[[route]]`` entries."""
        ...


def contradictions(parts: Parts) -> Iterator[Complaint]:
    """Every contradiction, in the order of the file's sections."""
    yield from _twice("worker", [worker.name for worker in parts.worker])
    yield from _twice("domain", [a_label(domain.name) for domain in parts.domain])
    workers = [worker.name for worker in parts.worker]
    domains = [a_label(domain.name) for domain in parts.domain]
    for index, route in enumerate(parts.route):
        if route.worker is not None and route.worker not in workers:
            rule = _no_such("worker", route.worker, workers)
            yield Complaint(("route", index, "worker"), f"route for {route.match}: {rule}")
        domain = a_label(route.match.rpartition("@")[2])
        if domain not in domains:
            rule = _no_such("domain", domain, domains)
            yield Complaint(("route", index, "match"), f"route for {route.match}: {rule}")
    yield from _routes_twice(parts.route)


def _twice(kind: str, names: Sequence[str]) -> Iterator[Complaint]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Complaint(
                (kind, index, "name"), f"{kind} {name} is there twice; a name exists once per server"
            )


def _routes_twice(routes: Sequence[RouteEntry]) -> Iterator[Complaint]:
    matches = [route.match.casefold() for route in routes]
    for index, match in enumerate(matches):
        if match in matches[:index]:
            rule = "an address has one target, so this route would never be taken"
            yield Complaint(("route", index, "match"), f"route for {match} is there twice; {rule}")


def _no_such(kind: str, name: str, known: Collection[str]) -> str:
    if not known:
        return f'there is no [[{kind}]] {name}, nor any other; write one with name = "{name}"'
    near = difflib.get_close_matches(name, known, n=1)
    return f"there is no [[{kind}]] {name}; " + (
        f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"
    )
