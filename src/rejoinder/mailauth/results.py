# SPDX-License-Identifier: Apache-2.0
"""The Authentication-Results field that we put on top of what we received (RFC 8601).

Every value that comes from outside is written as a token, or as a quoted string of printable ASCII, so
that none can end the field or forge another result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from rejoinder.mailauth.verdict import DkimVerdict, DmarcVerdict, SpfVerdict, Verdict
from rejoinder.message.address import Mailbox

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~@-]+")  # RFC 2045 §5.1; @ as RFC 8601 §2.2 has it
_UNPRINTABLE: Final = re.compile(r"[^ -~]")
_SPECIAL: Final = re.compile(r'(["\\])')
_LONGEST: Final = 255
_LINE: Final = 78


def authentication_results(
    verdict: Verdict, authserv_id: str, reverse_path: Mailbox | None, helo: str
) -> bytes:
    """The whole field with its CRLF, folded, at least one line for each result.

    Args:
        verdict: what was found.
        authserv_id: our name.
        reverse_path: of MAIL FROM.
        helo: the client's HELO or EHLO name.
    """
    results = [
        list(_spf(verdict.spf, reverse_path, helo)),
        *([list(_dkim(signature)) for signature in verdict.dkim] or [["dkim=none"]]),
        list(_dmarc(verdict.dmarc)),
    ]
    lines = [f"Authentication-Results: {_value(authserv_id)}", *(_folded(words) for words in results)]
    return (";\r\n\t".join(lines) + "\r\n").encode("ascii")


def _spf(verdict: SpfVerdict, reverse_path: Mailbox | None, helo: str) -> Iterator[str]:
    yield f"spf={verdict.result}"
    yield (
        f"smtp.helo={_value(helo)}" if reverse_path is None else f"smtp.mailfrom={_value(str(reverse_path))}"
    )


def _dkim(verdict: DkimVerdict) -> Iterator[str]:
    yield f"dkim={verdict.result}"
    if verdict.reason:
        yield f"reason={_value(verdict.reason)}"
    for name, value in (
        ("d", verdict.domain),
        ("s", verdict.selector),
        ("i", verdict.identity),
        ("a", verdict.algorithm),
    ):
        if value:
            yield f"header.{name}={_value(value)}"


def _dmarc(verdict: DmarcVerdict) -> Iterator[str]:
    yield f"dmarc={verdict.result}"
    if verdict.reason:
        yield f"reason={_value(verdict.reason)}"
    if verdict.domain:
        yield f"header.from={_value(verdict.domain)}"
    if verdict.policy is not None:
        # RFC 9989 §9.1 registers both properties.
        yield f"polrec.p={verdict.policy}"
        yield f"polrec.domain={_value(verdict.policy_domain)}"


def _value(text: str) -> str:
    """A token, or else a quoted string that holds the text as far as it is printable ASCII."""
    text = _UNPRINTABLE.sub("?", text[:_LONGEST])
    return text if _TOKEN.fullmatch(text) else '"' + _SPECIAL.sub(r"\\\1", text) + '"'


def _folded(words: list[str]) -> str:
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) < _LINE:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return "\r\n\t\t".join(lines)
