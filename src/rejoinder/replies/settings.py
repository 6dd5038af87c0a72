# SPDX-License-Identifier: Apache-2.0
"""Settings of the reply rules, and of how much an account may send."""

from __future__ import annotations

from pydantic import Field

from rejoinder.settings import Settings


class RepliesSettings(Settings):
    """How many replies may leave, counted over the last 24 hours; 0 sets no limit."""

    per_correspondent: int = Field(
        20, ge=0, description="Answers by workers to one correspondent in 24 hours."
    )
    per_thread: int = Field(50, ge=0, description="Answers by workers in one thread in 24 hours.")
    api_per_correspondent: int = Field(
        200, ge=0, description="Answers through the API to one correspondent in 24 hours."
    )
    api_per_thread: int = Field(200, ge=0, description="Answers through the API in one thread in 24 hours.")


class QuotaSettings(Settings):
    """To how many recipients an account may send through the API; 0 sets no limit."""

    per_month: int = Field(0, ge=0, description="Recipients of messages in one calendar month, UTC.")
    per_hour: int = Field(0, ge=0, description="Recipients of messages in one hour of the clock.")
