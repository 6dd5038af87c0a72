# SPDX-License-Identifier: Apache-2.0
"""Making a message that somebody else composed ready to leave.

What the author wrote stays; line ends become CRLF, 8-bit header fields are encoded, fields that must
not travel are removed. What cannot be repaired without guessing is refused. The surprise: the order of
fields and every byte of an innocent one are kept, because a signature of the author's may cover them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Protocol

from rejoinder.errors import HeaderInjection, MessageError
from rejoinder.message.address import parse_address_list
from rejoinder.message.encode import address_field, field
from rejoinder.message.headers import HeaderField, Headers, split
from rejoinder.message.limits import MAX_LINE
from rejoinder.message.transfer import crlf


class Serialisable(Protocol):
    """A message of the standard library: ``email.message.Message`` or ``EmailMessage``."""

    def as_bytes(self) -> bytes:
        """The whole message."""
        ...


# RFC 5322 §3.6 lets these occur once; RFC 5321 §4.4 and RFC 5322 §3.6.3 keep the removed ones at home.
_ONCE: Final = frozenset(
    {
        "from", "sender", "reply-to", "to", "cc", "subject", "date", "message-id", "in-reply-to",
        "references",
        "mime-version", "content-type", "content-transfer-encoding", "content-disposition", "content-id",
    }
)  # fmt: skip
_REMOVED: Final = frozenset({"bcc", "resent-bcc", "return-path"})
_ADDRESSES: Final = frozenset(
    {"from", "sender", "reply-to", "to", "cc", "resent-from", "resent-to", "resent-cc"}
)
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def normalise(message: bytes | str | Serialisable) -> bytes:
    """The message with CRLF line ends and a header block that may leave.

    Raises:
        HeaderInjection: a control character in the header block.
        MessageError: a line that is no field, a field that must occur once twice, a NUL, a line too long.
    """
    raw = crlf(_as_bytes(message))
    headers, body = split(raw)
    block = b"".join(_fields(headers))
    content = raw[body:]
    if b"\0" in content:
        raise MessageError(
            "the body has a NUL (RFC 5322 §2.3 allows none); encode the part with base64 or remove the NUL"
        )
    if max(map(len, block.split(b"\r\n") + content.split(b"\r\n"))) > MAX_LINE:
        raise MessageError(
            f"a line has more than {MAX_LINE} octets (RFC 5322 §2.1.1); fold the field, or encode the part "
            "as quoted-printable or base64"
        )
    return block + b"\r\n" + content


def with_fields(raw: bytes, add: Iterable[bytes] = (), replace: Iterable[bytes] = ()) -> bytes:
    """The message with whole fields from ``encode`` put at the end of its header block.

    A field of ``add`` is put in only if there is none of its name, one of ``replace`` instead of all of
    its name; every other byte of a message that went through ``normalise`` stays as it is.
    """
    headers, body = split(raw)
    replaced = {_name(each): each for each in replace}
    added = [each for each in add if not headers.fields(_name(each)) and _name(each) not in replaced]
    kept = [_whole(each) for each in headers if each.name.lower() not in replaced]
    return b"".join([*kept, *replaced.values(), *added, b"\r\n", raw[body:]])


def _name(whole: bytes) -> str:
    return whole.partition(b":")[0].decode("ascii").strip().lower()


def _as_bytes(message: bytes | str | Serialisable) -> bytes:
    if isinstance(message, bytes):
        return message
    if isinstance(message, str):
        return message.encode("utf-8", "replace")
    return message.as_bytes()


def _fields(headers: Headers) -> Iterable[bytes]:
    """The fields as they may leave, in their order."""
    covered = sum(len(each.raw) for each in headers)
    if covered != len(headers.raw):
        raise MessageError(
            "the header block has a line that is no field (RFC 5322 §2.2); "
            "write 'Name: value', and an empty line before the body"
        )
    seen: set[str] = set()
    for each in headers:
        name = each.name.lower()
        if name in seen and name in _ONCE:
            raise MessageError(f"the field {each.name!r} occurs twice; a message has it once (RFC 5322 §3.6)")
        seen.add(name)
        if name not in _REMOVED:
            yield _writable(each, name)


def _whole(each: HeaderField) -> bytes:
    """The field with its line end, which the last one of a message without a body may lack."""
    return each.raw if each.raw.endswith(b"\n") else each.raw + b"\r\n"


def _writable(each: HeaderField, name: str) -> bytes:
    """The field as it is if it may leave so, else written anew."""
    control = _CONTROL.search(each.raw)
    if control:
        raise HeaderInjection(
            f"the header field {each.name!r} has the control character {control[0]!r}; "
            "remove it (RFC 5322 §2.2)"
        )
    whole = _whole(each)
    if whole.isascii():
        return whole
    if name in _ADDRESSES:
        return address_field(each.name, parse_address_list(each.value))
    return field(each.name, each.value)
