# SPDX-License-Identifier: Apache-2.0
"""Reply fields against our own vectors and the shared ones."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import pytest
import yaml

from rejoinder.message.encode import field, ids_field
from rejoinder.message.headers import Headers, split
from rejoinder.message.thread import ReplyFields, base_subject, msg_ids, reply_fields

VECTORS = Path(__file__).parent.parent / "vectors" / "threading" / "cases.yml"


class Vector(TypedDict):
    name: str
    original: str
    in_reply_to: str | None
    references: list[str]
    subject: str


class Expected(TypedDict):
    name: str
    original: dict[str, str]
    expect: dict[str, str | int | None]


@pytest.mark.parametrize(
    "vector", yaml.safe_load(VECTORS.read_text()), ids=lambda vector: str(vector["name"])
)
def test_a_reply_threads_as_our_vectors_say(vector: Vector) -> None:
    headers, _ = split(vector["original"].encode())
    fields = reply_fields(headers)
    assert fields == ReplyFields(vector["in_reply_to"], tuple(vector["references"]), vector["subject"])
    written, _ = split(ids_field("References", fields.references) + field("Subject", fields.subject))
    assert msg_ids(written.get("References")) == fields.references
    assert written.fields("Subject")[0].decoded == fields.subject


def test_a_reply_threads_as_the_shared_vectors_say(corpora: Path) -> None:
    cases: list[Expected] = yaml.safe_load((corpora / "threading" / "threading-own.yml").read_text())["cases"]
    assert len(cases) == 7
    for case in cases:
        fields = reply_fields(_headers(case["original"]))
        said: dict[str, str | int | None] = {
            "In-Reply-To": fields.in_reply_to,
            "References": " ".join(fields.references) or None,
            "Subject": fields.subject,
            "Subject_base": base_subject(fields.subject),
            "Subject_re_count": fields.subject.lower().count("re:"),
        }
        assert {name: said[name] for name in case["expect"]} == case["expect"], case["name"]


def _headers(fields: dict[str, str]) -> Headers:
    return split("".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode())[0]
