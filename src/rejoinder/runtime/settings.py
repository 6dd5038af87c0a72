# SPDX-License-Identifier: Apache-2.0
"""What the operator sets about workers: ``[workers]`` for all of them, ``[[worker]]`` for each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from rejoinder.settings import Duration, Settings, Size


class WorkersSettings(Settings):
    """What holds for every worker."""

    hold: Duration = Field(
        5.0,
        ge=0,
        description="How long the sender waits for the worker before it gets 250; 0: not at all.",
    )
    hold_memory: Size = Field(
        128 << 20, ge=0, description="Octets of mail held for workers beyond which no further sender waits."
    )
    retries: tuple[Duration, ...] = Field(
        (30, 120, 600, 1800, 7200, 21600, 43200, 86400),
        description="Pauses before a failed run is tried again; after the last one it is a dead letter.",
    )
    time_limit: Duration = Field(300.0, gt=0, description="When a run is cancelled.")
    grace: Duration = Field(
        1.0, gt=0, description="How long a cancelled run may take to end before its process is killed."
    )
    start_limit: Duration = Field(
        30.0, gt=0, description="How long a process may take to start and to import the worker's file."
    )
    memory: Size = Field(
        2 << 30,
        ge=0,
        description="Address space of one process, beyond which Python raises MemoryError; 0: no limit.",
    )


class WorkerEntry(Settings):
    """A file of the operator's with `async def email(message, env, ctx)`."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description='What routes call it, as in "tickets".')
    file: Path = Field(description="The Python file with `async def email(message, env, ctx)`.")
    python: str | None = Field(
        None, description="Another Python interpreter (3.11 or later), whose packages the worker may import."
    )
    processes: int = Field(1, ge=1, le=64, description="How many processes run it.")
    concurrency: int = Field(
        16,
        ge=1,
        le=1000,
        description="How many mails one process handles at a time; always one if the handler is not async.",
    )
    variables: Mapping[str, str] = Field(
        default_factory=dict, description="What the worker reads as attributes of `env`."
    )
