# SPDX-License-Identifier: Apache-2.0
"""How the queue claims and holds jobs."""

from __future__ import annotations

from pydantic import Field

from rejoinder.settings import Duration, Settings


class QueueSettings(Settings):
    """The ``[queue]`` section."""

    lease: Duration = Field(30.0, gt=0, description="How long a claim lasts; renewed every third of it.")
    poll: Duration = Field(1.0, gt=0, description="How often the queue looks for jobs of other processes.")
    slots: int = Field(128, ge=1, description="How many jobs one server works on at once.")
    rooms: dict[str, int] = Field(
        {"run": 64, "deliver": 4},
        description="How many jobs of one lane may be worked on at once, by kind (run, deliver).",
    )
    failure_schedule: tuple[Duration, ...] = Field(
        ("1s", "10s", "1m", "5m"),
        min_length=1,
        validate_default=True,
        description="The waits after a job failed for a fault of the server; the last is repeated for ever.",
    )
