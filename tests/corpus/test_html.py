# SPDX-License-Identifier: Apache-2.0
"""Attacks that sanitisers are known by, judged by what a browser would be left with."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

from rejoinder.html.quote import quote_html
from rejoinder.html.sanitise import sanitise
from rejoinder.html.text import to_text

_HARMLESS = re.compile(r"(?:https?|mailto|tel|cid):|data:image/(?:png|jpeg|gif|webp);")
_RUNS = frozenset(
    {
        "script", "style", "iframe", "object", "embed", "applet", "form", "input", "button",
        "select", "textarea", "option", "base", "link", "meta", "svg", "math", "template", "frame",
        "frameset", "noscript", "xmp", "plaintext", "title", "audio", "video", "source",
    }
)  # fmt: skip


class Judge(HTMLParser):
    """Fails at what runs, submits, frames or fetches on its own; counts what is open."""

    def __init__(self, payload: str) -> None:
        super().__init__()
        self.payload = payload

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in _RUNS, self.payload
        for name, value in attrs:
            assert not name.startswith(("on", "xlink", "form")), self.payload
            assert name not in {"id", "name", "srcdoc", "background", "action", "srcset"}, self.payload
            if name in {"href", "src"}:
                assert _HARMLESS.match((value or "").lower()), self.payload
            if name == "style":
                assert not re.search(r"(?i)url|expression|javascript|@|position|\\", value or ""), (
                    self.payload
                )

    def handle_comment(self, data: str) -> None:
        raise AssertionError(self.payload)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(self.payload)


def test_no_attack_survives(corpora: Path) -> None:
    cases = json.loads((corpora / "html" / "dompurify-shared.json").read_text(encoding="utf-8"))
    assert len(cases) == 112
    for case in cases:
        clean = sanitise(case["payload"])
        judge = Judge(case["payload"])
        judge.feed(clean)
        judge.close()
        # A second look finds nothing more, so nothing changes its meaning when it is read again.
        assert sanitise(clean) == clean, case["payload"]
        quoted = quote_html("x", case["payload"], None)
        assert quoted.count("<blockquote") == quoted.count("</blockquote>"), case["payload"]
        assert "<script" not in to_text(case["payload"]).lower() or "&lt;" in case["payload"]
