# SPDX-License-Identifier: Apache-2.0
"""The SMTP reply: what a server answers to a command (RFC 5321 §4.2), with its enhanced status code.

Written strictly (printable US-ASCII, CRLF, lines within 512 octets), read tolerantly: a line of a reply
may end in a bare LF, and the text may hold any octet. Reading is bounded, so that a server that never
ends its reply costs a fixed amount of memory. The surprise: the enhanced code is no part of ``lines``;
the reader takes it off and ``to_bytes`` puts it on every line again (RFC 2034 §4).
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from typing import Final, Self

from rejoinder.errors import SmtpError

_UNPRINTABLE: Final = re.compile(r"[^\t\x20-\x7e]")
_LINE: Final = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
_ENHANCED: Final = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: +|$)")
_WIDTH: Final = 480
"""Characters of text in a line: with code, enhanced code and CRLF still within 512 octets (§4.5.3.1.5)."""
_MAX_READ_LINE: Final = 4096
_MAX_READ_LINES: Final = 256


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply code, the enhanced status code (RFC 3463) or None, and the lines of text, at least one."""

    code: int
    enhanced: str | None
    lines: tuple[str, ...]

    @classmethod
    def of(cls, code: int, enhanced: str | None, text: str) -> Self:
        """A reply whose text may have any length and any characters, as when a person wrote it."""
        lines = tuple(part for line in text.splitlines() for part in textwrap.wrap(line, _WIDTH))
        return cls(code, enhanced, lines or ("",))

    def __str__(self) -> str:
        """The reply in one line, as it stands in logs and events."""
        return " ".join(part for part in (str(self.code), self.enhanced, self.text) if part)

    @property
    def text(self) -> str:
        """The lines joined by a space."""
        return " ".join(self.lines)

    @property
    def is_positive(self) -> bool:
        """Done (2yz) or go on (3yz)."""
        return self.code < 400

    @property
    def is_transient(self) -> bool:
        """Not now (4yz): the same command may succeed later."""
        return 400 <= self.code < 500

    @property
    def is_permanent(self) -> bool:
        """Never (5yz): the same command will not succeed."""
        return self.code >= 500

    def to_lines(self) -> list[str]:
        """The lines as they are sent, without CRLF; what may not be sent becomes ``?``."""
        prefix = f"{self.enhanced} " if self.enhanced else ""
        marks = "-" * (len(self.lines) - 1) + " "
        return [
            f"{self.code}{mark}{prefix}{_UNPRINTABLE.sub('?', line)}"
            for mark, line in zip(marks, self.lines, strict=True)
        ]

    def to_bytes(self) -> bytes:
        """The reply as it is sent, with CRLF after each line."""
        return ("\r\n".join(self.to_lines()) + "\r\n").encode("ascii")


class ReplyReader:
    """Cuts a server's octets into replies."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._lines: list[str] = []

    def receive_data(self, data: bytes) -> None:
        """Take octets from the server; after this call, take replies with ``next_reply`` until None."""
        self._buffer += data

    def next_reply(self) -> Reply | None:
        """The next complete reply, or None while more octets are needed.

        Raises:
            SmtpError: what came is no SMTP reply or has no end; hang up.
        """
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end]).removesuffix(b"\r")
            del self._buffer[: end + 1]
            if (reply := self._take(line)) is not None:
                return reply
        if len(self._buffer) > _MAX_READ_LINE:
            raise SmtpError(f"a line of the SMTP reply is longer than {_MAX_READ_LINE} octets")
        return None

    def _take(self, line: bytes) -> Reply | None:
        match = _LINE.fullmatch(line)
        if match is None:
            raise SmtpError(f"{line[:80]!r} is no SMTP reply: it does not begin with a code (RFC 5321 §4.2)")
        self._lines.append((match[3] or b"").decode("utf-8", "replace"))
        if match[2] == b"-":
            if len(self._lines) >= _MAX_READ_LINES:
                raise SmtpError(f"the SMTP reply has more than {_MAX_READ_LINES} lines")
            return None
        lines, self._lines = self._lines, []
        return _reply(int(match[1]), lines)


def _reply(code: int, lines: list[str]) -> Reply:
    match = _ENHANCED.match(lines[0])
    if match is None or match[1][0] != str(code)[0]:
        return Reply(code, None, tuple(lines))
    prefix = match[1]
    return Reply(code, prefix, tuple(line.removeprefix(prefix).lstrip(" ") for line in lines))
