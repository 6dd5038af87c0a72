# SPDX-License-Identifier: Apache-2.0
"""The header block: split on the accept path, decoded when somebody asks.

Tolerant on purpose: LF-only lines, a byte order mark, an mbox ``From `` line, lines that are no
fields and spaces before the colon are all read, because this reads what others wrote; what we write
is strict (``encode``). The surprise: a line without a colon does not end the block, only an empty
line does (RFC 5322 §2.1), so that every reader of a message agrees where its body starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, overload

from rejoinder.errors import HeaderBlockTooLarge
from rejoinder.message.encoded_word import decode_words
from rejoinder.message.limits import DEFAULT_LIMITS, Limits

_END: Final = re.compile(rb"\n\r?\n")
_BEFORE: Final = re.compile(rb"(?:\xef\xbb\xbf)?(?:>?From [^\n]*+\n)?")
# RFC 5322 §2.2 and §4.5 (obsolete space before the colon); possessive, so that no line is read twice.
_FIELD: Final = re.compile(rb"(?m)^([!-9;-~]++)[ \t]*+:[^\n]*+(?:\n[ \t][^\n]*+)*+\n?")
_FOLD: Final = re.compile(r"\r?\n(?=[ \t])")


@dataclass(frozen=True, slots=True)
class HeaderField:
    """One field: ``name`` as written, ``raw`` the whole field with its folding and its final CRLF."""

    name: str
    raw: bytes

    @property
    def value(self) -> str:
        """The body unfolded, without surrounding space; UTF-8, else Latin-1; not RFC 2047-decoded."""
        body = self.raw.partition(b":")[2].strip()
        try:
            text = body.decode()
        except UnicodeDecodeError:
            text = body.decode("latin-1")
        return _FOLD.sub("", text) if "\n" in text else text

    @property
    def decoded(self) -> str:
        """The value with its encoded words decoded (RFC 2047 §5), for people; no address is read from it."""
        return decode_words(self.value)


class Headers(Sequence[HeaderField]):
    """The fields of one message or part in their order; names are compared without regard to case."""

    __slots__ = ("_fields", "_index", "raw")

    def __init__(self, fields: Iterable[HeaderField] = (), raw: bytes | None = None) -> None:
        self._fields = tuple(fields)
        self._index: dict[str, list[HeaderField]] | None = None
        self.raw: bytes = raw if raw is not None else b"".join(field.raw for field in self._fields)

    @overload
    def __getitem__(self, index: int) -> HeaderField: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[HeaderField]: ...
    def __getitem__(self, index: int | slice) -> HeaderField | Sequence[HeaderField]:
        return self._fields[index]

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({len(self._fields)} fields, {len(self.raw)} bytes)"

    def fields(self, name: str) -> list[HeaderField]:
        """Every field of this name, in order."""
        if self._index is None:
            self._index = {}
            for field in self._fields:
                self._index.setdefault(field.name.lower(), []).append(field)
        return list(self._index.get(name.lower(), ()))

    def get_all(self, name: str) -> list[str]:
        """The values of every field of this name, in order."""
        return [field.value for field in self.fields(name)]

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    def get(self, name: str, default: str | None = None) -> str | None:
        """The value of the first field of this name."""
        found = self.fields(name)
        return found[0].value if found else default


def split(raw: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[Headers, int]:
    """The header block of a message and the offset where its body starts.

    A message without an empty line is all header block and its body starts at its end.

    Raises:
        HeaderBlockTooLarge: the block does not end within ``limits.header_block`` bytes.
    """
    before = _BEFORE.match(raw)
    start = before.end() if before else 0
    end, body = _end_of_block(raw, start)
    if end - start > limits.header_block:
        raise HeaderBlockTooLarge(
            f"the header block has {end - start} bytes; at most {limits.header_block} are read "
            "(message.header_block); send the message with fewer or shorter header fields"
        )
    block = raw[start:end]
    fields = [HeaderField(match[1].decode("ascii"), match[0]) for match in _FIELD.finditer(block)]
    return Headers(fields, block), body


def _end_of_block(raw: bytes, start: int) -> tuple[int, int]:
    """Where the block ends (after its last line end) and where the body starts."""
    for empty in (b"\r\n", b"\n"):
        if raw.startswith(empty, start):
            return start, start + len(empty)
    found = _END.search(raw, start)
    return (found.start() + 1, found.end()) if found else (len(raw), len(raw))
