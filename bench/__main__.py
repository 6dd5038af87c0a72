# SPDX-License-Identifier: Apache-2.0
"""Measure the road and print what a reply costs: ``python -m bench --help`` lists what can be set."""

from __future__ import annotations

import argparse
import json
import sys

import uvloop

from bench.road import Sizes, measure
from bench.table import table


def main() -> int:
    """Measure, print, and fail if a mail was lost, doubled or unsigned."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--mails", type=int, default=2000, help="mails as fast as they go (a third for the peer)"
    )
    parser.add_argument("--steady", type=int, default=500, help="mails at a steady rate")
    parser.add_argument("--rate", type=float, default=50, help="mails a second at the steady rate")
    parser.add_argument("--connections", type=int, default=20, help="connections of the senders")
    parser.add_argument("--only", choices=("rejoinder", "peer"), help="measure only this one")
    given = parser.parse_args()
    sizes = Sizes(given.mails, given.steady, given.rate, given.connections)
    results = uvloop.run(measure(sizes, [given.only] if given.only else ["rejoinder", "peer"]))
    print(json.dumps([result.as_json() for result in results], indent=2) if given.json else table(results))
    return 0 if all(result.is_sound for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
