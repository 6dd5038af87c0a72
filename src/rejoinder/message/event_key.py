# SPDX-License-Identifier: Apache-2.0
"""The event key: the same mail sent again has the same key.

It covers what the author wrote and where it goes, not what the way adds (trace fields, signatures,
Authentication-Results). The surprise: mail with neither Message-ID nor Date has no key, since two such
mails may be the same text written twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from rejoinder.message.address import Mailbox
from rejoinder.message.headers import Headers

_COVERED: Final = frozenset({"message-id", "date", "from", "sender", "to", "cc", "subject", "mime-version"})


def event_key(
    reverse_path: Mailbox | None, forward_path: Mailbox, headers: Headers, body: bytes
) -> str | None:
    """SHA-256 in hexadecimal over the envelope, the author's fields and the body; None without identity."""
    if headers.get("Message-ID") is None and headers.get("Date") is None:
        return None
    digest = sha256()
    for part in _parts(reverse_path, forward_path, headers, body):
        # Length-prefixed, so that no text can move from one part into the next.
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def _parts(
    reverse_path: Mailbox | None, forward_path: Mailbox, headers: Headers, body: bytes
) -> Iterable[bytes]:
    yield _path(reverse_path)
    yield _path(forward_path)
    for field in headers:
        name = field.name.lower()
        if name in _COVERED or name.startswith("content-"):
            yield name.encode()
            yield field.value.encode("utf-8", "surrogateescape")
    yield body


def _path(mailbox: Mailbox | None) -> bytes:
    return f"{mailbox.local_part}@{mailbox.host}".encode() if mailbox else b""
