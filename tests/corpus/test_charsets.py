# SPDX-License-Identifier: Apache-2.0
"""Charsets in bodies, subjects and names."""

from __future__ import annotations

import json
from pathlib import Path

from rejoinder.message.address import parse_address_list
from rejoinder.message.parse import parse


def test_every_charset_is_read(corpora: Path) -> None:
    expected: dict[str, dict[str, str]] = json.loads((corpora / "charsets" / "expected.json").read_text())
    assert len(expected) == 52
    for name, parts in expected.items():
        message = parse((corpora / "charsets" / name).read_bytes())
        subject = message.headers.fields("Subject")
        author = parse_address_list(message.headers.get("From", ""))
        read = {
            "text": (message.text or "").rstrip("\n"),
            "subject": subject[0].decoded if subject else "",
            "from_name": author[0].display_name if author else "",
        }
        assert {part: read[part] for part in parts} == parts, name
