# SPDX-License-Identifier: Apache-2.0
"""How the queue claims and holds jobs."""

from __future__ import annotations

from typing import Final

from pydantic import Field, PositiveInt, field_validator

from rejoinder.settings import Duration, Settings

_ROOMS: Final = {"run": 64, "deliver": 4}


class QueueSettings(Settings):
    """How jobs are taken up, held and tried again."""

    lease: Duration = Field(30.0, gt=0, description="How long a claim lasts; renewed every third of it.")
    poll: Duration = Field(1.0, gt=0, description="How often the queue looks for jobs of other processes.")
    slots: int = Field(128, ge=1, description="How many jobs one server works on at once.")
    rooms: dict[str, PositiveInt] = Field(
        _ROOMS,
        description="How many jobs of one lane may be worked on at once, by kind (run, deliver).",
    )
    failure_schedule: tuple[Duration, ...] = Field(
        ("1s", "10s", "1m", "5m", "30m", "2h", "6h"),
        min_length=1,
        validate_default=True,
        description="The waits after a job failed for a fault of the server; then it is a dead letter.",
    )

    @field_validator("rooms")
    @classmethod
    def _complete(cls, rooms: dict[str, int]) -> dict[str, int]:
        # Whoever changes the room of one kind does not mean to take it away from the others.
        return _ROOMS | rooms
