# SPDX-License-Identifier: Apache-2.0
"""Detection of automatic mail against our own vectors and the shared ones."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import pytest
import yaml

from rejoinder.message.address import parse_mailbox
from rejoinder.message.automatic import detect
from rejoinder.message.headers import split

VECTORS = Path(__file__).parent.parent / "vectors" / "auto_reply" / "cases.yml"


class Vector(TypedDict):
    name: str
    reverse_path: str
    headers: str
    kinds: list[str]


class Expected(TypedDict):
    name: str
    envelope_from: str
    rcpt_to: str
    headers: list[tuple[str, str]]
    auto_reply: bool


@pytest.mark.parametrize(
    "vector", yaml.safe_load(VECTORS.read_text()), ids=lambda vector: str(vector["name"])
)
def test_automatic_mail_is_told_as_our_vectors_say(vector: Vector) -> None:
    path = vector["reverse_path"]
    found = detect(split(vector["headers"].encode())[0], parse_mailbox(path) if path else None)
    assert [str(each.kind) for each in found] == vector["kinds"]


def test_automatic_mail_is_told_as_the_shared_vectors_say(corpora: Path) -> None:
    cases: list[Expected] = yaml.safe_load((corpora / "auto-reply" / "auto-reply-own.yml").read_text())[
        "cases"
    ]
    assert len(cases) == 12
    for case in cases:
        path = case["envelope_from"]
        block = "".join(f"{name}: {value}\r\n" for name, value in case["headers"]).encode()
        found = detect(split(block)[0], parse_mailbox(path) if path else None)
        # Mail from the address itself is the reply rules' to tell; it bears no mark of a program.
        to_itself = path == case["rcpt_to"]
        assert (not found and not to_itself) == case["auto_reply"], case["name"]
