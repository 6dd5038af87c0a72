# SPDX-License-Identifier: Apache-2.0
"""Tag lists, ``a=1; b=2``: the syntax of signatures and keys (RFC 6376 §3.2).

Strict: a tag given twice, a tag without a name and an empty tag between two semicolons each make the
whole list invalid, because two readers would otherwise understand two things.
"""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# RFC 6376 §3.2 tval with the spaces and folds inside it; UTF-8 as RFC 8616 §4 allows.
_VALUE: Final = re.compile(r"[ \t\r\n!-:<-~\u0080-\U0010ffff]*")
_FWS: Final = " \t\r\n"
_WITHOUT_FWS: Final = str.maketrans("", "", _FWS)
_MAX_TAGS: Final = 64


class TagError(ValueError):
    """A text is not a tag list; the message is the reason in a few words."""


def parse_tags(text: bytes) -> dict[str, str]:
    """The tags in their order, values without surrounding space.

    Raises:
        TagError: it is not a tag list.
    """
    try:
        specs = text.decode().split(";")
    except UnicodeDecodeError:
        raise TagError("not UTF-8") from None
    if not specs[-1].strip(_FWS):
        specs.pop()  # one semicolon may end the list
    if len(specs) > _MAX_TAGS:
        raise TagError("too many tags")
    tags: dict[str, str] = {}
    for spec in specs:
        name, equals, value = spec.partition("=")
        name = name.strip(_FWS)
        if not equals or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise TagError("not a tag list")
        if name in tags:
            raise TagError(f"duplicate tag {name[:20]}")
        tags[name] = value.strip(_FWS)
    return tags


def without_space(value: str) -> str:
    """A value without its folding white space, as base64 and lists are read."""
    return value.translate(_WITHOUT_FWS)


def colon_list(value: str) -> tuple[str, ...]:
    """The items of ``a : b : c``."""
    return tuple(item.strip(_FWS) for item in value.split(":"))
