# SPDX-License-Identifier: Apache-2.0
"""Content on the wire (RFC 5321 §4.5.2): dot-stuffing, its end, and what may not be in it.

Octets are searched, never cut into lines: the end is one ``find`` for CRLF.CRLF from where the last one
stopped. Strict, because leniency here lets one server see two mails where another sees one: only
CRLF.CRLF ends the content, and a bare CR or LF (§2.3.8) or a NUL refuses it - but only once the true end
has come, since answering earlier would read the rest as commands. The surprise: the search begins with a
CRLF that is not in the content, the one that ended DATA; it makes ``.CRLF`` alone an empty mail.
"""

from __future__ import annotations

from typing import Final

from rejoinder.errors import MessageError
from rejoinder.smtp.reply import Reply

_CRLF: Final = b"\r\n"
_END: Final = b"\r\n.\r\n"

TOO_BIG: Final = Reply(552, "5.3.4", ("the message is larger than this server takes",))
BARE: Final = Reply(550, "5.6.0", ("the content has a CR or LF that is not part of CRLF",))
NUL: Final = Reply(550, "5.6.0", ("the content has a NUL character",))
LONG_LINE: Final = Reply(550, "5.6.0", ("the content has a line longer than this server takes",))


class ContentReader:
    """Collects one mail's content up to its end, in memory bounded by ``max_size``."""

    def __init__(self, max_size: int, max_line: int) -> None:
        self._max_size = max_size
        self._max_line = max_line
        # Stuffing adds one octet to a line of three or more, so at most a third.
        self._max_stuffed = max_size + max_size // 3 + len(_END)
        self._buffer = bytearray(_CRLF)
        self._discarded = 0
        self._refusal: Reply | None = None

    @property
    def held(self) -> int:
        """Octets of memory in use."""
        return len(self._buffer)

    def receive_data(self, data: bytes) -> bytes | None:
        """Take octets; None means go on. Else the content has ended: what follows it is returned.

        After the end, ask ``result`` once.
        """
        start = max(0, len(self._buffer) - len(_END) + 1)
        self._buffer += data
        end = self._buffer.find(_END, start)
        if end < 0:
            if len(self._buffer) > self._max_stuffed:
                self.discard(TOO_BIG)
            if self._refusal is not None:
                self._forget(len(self._buffer) - len(_END) + 1)
            return None
        rest = bytes(self._buffer[end + len(_END) :])
        del self._buffer[end + len(_CRLF) :]
        return rest

    def discard(self, refusal: Reply) -> None:
        """Keep nothing more: read on to the end, and refuse there with this SMTP reply."""
        self._refusal = self._refusal or refusal
        self._forget(len(self._buffer) - len(_END) + 1)

    def result(self) -> bytes | Reply:
        """The content without dot-stuffing, byte for byte, or why it is refused."""
        if self._refusal is not None:
            return self._refusal
        # The CRLF in front takes part, so that a stuffed first line is found too.
        raw = bytes(self._buffer).replace(b"\r\n.", _CRLF)[len(_CRLF) :]
        if len(raw) > self._max_size:  # RFC 1870 §5: stuffed dots do not count
            return TOO_BIG
        if has_bare_cr_or_lf(raw):
            return BARE
        if b"\0" in raw:  # RFC 5322 §4.1: NUL is obsolete, and readers disagree about what follows it
            return NUL
        return LONG_LINE if has_line_over(raw, self._max_line) else raw

    @property
    def octets(self) -> int:
        """How many octets came, stuffed dots included."""
        return self._discarded + len(self._buffer) - len(_CRLF)

    def _forget(self, count: int) -> None:
        if count > 0:
            del self._buffer[:count]
            self._discarded += count


def has_bare_cr_or_lf(raw: bytes) -> bool:
    """Whether a CR is not followed by LF, or an LF not preceded by CR (RFC 5321 §2.3.8)."""
    pairs = raw.count(_CRLF)
    return raw.count(b"\r") != pairs or raw.count(b"\n") != pairs


def has_line_over(raw: bytes, limit: int) -> bool:
    """Whether a line has more octets than ``limit``, its CRLF not counted."""
    start = 0
    while len(raw) - start > limit:
        end = raw.rfind(_CRLF, start, start + limit + len(_CRLF))
        if end < 0:
            return True
        start = end + len(_CRLF)
    return False


def to_wire(raw: bytes) -> bytes:
    """The content as it is sent: dots stuffed, ended by CRLF.CRLF; ``raw`` gets a last CRLF if it has none.

    Raises:
        MessageError: a bare CR or LF, which some server could take for the end of a line.
    """
    if has_bare_cr_or_lf(raw):
        raise MessageError(
            "the content has a CR or LF that is not part of CRLF (RFC 5321 §2.3.8); make its line ends CRLF"
        )
    stuffed = raw.replace(b"\r\n.", b"\r\n..")  # RFC 5321 §4.5.2
    first = b"." if raw.startswith(b".") else b""
    last = b"" if not raw or raw.endswith(_CRLF) else _CRLF
    return b"".join((first, stuffed, last, b".\r\n"))
