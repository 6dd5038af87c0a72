# SPDX-License-Identifier: Apache-2.0
"""The form of a setting: each part declares its own ``Settings``; ``config`` composes them.

A setting is a field with a default and a sentence (``Field(default, description=…)``); the sample
file, the documentation and the tests read the same declarations. Durations are written ``"5s"``,
``"1m"``, ``"2h"``, ``"7d"`` or ``"250ms"`` and held as float seconds; sizes ``"25MiB"`` as bytes.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict

_DURATION_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE_UNITS: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def parse_duration(value: object) -> object:
    """Seconds for ``"5s"``; a number passes through as seconds.

    Raises:
        ValueError: a text that is not a number and one of ms, s, m, h, d.
    """
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*", value)
    if match is None:
        raise ValueError(f'{value!r} is not a duration; write a number and ms, s, m, h or d, as in "5s"')
    return float(match[1]) * _DURATION_UNITS[match[2]]


def parse_size(value: object) -> object:
    """Bytes for ``"25MiB"``; a number passes through as bytes.

    Raises:
        ValueError: a text that is not a number and one of B, KiB, MiB, GiB.
    """
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+)\s*(B|KiB|MiB|GiB)\s*", value)
    if match is None:
        raise ValueError(
            f'{value!r} is not a size; write a whole number and B, KiB, MiB or GiB, as in "25MiB"'
        )
    return int(match[1]) * _SIZE_UNITS[match[2]]


Duration = Annotated[float, BeforeValidator(parse_duration)]
Size = Annotated[int, BeforeValidator(parse_size)]


class Settings(BaseModel):
    """What every part's settings share: unknown names are refused, values do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
