# SPDX-License-Identifier: Apache-2.0
"""What the operator writes down: ``[[domain]]`` and ``[[route]]``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from rejoinder.settings import Settings


class OnFailure(StrEnum):
    """What becomes of a mail whose worker fails while the sender still waits."""

    QUEUE = "queue"
    """250; run again with back-off, then a dead letter."""
    TEMPFAIL = "tempfail"
    """451 4.3.0; the sender tries again."""
    REJECT = "reject"
    """550 5.3.0."""


class DomainEntry(Settings):
    """A domain of the operator's; being here verifies it."""

    name: str = Field(description='The domain, as in "desk.example".')
    dkim_selector: str = Field("rejoinder", description="The DKIM selector that signs for the domain.")
    dkim_key: Path | None = Field(
        None,
        description="File of the RSA private key (PEM); made when missing. "
        "Without a path it lies in data_dir as dkim/NAME.pem.",
    )
    account: str = Field("default", description="The account that the domain belongs to.")


class RouteEntry(Settings):
    """Where mail for a mailbox goes."""

    match: str = Field(
        description='A mailbox, as in "support@desk.example", "support+*@desk.example" or "*@desk.example".'
    )
    worker: str | None = Field(None, description="The [[worker]] that handles the mail.")
    store: bool = Field(False, description="Keep the mail and run nothing.")
    on_failure: OnFailure = Field(
        OnFailure.QUEUE,
        description='When the worker fails while the sender waits: "queue" (answer 250 and run again), '
        '"tempfail" (451) or "reject" (550).',
    )

    @model_validator(mode="after")
    def _has_one_target(self) -> Self:
        if (self.worker is not None) == self.store:
            raise ValueError(
                f'the route for {self.match!r} needs exactly one target: worker = "NAME" or store = true'
            )
        local, at, domain = self.match.rpartition("@")
        if not (local and at and domain) or "*" in domain:
            raise ValueError(
                f'{self.match!r} is not a match; write LOCAL@DOMAIN, where LOCAL may contain "*"'
            )
        return self
