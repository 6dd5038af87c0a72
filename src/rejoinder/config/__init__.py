# SPDX-License-Identifier: Apache-2.0
"""The configuration: each part's own settings, composed into one table and read from one file.

The environment wins over the file, the file over the defaults. Whatever is wrong is said for all of it
at once, with file and line. The surprise: ``Config(...)`` made in code looks neither at the environment
nor at a file; only ``load`` does.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError

from rejoinder.api.settings import HttpSettings
from rejoinder.config.complaint import Sources, complaint, refusal
from rejoinder.config.cross import contradictions
from rejoinder.config.environment import overlaid
from rejoinder.config.locate import lines_of
from rejoinder.dns.settings import DnsSettings
from rejoinder.errors import ConfigError
from rejoinder.ingress.settings import IngressSettings
from rejoinder.outbound.settings import OutboundSettings
from rejoinder.queue.settings import QueueSettings
from rejoinder.replies.settings import QuotaSettings, RepliesSettings
from rejoinder.routing.settings import DomainEntry, RouteEntry
from rejoinder.runtime.settings import WorkerEntry, WorkersSettings
from rejoinder.settings import Settings
from rejoinder.store.settings import StoreSettings

__all__ = ["FILE_NAME", "Config", "find", "load"]

FILE_NAME: Final = "rejoinder.toml"


class Config(Settings):
    """Every setting of the server."""

    store: StoreSettings = Field(default_factory=StoreSettings)
    domain: tuple[DomainEntry, ...] = ()
    route: tuple[RouteEntry, ...] = ()
    worker: tuple[WorkerEntry, ...] = ()
    workers: WorkersSettings = Field(default_factory=WorkersSettings)
    replies: RepliesSettings = Field(default_factory=RepliesSettings)
    quota: QuotaSettings = Field(default_factory=QuotaSettings)
    ingress: IngressSettings = Field(default_factory=IngressSettings)
    outbound: OutboundSettings = Field(default_factory=OutboundSettings)
    queue: QueueSettings = Field(default_factory=QueueSettings)
    dns: DnsSettings = Field(default_factory=DnsSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)


def find(named: Path | None, environment: Mapping[str, str] = os.environ) -> Path:
    """The configuration file: the one named, else that of REJOINDER_CONFIG, else ``rejoinder.toml`` here.

    Raises:
        ConfigError: there is no such file.
    """
    path = named or Path(environment.get("REJOINDER_CONFIG") or FILE_NAME)
    if not path.is_file():
        raise ConfigError(
            f"the configuration file {path} does not exist (working directory {Path.cwd()}); write one with "
            f"`rejoinder config sample > {FILE_NAME}`, or name yours with --config or REJOINDER_CONFIG"
        )
    return path


def load(named: Path | None = None, environment: Mapping[str, str] = os.environ) -> Config:
    """The configuration from the file that ``find`` finds, with the environment above it.

    Raises:
        ConfigError: something is missing or wrong; the text lists all of it.
    """
    path = find(named, environment)
    text = _text(path)
    values = _values(path, text)
    sources = Sources(str(path), lines_of(text), environment)
    try:
        config = Config.model_validate(overlaid(values, environment))
    except ValidationError as error:
        raise refusal([complaint(Config, each) for each in error.errors()], sources) from None
    if wrong := list(contradictions(config)):
        raise refusal(wrong, sources)
    return config


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as UTF-8 text: {error}") from None


def _values(path: Path, text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        number = int(line[1]) if line else text.count("\n") + 1
        raise ConfigError(
            f'{path}:{number}: this is not TOML: {error}. Texts stand in quotes: data_dir = "data".'
        ) from None
