# SPDX-License-Identifier: Apache-2.0
"""The id in a path below ``/emails``: its form is checked before anything is looked up.

The surprise: ``undefined`` and ``null`` have the form of an id and are none; they are what a JavaScript
client writes into a path when its variable is empty.
"""

from __future__ import annotations

import re
from typing import Final

from rejoinder.errors import EmailIdInvalid

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_EMPTY_VARIABLES: Final = frozenset({"undefined", "null"})


def email_id(text: str) -> str:
    """The id, if it has the form of one.

    Raises:
        EmailIdInvalid: it has not.
    """
    if text in _EMPTY_VARIABLES or not _ID.fullmatch(text):
        raise EmailIdInvalid(
            field="id",
            details=f"{text[:60]!r} stands where the id belongs; ids have 1 to 128 of A-Z a-z 0-9 _ -.",
        )
    return text
