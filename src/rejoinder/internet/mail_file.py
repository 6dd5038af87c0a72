# SPDX-License-Identifier: Apache-2.0
"""Mail in files: which files of a folder are mail, and what their content is on the wire.

Every file counts as mail unless its name tells something else: a hidden file, a licence or read-me, or one
that ends in ``.json``, ``.md``, ``.py``, ``.zip`` and the like. Nothing of a file is changed but its line
ends, which SMTP wants as CRLF, and a leading ``From `` line, which is the mbox's and not the mail's. The
surprise: a CR alone is no line end and stays, so that the server is asked what it thinks of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rejoinder.errors import AddressError
from rejoinder.message.address import Mailbox, parse_address_list
from rejoinder.message.headers import Headers, split
from rejoinder.message.limits import Limits
from rejoinder.smtp.grammar import write_path

_MBOX_LINE: Final = re.compile(rb"From [^\n]*\n")
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_PAPERS: Final = re.compile(r"(?i)licen[cs]e|readme|manifest|makefile")
_OTHER_KINDS: Final = frozenset(
    {
        "json", "yml", "yaml", "toml", "ini", "cfg", "xml", "csv", "tsv", "sql", "db", "sqlite", "log",
        "py", "rb", "go", "rs", "js", "ts", "c", "h", "sh", "md", "rst", "html", "htm", "css", "pem", "key",
        "pdf", "doc", "docx", "odt", "zip", "gz", "bz2", "xz", "tar", "png", "jpg", "jpeg", "gif", "svg",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MailFile:
    """A file as it goes over SMTP."""

    raw: bytes
    reverse_path: Mailbox | None
    line_ends_made: bool
    """Whether it had line ends other than CRLF."""
    mbox_line_removed: bool


def find(path: Path) -> tuple[list[Path], int]:
    """The files that are mail at or below a path, in order, and how many others there are.

    A file that is named is mail, whatever its name.
    """
    if not path.is_dir():
        return [path], 0
    files = sorted(each for each in path.rglob("*") if each.is_file())
    mails = [each for each in files if _may_be_mail(each.relative_to(path))]
    return mails, len(files) - len(mails)


def read(content: bytes) -> MailFile:
    """The mail in a file's content."""
    mbox = _MBOX_LINE.match(content)
    raw = content[mbox.end() :] if mbox else content
    with_crlf = _BARE_LF.sub(b"\r\n", raw)
    headers, _ = split(with_crlf, Limits(header_block=len(with_crlf)))
    return MailFile(with_crlf, reverse_path(headers), with_crlf != raw, mbox is not None)


def reverse_path(headers: Headers) -> Mailbox | None:
    """Return-Path, else Sender, else the first author, else none: the first that an envelope can hold."""
    for name in ("Return-Path", "Sender", "From"):
        for value in headers.get_all(name)[:1]:
            if name == "Return-Path" and value.strip() == "<>":
                return None
            for mailbox in _writable(value):
                return mailbox
    return None


def _writable(value: str) -> Iterator[Mailbox]:
    for address in parse_address_list(value, 1):
        try:
            write_path(address.mailbox)
        except AddressError:
            continue
        yield address.mailbox


def _may_be_mail(path: Path) -> bool:
    is_hidden = any(part.startswith(".") for part in path.parts)
    return not (
        is_hidden or _PAPERS.fullmatch(path.stem) or path.suffix.removeprefix(".").lower() in _OTHER_KINDS
    )
