# SPDX-License-Identifier: Apache-2.0
"""Writing header fields: strict, because nobody's text may become a field of its own.

Every value passes ``_checked``: a control character is refused, never removed or escaped, so no value
can end its line. Lines are folded at 78 characters where there is a space and never exceed 998
(RFC 5322 §2.1.1). The surprise: text that merely looks like an encoded word is encoded too, so that
what is read is what was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import quote

from rejoinder.errors import HeaderInjection, MessageError
from rejoinder.message.address import Address, Mailbox
from rejoinder.message.encoded_word import encode_words
from rejoinder.message.limits import MAX_LINE

_NAME: Final = re.compile(r"[!-9;-~]{1,76}")  # RFC 5322 §2.2
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_TOKEN: Final = re.compile(r"[!#$%&'*+.0-9A-Z^_`a-z{|}~-]+")  # RFC 2045 §5.1
_ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_HOST: Final = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|\[[A-Za-z0-9:.-]+\]")
_ID: Final = re.compile(r"<[!-;=?-~]+>")
_CHUNK: Final = re.compile(r" *[^ ]+")

FOLD_AT: Final = 78


def field(name: str, value: str) -> bytes:
    """An unstructured field: folded, and encoded (RFC 2047) where it is not plain ASCII.

    Raises:
        HeaderInjection: name or value has a control character or a line end.
        MessageError: the name is none.
    """
    value = _checked(name, value.replace("\t", " ").strip(" "))
    if len(name) + len(value) + 2 <= FOLD_AT and value.isascii() and "=?" not in value:
        _check_name(name)
        return f"{name}: {value}\r\n".encode("ascii")
    chunks: list[str] = _CHUNK.findall(value)
    odd = [position for position, chunk in enumerate(chunks) if _needs_encoding(chunk)]
    if odd:
        # Only what must be is encoded, so that "Re:" stays legible to those who do not decode.
        first, last = odd[0], odd[-1] + 1
        used = len(name) + 2 + sum(map(len, chunks[:first]))
        text = "".join(chunks[first:last]).removeprefix(" ")
        chunks[first:last] = [f" {word}" for word in encode_words(text, used if used < FOLD_AT // 2 else 0)]
    return _folded(name, chunks)


def address_field(name: str, addresses: Sequence[Address]) -> bytes:
    """A field of addresses (RFC 5322 §3.4); domains leave as A-labels.

    Raises:
        HeaderInjection: a name or mailbox has a control character.
        MessageError: there is no address, or a local-part is not ASCII (that needs RFC 6531).
    """
    if not addresses:
        raise MessageError(f"the field {name!r} would hold no address (RFC 5322 §3.6); leave the field out")
    chunks: list[str] = []
    for address in addresses:
        chunks += _address_chunks(name, address)
        chunks[-1] += ","
    chunks[-1] = chunks[-1][:-1]
    return _folded(name, chunks)


def ids_field(name: str, ids: Iterable[str]) -> bytes:
    """A field of message identifiers (RFC 5322 §3.6.4), each with its angle brackets.

    Raises:
        MessageError: one is not of the form ``<left@right>`` in printable ASCII without space.
    """
    chunks = []
    for msg_id in ids:
        if not _ID.fullmatch(msg_id):
            raise MessageError(
                f"{msg_id!r} in the field {name!r} is no message identifier (RFC 5322 §3.6.4); "
                "write <left@right> in printable ASCII without spaces"
            )
        chunks.append(f" {msg_id}")
    return _folded(name, chunks)


def parameter(name: str, value: str) -> list[str]:
    """A MIME parameter as one or more ``name=value`` parts (RFC 2231 §3, §4), each below 78 characters."""
    value = _checked(name, value)
    if value.isascii() and len(value) <= 60 and "=?" not in value:
        return [f"{name}={value}"] if _TOKEN.fullmatch(value) else [f"{name}={_quoted(value)}"]
    escaped = "utf-8''" + quote(value, safe="!#$&+-.^_`|~", errors="replace")
    parts = re.findall(r"(?:%..|[^%]){1,20}", escaped)
    if len(parts) == 1:
        return [f"{name}*={escaped}"]
    return [f"{name}*{position}*={part}" for position, part in enumerate(parts)]


def structured(name: str, parts: Iterable[str]) -> bytes:
    """A field of parts in printable ASCII that may be folded between them, such as Content-Type."""
    return _folded(name, [f" {_checked(name, part)}" for part in parts])


def _address_chunks(name: str, address: Address) -> list[str]:
    display = _checked(name, address.display_name)
    spec = _spec(name, address.mailbox)
    return [*_phrase(display, len(name) + 2), f" <{spec}>"] if display else [f" {spec}"]


def _spec(name: str, mailbox: Mailbox) -> str:
    local, host = _checked(name, mailbox.local_part), _checked(name, mailbox.host)
    if not local.isascii():
        raise MessageError(
            f"the local-part of {str(mailbox)!r} in the field {name!r} is not ASCII, which needs "
            "internationalised mail (RFC 6531); use an address in ASCII"
        )
    if not _HOST.fullmatch(host):
        raise MessageError(
            f"{mailbox.domain!r} in the field {name!r} is neither a domain nor an address literal "
            "(RFC 5322 §3.4.1); correct the address"
        )
    return str(Mailbox(local, host))


def _phrase(text: str, used: int) -> list[str]:
    if not _needs_encoding(text) and len(text) <= 60:
        if _ATOMS.fullmatch(text):
            return [f" {word}" for word in text.split(" ")]
        return [f" {_quoted(text)}"]
    return [f" {word}" for word in encode_words(text, used)]


def _quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _needs_encoding(text: str) -> bool:
    return not text.isascii() or "=?" in text or len(text) > MAX_LINE - FOLD_AT


def _checked(name: str, value: str) -> str:
    """The value, if neither it nor the name can end a line."""
    if name.isprintable() and value.isprintable():
        return value
    for text in (name, value):
        control = _CONTROL.search(text)
        if control:
            raise HeaderInjection(
                f"the header field {name[:76]!r} has the control character {control[0]!r} at position "
                f"{control.start()} of {text[:76]!r}; a field is one line (RFC 5322 §2.2): remove it"
            )
    return value


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise MessageError(
            f"{name[:76]!r} is no name of a header field (RFC 5322 §2.2); "
            "use 1 to 76 printable ASCII characters other than space and colon"
        )


def _folded(name: str, chunks: Sequence[str]) -> bytes:
    """The field, broken before chunks; each chunk carries its own leading space."""
    _check_name(name)
    lines: list[str] = []
    line = f"{name}:" if chunks else f"{name}: "
    for position, chunk in enumerate(chunks):
        piece = chunk if chunk.startswith(" ") else f" {chunk}"
        # Not before the first chunk: many readers take "Name:" alone on a line for an empty field.
        if position and len(line) + len(piece) > FOLD_AT:
            lines.append(line)
            line = ""
        line += piece
    lines.append(line)
    if any(len(each) > MAX_LINE for each in lines):
        raise MessageError(
            f"the field {name!r} has a word of more than {MAX_LINE} characters that cannot be folded "
            "(RFC 5322 §2.1.1); shorten it"
        )
    return "\r\n".join(lines).encode("ascii") + b"\r\n"
