# SPDX-License-Identifier: Apache-2.0
"""Settings from the environment, laid over those of the file.

``REJOINDER_OUTBOUND__MX_PORT=2526`` is ``outbound.mx_port``; a list or a table is written as JSON. This
is by hand, not by pydantic-settings, so that a variable that names no setting is refused like a key of
the file, with its name. The surprise: a variable without two underscores is no setting; ``REJOINDER_CONFIG``
is one of these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from rejoinder.config.locate import Place

PREFIX: Final = "REJOINDER_"
_SEPARATOR: Final = "__"


def overlaid(values: Mapping[str, object], environment: Mapping[str, str]) -> dict[str, object]:
    """The values of the file, changed by the variables that name settings."""
    result = dict(values)
    for name, text in environment.items():
        if name.startswith(PREFIX) and _SEPARATOR in name:
            *tables, key = name.removeprefix(PREFIX).lower().split(_SEPARATOR)
            table = result
            for step in tables:
                inner = table.get(step)
                table[step] = fresh = dict(inner) if isinstance(inner, dict) else {}
                table = fresh
            table[key] = _value(text)
    return result


def variable(place: Place) -> str:
    """The name of the variable that sets the value at a place."""
    return PREFIX + _SEPARATOR.join(str(step) for step in place).upper()


def _value(text: str) -> object:
    if not text.startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
