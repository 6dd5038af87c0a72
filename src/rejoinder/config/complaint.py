# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a configuration, in the words of the person who wrote it.

A complaint names file and line (or the variable), the value, the rule and, at the end of them all, the
next step. The surprise: a password inside a URL is not repeated, because error texts end in logs.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from rejoinder.config.environment import variable
from rejoinder.config.locate import Place, line_at
from rejoinder.config.table import settings_at
from rejoinder.errors import ConfigError

_NEXT_STEP: Final = "`rejoinder config sample` prints every setting with its default and meaning."
_PASSWORD: Final = re.compile(r"(?<=//)([^/@\s:]*):[^/@\s]*@")


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong, at a place of the configuration."""

    place: Place
    text: str


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the values came from."""

    file: str
    lines: Mapping[Place, int]
    environment: Mapping[str, str]

    def of(self, place: Place) -> str:
        """The variable, or file and line, that set the value at a place."""
        for length in range(len(place), 1, -1):
            if (name := variable(place[:length])) in self.environment:
                return name
        if (line := line_at(self.lines, place)) is not None:
            return f"{self.file}:{line}"
        inside = variable(place) + "__"
        return next((name for name in self.environment if name.startswith(inside)), self.file)


def refusal(complaints: Iterable[Complaint], sources: Sources) -> ConfigError:
    """One error that lists every complaint with its source."""
    listed = [f"{sources.of(complaint.place)}: {complaint.text}" for complaint in complaints]
    if len(listed) == 1:
        return ConfigError(f"{listed[0]}\n{_NEXT_STEP}")
    return ConfigError("\n  ".join([f"{len(listed)} settings are wrong.", *listed]) + f"\n{_NEXT_STEP}")


def complaint(config: type[BaseModel], error: ErrorDetails) -> Complaint:
    """What pydantic found, said with the setting's name, value, rule and meaning."""
    place = tuple(error["loc"])
    match error["type"]:
        case "missing":
            return Complaint(place, f"{dotted(place)} is missing{_meaning(config, place)}")
        case "extra_forbidden":
            return Complaint(place, f"{dotted(place)} is not a setting; {_near(config, place)}")
        case _:
            rule = error["msg"].removeprefix("Value error, ").replace("Input should be", "it should be")
            return Complaint(place, f"{dotted(place)}{_value(error['input'])} is refused: {_hidden(rule)}")


def dotted(place: Place) -> str:
    """A place as people write it: ``worker[2].file``, counted from 1."""
    text = "".join(f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in place)
    return text.removeprefix(".")


def _near(config: type[BaseModel], place: Place) -> str:
    around = settings_at(config, place[:-1])
    known = list(around.model_fields) if around else []
    near = difflib.get_close_matches(str(place[-1]), known, n=1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"


def _meaning(config: type[BaseModel], place: Place) -> str:
    around = settings_at(config, place[:-1])
    field = around.model_fields.get(str(place[-1])) if around else None
    return f": {field.description.rstrip('.')}" if field and field.description else ""


def _value(value: object) -> str:
    if isinstance(value, Mapping | BaseModel):
        return ""
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return " = " + _hidden(text if len(text) <= 100 else f"{text[:100]}…")


def _hidden(text: str) -> str:
    return _PASSWORD.sub(r"\1:***@", text)
