# SPDX-License-Identifier: Apache-2.0
"""The MIME tree of a message: found in one pass over the bytes, decoded when somebody asks.

Never raises on what a stranger wrote, but for a header block beyond its limit. Beyond the limits of
depth and parts a multipart is left whole, as an attachment, so that nothing is lost. The surprise: no
recursion and no second look; the open boundaries are a stack, and each line that starts with two
hyphens is looked up once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, TypeAlias

from rejoinder.message.charset import codec_of, decode
from rejoinder.message.headers import Headers, split
from rejoinder.message.limits import DEFAULT_LIMITS, Limits
from rejoinder.message.parameters import parse_parameters
from rejoinder.message.transfer import decode_body

_DELIMITER: Final = re.compile(rb"\n--([^\n]++)")
_DELIMITER_OR_EMPTY: Final = re.compile(rb"\n(?:--([^\n]++)|\r?(?=\n))")
_TYPE: Final = re.compile(r"[!#-'*+.0-9a-z^_`{|}~-]+/[!#-'*+.0-9a-z^_`{|}~-]+")


@dataclass(eq=False)
class Part:
    """One node of the tree: its headers, where its body stands in the message, and its children."""

    headers: Headers
    raw: bytes = field(repr=False)
    start: int
    end: int
    default_type: str = "text/plain"
    children: list[Part] = field(default_factory=list)

    @cached_property
    def _content_type(self) -> tuple[str, dict[str, str]]:
        kind, parameters = parse_parameters(self.headers.get("Content-Type"))
        return (kind if _TYPE.fullmatch(kind) else self.default_type), parameters

    @cached_property
    def _disposition(self) -> tuple[str, dict[str, str]]:
        return parse_parameters(self.headers.get("Content-Disposition"))

    @property
    def content_type(self) -> str:
        """The media type, lower-case, without parameters."""
        return self._content_type[0]

    @property
    def boundary(self) -> bytes:
        """The boundary of a multipart; empty when this part cannot be split."""
        if not self.content_type.startswith("multipart/"):
            return b""
        return self._content_type[1].get("boundary", "").encode("utf-8", "replace").rstrip()

    @property
    def disposition(self) -> str | None:
        """``attachment``, ``inline``, another word, or None."""
        return self._disposition[0] or None

    @property
    def filename(self) -> str | None:
        """The name its author gave it, decoded, without any folder; None without one."""
        name = self._disposition[1].get("filename") or self._content_type[1].get("name") or ""
        return re.split(r"[/\\]", name)[-1].strip() or None

    @property
    def content_id(self) -> str | None:
        """The Content-ID without its angle brackets, as ``cid:`` URLs name it (RFC 2392)."""
        return (self.headers.get("Content-ID") or "").strip("<> \t") or None

    @cached_property
    def content(self) -> bytes:
        """The body with its transfer encoding undone."""
        return decode_body(self.raw[self.start : self.end], self.headers.get("Content-Transfer-Encoding", ""))

    @property
    def size(self) -> int:
        """The length of ``content`` in bytes."""
        return len(self.content)

    @cached_property
    def text(self) -> str:
        """The content as text, with LF line ends."""
        charset = self._content_type[1].get("charset")
        wide = (codec_of(charset) or "").startswith(("utf_16", "utf_32"))
        # The line end that closes the body is two octets, whatever the charset.
        text = decode(self.content.removesuffix(b"\r\n") if wide else self.content, charset)
        return text.removeprefix("\ufeff").replace("\r\n", "\n")


Attachment: TypeAlias = Part
"""A part that is no body text: ``filename, content_type, disposition, content_id, size, content``."""


class ParsedMessage:
    """A message and what its author sees in it: ``headers, text, html, attachments, defects``."""

    def __init__(self, root: Part, defects: tuple[str, ...]) -> None:
        self.root = root
        self.headers = root.headers
        self.defects = defects
        """What is broken, a sentence each; empty for a well-formed message."""

    @cached_property
    def text(self) -> str | None:
        """The plain text, its parts joined; None when there is no plain text."""
        return self._joined("text/plain")

    @cached_property
    def html(self) -> str | None:
        """The HTML as it came (never safe to show), its parts joined; None when there is none."""
        return self._joined("text/html")

    @cached_property
    def attachments(self) -> tuple[Attachment, ...]:
        """All leaves that are no body text, in order; an attached message is one of them, unopened."""
        return tuple(part for part, is_body in self._leaves if not is_body)

    def _joined(self, kind: str) -> str | None:
        texts = [part.text for part, is_body in self._leaves if is_body and _body_kind(part) == kind]
        return "\n".join(texts) if texts else None

    @cached_property
    def _leaves(self) -> tuple[tuple[Part, bool], ...]:
        return tuple(_leaves(self.root))


def parse(raw: bytes, limits: Limits = DEFAULT_LIMITS) -> ParsedMessage:
    """The message in these bytes.

    Raises:
        HeaderBlockTooLarge: the header block of the message itself is beyond ``limits.header_block``.
    """
    headers, body = split(raw, limits)
    root = Part(headers, raw, body, len(raw))
    if not root.content_type.startswith("multipart/"):
        return ParsedMessage(root, ())
    return ParsedMessage(root, _Splitter(root, limits).defects())


def _body_kind(part: Part) -> str:
    """The type as which a body part is read: a multipart without a boundary or parts is shown as text."""
    return "text/html" if part.content_type == "text/html" else "text/plain"


def _leaves(root: Part) -> Iterator[tuple[Part, bool]]:
    """Each leaf in order, and whether it is body text (after RFC 8621 §4.1.4)."""
    pending = [(root, True)]
    while pending:
        part, first = pending.pop()
        if part.children:
            pending += [(child, child is part.children[0]) for child in reversed(part.children)]
            continue
        textual = part.content_type in ("text/plain", "text/html")
        shown = part.disposition != "attachment" and (first or part.filename is None)
        yield part, (textual and shown) or (part is root and part.content_type.startswith("multipart/"))


class _Splitter:
    """Finds the parts of a multipart message; ``defects()`` does the work and says what was broken."""

    def __init__(self, root: Part, limits: Limits) -> None:
        self._raw = root.raw
        self._limits = limits
        self._stack: list[tuple[bytes, Part]] = []
        self._open: dict[bytes, int] = {}  # boundary → its place in the stack, the innermost of equal ones
        self._leaf: Part | None = None
        self._parts = 0
        self._header_room = 4 * limits.header_block  # of all parts together: fields cost memory
        self._defects: dict[str, None] = {}
        self._enter(root)

    def defects(self) -> tuple[str, ...]:
        at = self._stack[0][1].start - 1 if self._stack else len(self._raw)
        while self._stack and (found := _DELIMITER.search(self._raw, max(at, 0))):
            at = self._delimiter(found[1].rstrip(), found.start(), found.end())
        self._end_leaf(len(self._raw))
        for _, part in self._stack:
            part.end = len(self._raw)
            self._defects[
                "a multipart has no parts" if not part.children else "a multipart is not closed"
            ] = None
        return tuple(self._defects)

    def _delimiter(self, line: bytes, start: int, end: int) -> int:
        """Act on a line that starts with two hyphens; where to go on."""
        if line in self._open:
            self._end_leaf(start)
            self._close_above(self._open[line], start)
            return self._begin(end)
        if line.endswith(b"--") and line[:-2] in self._open:  # RFC 2046 §5.1.1: the last of its multipart
            self._end_leaf(start)
            level = self._open[line[:-2]]
            self._close_above(level, start)
            self._close(level, start)
        return end

    def _begin(self, end: int) -> int:
        """A part begins after the delimiter line that ends here; where its body starts."""
        parent = self._stack[-1][1]
        start = min(end + 1, len(self._raw))
        stop, body = self._header_end(end)
        if self._parts >= self._limits.parts or stop - start > self._header_room:
            self._defects["there are more parts, or longer headers of parts, than are read"] = None
            parent.children.append(
                Part(Headers(), self._raw, start, len(self._raw), "application/octet-stream")
            )
            self._stack.clear()
            return len(self._raw)
        self._parts += 1
        self._header_room -= stop - start
        headers, _ = split(self._raw[start:stop], self._limits_of_parts)
        digest = parent.content_type == "multipart/digest"  # RFC 2046 §5.1.5
        part = Part(headers, self._raw, body, body, "message/rfc822" if digest else "text/plain")
        parent.children.append(part)
        self._enter(part)
        return body - 1

    @property
    def _limits_of_parts(self) -> Limits:
        return Limits(header_block=4 * self._limits.header_block)

    def _header_end(self, at: int) -> tuple[int, int]:
        """Where the header block of a part ends, and where its body starts; a delimiter ends both."""
        while found := _DELIMITER_OR_EMPTY.search(self._raw, at):
            if found[1] is None:
                return found.start() + 1, found.end() + 1
            line = found[1].rstrip()
            if line in self._open or line.removesuffix(b"--") in self._open:
                self._defects["a part ends within its header block"] = None
                return found.start() + 1, found.start() + 1
            at = found.end()
        return len(self._raw), len(self._raw)

    def _enter(self, part: Part) -> None:
        """Go into a multipart; anything else is a leaf."""
        boundary = part.boundary
        if boundary and len(self._stack) < self._limits.depth:
            self._stack.append((boundary, part))
            self._open[boundary] = len(self._stack) - 1
            return
        if part.content_type.startswith("multipart/"):
            self._defects["a multipart is nested too deep" if boundary else "a multipart has no boundary"] = (
                None
            )
        self._leaf = part

    def _end_leaf(self, at: int) -> None:
        """The line end before a delimiter belongs to the delimiter (RFC 2046 §5.1.1)."""
        if self._leaf is not None:
            self._leaf.end = max(self._line_end(at), self._leaf.start)
            self._leaf = None

    def _line_end(self, at: int) -> int:
        return at - 1 if self._raw[at - 1 : at] == b"\r" and at < len(self._raw) else at

    def _close_above(self, level: int, at: int) -> None:
        """Multiparts that lack their own last delimiter end with the one around them."""
        while len(self._stack) > level + 1:
            self._defects["a multipart is not closed"] = None
            self._close(len(self._stack) - 1, at)

    def _close(self, level: int, at: int) -> None:
        part = self._stack.pop(level)[1]
        part.end = max(self._line_end(at), part.start)
        self._open = {boundary: place for place, (boundary, _) in enumerate(self._stack)}
