# SPDX-License-Identifier: Apache-2.0
"""The one table of settings: every section and key with its default and sentence, read from the classes.

The sample file, the documentation and the error texts all read this. The surprise: a setting whose
value is a settings class is a section, and a tuple of them is a ``[[section]]`` that may be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rejoinder.config.locate import Place
from rejoinder.settings import parse_duration, parse_size


@dataclass(frozen=True, slots=True)
class Section:
    """A table of the configuration file."""

    name: str
    """Dotted, as in ``ingress.listen``."""
    is_repeated: bool
    """Whether it is written ``[[name]]``."""
    settings: type[BaseModel]

    @property
    def header(self) -> str:
        """The line that opens it."""
        return f"[[{self.name}]]" if self.is_repeated else f"[{self.name}]"

    def plain(self) -> Iterator[tuple[str, FieldInfo]]:
        """Its settings, without the sections inside it."""
        for name, field in self.settings.model_fields.items():
            if section_class(field) is None:
                yield name, field


def sections(config: type[BaseModel], prefix: str = "") -> Iterator[Section]:
    """Every section, outer before inner, in the order in which the classes declare them."""
    for name, field in config.model_fields.items():
        inner = section_class(field)
        if inner is not None:
            section = Section(prefix + name, _is_repeated(field), inner)
            yield section
            yield from sections(inner, f"{section.name}.")


def section_class(field: FieldInfo) -> type[BaseModel] | None:
    """The settings class of a section, None for a plain setting."""
    return next((part for part in _flattened(field.annotation) if _is_settings(part)), None)


def settings_at(config: type[BaseModel], place: Place) -> type[BaseModel] | None:
    """The class of the section at a place, None if the place is no section."""
    current: type[BaseModel] | None = config
    for step in place:
        if isinstance(step, str):
            field = current.model_fields.get(step) if current else None
            current = section_class(field) if field else None
    return current


def written(field: FieldInfo, value: object) -> str:
    """A value as it is written in the file: TOML, durations and sizes with their unit."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {written(field, item)}' for key, item in value.items())} }}"
    if isinstance(value, list | tuple | set | frozenset):
        return f"[{', '.join(written(field, item) for item in value)}]"
    if isinstance(value, int | float):
        return _number(field, value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _number(field: FieldInfo, value: float) -> str:
    parsers = [getattr(part, "func", None) for part in (*field.metadata, *_flattened(field.annotation))]
    if parse_duration in parsers:
        return f'"{_with_unit(value, [("d", 86400), ("h", 3600), ("m", 60), ("s", 1), ("ms", 0.001)])}"'
    if parse_size in parsers:
        return f'"{_with_unit(value, [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)])}"'
    return f"{value:_}" if isinstance(value, int) and value >= 10_000 else str(value)


def _with_unit(value: float, units: list[tuple[str, float]]) -> str:
    """The number in the largest unit in which it is whole; zero in the smallest but one."""
    for unit, size in units:
        count = value / size
        if count >= 1 and abs(count - round(count)) < 1e-9:
            return f"{round(count)}{unit}"
    return "0s" if units[-1][0] == "ms" else f"{round(value)}B"


def _is_repeated(field: FieldInfo) -> bool:
    return any(part is Ellipsis for part in get_args(field.annotation))


def _flattened(annotation: Any) -> Iterator[Any]:  # noqa: ANN401 - annotations have no type of their own
    """The annotation and everything inside it, with what ``Annotated`` adds."""
    yield annotation
    for part in get_args(annotation):
        yield from _flattened(part)


def _is_settings(part: object) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)
