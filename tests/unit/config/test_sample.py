# SPDX-License-Identifier: Apache-2.0
"""The sample file means all defaults as printed, and loads with every setting switched on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import Field

from rejoinder.config import Config, load
from rejoinder.config.sample import page, sample
from rejoinder.config.table import sections, written
from rejoinder.settings import Duration, Settings, Size


class Table(Settings):
    duration: Duration = Field(90.0, description="A duration.")
    size: Size = Field(1536, description="A size.")
    schedule: tuple[Duration, ...] = Field((60.0, 5400.0), description="Durations.")
    name: str | None = Field(None, description="A name.")


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("duration", 90.0, '"90s"'),
        ("duration", 0.25, '"250ms"'),
        ("duration", 0, '"0s"'),
        ("duration", 86400, '"1d"'),
        ("size", 1536, '"1536B"'),
        ("size", 25 << 20, '"25MiB"'),
        ("size", 0, '"0B"'),
        ("schedule", (60.0, 5400.0), '["1m", "90m"]'),
        ("name", 'a "b" \\', '"a \\"b\\" \\\\"'),
        ("name", True, "true"),
        ("name", {"A": "b"}, '{ A = "b" }'),
    ],
)
def test_values_are_written_as_people_write_them(key: str, value: object, text: str) -> None:
    assert written(Table.model_fields[key], value) == text


def test_the_sample_as_printed_means_all_defaults(tmp_path: Path) -> None:
    path = tmp_path / "rejoinder.toml"
    path.write_text(sample(Config), encoding="utf-8")
    assert load(path, {}) == Config()


def test_the_sample_loads_with_every_setting_switched_on(tmp_path: Path) -> None:
    path = tmp_path / "rejoinder.toml"
    # `store` is the other target of a route; it has one.
    text = re.sub(r"(?m)^#(?=[\[a-z])", "", sample(Config)).replace("store = false\n", "")
    path.write_text(text, encoding="utf-8")
    config = load(path, {})
    assert config.route[0].worker == config.worker[0].name
    assert config.workers == Config().workers
    assert config.ingress == Config().ingress


def test_every_setting_has_a_sentence() -> None:
    for section in sections(Config):
        assert (section.settings.__doc__ or "").strip(), section.name
        for name, field in section.plain():
            assert (field.description or "").endswith("."), f"{section.name}.{name}"


def test_the_page_has_a_heading_for_every_setting() -> None:
    text = page(Config)
    for section in sections(Config):
        assert f"\n## {section.header}\n" in text
        for name, _ in section.plain():
            assert f"\n### {section.name}.{name}\n" in text
