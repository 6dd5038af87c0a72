# SPDX-License-Identifier: Apache-2.0
"""Settings of the reply rules."""

from __future__ import annotations

from pydantic import Field

from rejoinder.settings import Settings


class RepliesSettings(Settings):
    """How many replies may leave, counted over the last 24 hours; 0 means none."""

    per_correspondent: int = Field(
        20, ge=0, description="Answers by workers to one correspondent in 24 hours."
    )
    per_thread: int = Field(50, ge=0, description="Answers by workers in one thread in 24 hours.")
