# SPDX-License-Identifier: Apache-2.0
"""What an event knows, as JSON of at most 16 KiB.

Evidence that is too large loses the ends of its longest texts and lists, never its shape: whoever reads an
event finds every key that its stage wrote, and a text that was cut says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

Json = str | int | float | bool | None | Mapping[str, "Json"] | Sequence["Json"]
MAX_BYTES: Final = 16 * 1024
_CUT: Final = " […]"
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def evidence(**values: Json) -> str:
    """The values as JSON text; None values are left out."""
    kept: dict[str, Json] = {key: value for key, value in values.items() if value is not None}
    text = _dump(kept)
    longest = MAX_BYTES
    while len(text.encode()) > MAX_BYTES and longest > 1:
        longest //= 2
        text = _dump({key: _shortened(value, longest) for key, value in kept.items()})
    return text


def _dump(values: Mapping[str, Json]) -> str:
    return _ENCODER.encode(values).encode("utf-8", "replace").decode()


def _shortened(value: Json, longest: int) -> Json:
    if isinstance(value, str):
        return value if len(value) <= longest else value[:longest] + _CUT
    if isinstance(value, Mapping):
        return {key[:longest]: _shortened(each, longest) for key, each in islice(value.items(), longest)}
    if isinstance(value, Sequence):
        shown: list[Json] = [_shortened(each, longest) for each in value[:longest]]
        return shown if len(value) <= longest else [*shown, _CUT]
    return value
