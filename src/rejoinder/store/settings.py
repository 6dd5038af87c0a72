# SPDX-License-Identifier: Apache-2.0
"""Where the store lies and how it keeps raw mail."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from rejoinder.settings import Settings, Size


class StoreSettings(Settings):
    """Where mail, and everything known of it, is kept."""

    data_dir: Path = Field(Path("data"), description="The folder of the database and of large raw mail.")
    url: str = Field("", description="The database; empty means SQLite in data_dir.")
    raw_url: str = Field("", description="Where large raw mail lies; empty means files in data_dir.")
    inline_max: Size = Field(
        1 << 20, ge=0, description="Raw mail up to this size lies in the database, above it in a file."
    )

    @field_validator("url", "raw_url")
    @classmethod
    def _only_here(cls, value: str) -> str:
        if value:
            raise ValueError(
                f"{value!r} cannot be used: this version keeps everything in data_dir; leave it empty"
            )
        return value
