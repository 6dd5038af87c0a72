# SPDX-License-Identifier: Apache-2.0
"""The event key: the same mail sent again has the same key.

It covers what the author wrote and where it goes, not what the way adds (trace fields, signatures,
Authentication-Results). The surprise: mail with neither Message-ID nor Date has no key, since two such
mails may be the same text written twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Final, Protocol

from rejoinder.message.address import Mailbox
from rejoinder.message.headers import Headers


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...


_COVERED: Final = frozenset({"message-id", "date", "from", "sender", "to", "cc", "subject", "mime-version"})


class EventKeys:
    """The event keys of one mail: one for each forward-path, and the mail itself is read once.

    The forward-path comes last. Its local-part counts without regard to case, because it is ours and our
    routes do not regard it either; of a stranger's reverse-path only the domain does (RFC 5321 §2.4).
    """

    def __init__(self, reverse_path: Mailbox | None, headers: Headers, body: bytes) -> None:
        self._has_identity = headers.get("Message-ID") is not None or headers.get("Date") is not None
        self._common = sha256()
        if self._has_identity:
            for part in _parts(reverse_path, headers, body):
                _add(self._common, part)

    def of(self, forward_path: Mailbox) -> str | None:
        """SHA-256 in hexadecimal over envelope, author's fields and body; None for mail without identity."""
        if not self._has_identity:
            return None
        digest = self._common.copy()
        _add(digest, _path(Mailbox(forward_path.local_part.casefold(), forward_path.domain)))
        return digest.hexdigest()


def _add(digest: _Hash, part: bytes) -> None:
    # Length-prefixed, so that no text can move from one part into the next.
    digest.update(len(part).to_bytes(8, "big"))
    digest.update(part)


def _parts(reverse_path: Mailbox | None, headers: Headers, body: bytes) -> Iterable[bytes]:
    yield _path(reverse_path)
    for field in headers:
        name = field.name.lower()
        if name in _COVERED or name.startswith("content-"):
            yield name.encode()
            yield field.value.encode("utf-8", "surrogateescape")
    yield body


def _path(mailbox: Mailbox | None) -> bytes:
    return f"{mailbox.local_part}@{mailbox.host}".encode() if mailbox else b""
