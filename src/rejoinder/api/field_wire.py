# SPDX-License-Identifier: Apache-2.0
"""Reading one field of a JSON body: the value as the house wants it, or a refusal that names the field.

Every reader takes the field's name, as the caller wrote it, and its value. The surprise: in texts a lone
surrogate, which JSON can write and UTF-8 cannot, becomes U+FFFD, lest storing them fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from rejoinder.errors import FieldsConflict, RequestInvalid

T = TypeVar("T")


def given(
    fields: Mapping[str, object], read: Callable[[str, object], T], *spellings: str, at: str = ""
) -> T | None:
    """A field in whichever of its spellings it was given; None if it was not, or is null or an empty text.

    Raises:
        FieldsConflict: two spellings were given and mean different things.
        RequestInvalid: the value is not what the field takes.
    """
    found = [
        read(at + name, fields[name])
        for name in spellings
        if fields.get(name) is not None and fields[name] != ""
    ]
    if any(value != found[0] for value in found[1:]):
        raise FieldsConflict(
            f"{at}{spellings[0]} and {at}{spellings[1]} are two spellings of one field and were given with "
            "different values; leave one out",
            field=at + spellings[0],
        )
    return found[0] if found else None


def text(field: str, value: object) -> str:
    """A text."""
    if not isinstance(value, str):
        raise refused(field, value, "a text")
    # U+FFFD and not "?", which could stand in an address.
    return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def flag(field: str, value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise refused(field, value, "true or false")
    return value


def texts(field: str, value: object) -> Sequence[tuple[str, str]]:
    """A text or a list of texts, each with the name by which a refusal calls it."""
    if isinstance(value, list):
        return [(name, text(name, each)) for name, each in items(field, value)]
    if not isinstance(value, str):
        raise refused(field, value, "a text or a list of texts")
    return [(field, text(field, value))]


def items(field: str, value: object, most: int = 1_000) -> Sequence[tuple[str, object]]:
    """The items of a list, each with the name by which a refusal calls it."""
    if not isinstance(value, list):
        raise refused(field, value, "a list")
    if len(value) > most:
        raise RequestInvalid(f"{field} has {len(value)} items; at most {most} are allowed", field=field)
    return [(f"{field}[{position}]", each) for position, each in enumerate(value)]


def members(field: str, value: object) -> Mapping[str, object]:
    """The members of an object."""
    if not isinstance(value, dict):
        raise refused(field, value, "an object")
    return value


def refused(field: str, value: object, wanted: str) -> RequestInvalid:
    """The refusal of a value of another type."""
    return RequestInvalid(f"{field} = {shown(value)} is refused: it should be {wanted}", field=field)


def shown(value: object) -> str:
    """A value in a few characters, whatever a stranger sent."""
    if isinstance(value, str):
        return repr(value if len(value) <= 80 else value[:80] + "…")
    kinds = ((dict, "an object"), (list, "a list"), (bool, "a truth value"), (int | float, "a number"))
    return next((kind for type_, kind in kinds if isinstance(value, type_)), "null")
