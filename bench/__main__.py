# SPDX-License-Identifier: Apache-2.0
"""Measure what a reply costs, by a worker (the road) and by a request of the HTTP API (reply)."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

import uvloop

from bench import reply, road
from bench.table import reply_table, road_table

Results = Sequence[road.Result] | Sequence[reply.Result]


def main() -> int:
    """Measure, print, and fail if anything was lost, doubled or unsigned."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    kinds = parser.add_subparsers(dest="kind", metavar="road | reply", help="measure only this one")
    _road_options(kinds.add_parser("road", help="mails received and answered by a worker"))
    _reply_options(kinds.add_parser("reply", help="reply requests of the HTTP API"))
    given = parser.parse_args()
    found: dict[str, Results] = {}
    for kind, run in (("road", _road), ("reply", _reply)):
        if given.kind in (kind, None):
            # Without a word for one of them, both have their defaults.
            arguments = given if given.kind else parser.parse_args([kind])
            found[kind], table = run(arguments)
            if not given.json:
                sys.stdout.write(f"{table}\n\n")
    if given.json:
        told = {kind: [result.as_json() for result in results] for kind, results in found.items()}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    return 0 if all(result.is_sound for results in found.values() for result in results) else 1


def _road_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mails", type=int, default=2000, help="mails as fast as they go (a third for the peer)"
    )
    parser.add_argument("--steady", type=int, default=500, help="mails at a steady rate")
    parser.add_argument("--rate", type=float, default=50, help="mails a second at the steady rate")
    parser.add_argument("--connections", type=int, default=20, help="connections of the senders")
    parser.add_argument("--only", choices=("rejoinder", "peer"), help="measure only this one")


def _reply_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--requests", type=int, default=3000, help="requests to each server")
    parser.add_argument("--letters", type=int, default=500, help="mails that they answer in turn")
    parser.add_argument("--connections", type=int, default=16, help="connections of the clients")
    parser.add_argument("--only", choices=reply.NAMES, help="measure only this one")


def _road(given: argparse.Namespace) -> tuple[Results, str]:
    sizes = road.Sizes(given.mails, given.steady, given.rate, given.connections)
    results = uvloop.run(road.measure(sizes, [given.only] if given.only else ["rejoinder", "peer"]))
    return results, road_table(results)


def _reply(given: argparse.Namespace) -> tuple[Results, str]:
    sizes = reply.Sizes(given.requests, given.connections, given.letters)
    results = uvloop.run(reply.measure(sizes, [given.only] if given.only else reply.NAMES))
    return results, reply_table(results)


if __name__ == "__main__":
    sys.exit(main())
