# SPDX-License-Identifier: Apache-2.0
"""Sign what leaves (RFC 6376 §5): RSA-SHA256, relaxed in header and body, no l=.

Every field that a reader sees or a mailer obeys is signed once more often than it occurs, so that
nobody can add another one (§8.15); that includes fields which are absent. The key is parsed once.
"""

from __future__ import annotations

import base64
from typing import Final

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from rejoinder.clock import SECOND
from rejoinder.errors import DkimKeyUnusable
from rejoinder.mailauth.dkim import canonical
from rejoinder.mailauth.dkim.key import sha256
from rejoinder.message.headers import Headers, split

SIGNED_FIELDS: Final = (
    "From", "To", "Cc", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Reply-To",
    "Auto-Submitted", "MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-Disposition",
)  # fmt: skip
"""Signed as often as they occur and once more."""

_LINE: Final = 72
_PADDING: Final = PKCS1v15()
_HASH: Final = SHA256()


class Signer:
    """Signs for one domain with one key; safe to use from several threads.

    Args:
        domain: d=, in A-labels.
        selector: s=.
        key: an RSA private key of at least 1024 bits, or its PEM.

    Raises:
        DkimKeyUnusable: the PEM holds something else.
    """

    def __init__(self, domain: str, selector: str, key: RSAPrivateKey | bytes) -> None:
        self.domain = domain
        self.selector = selector
        self.key = key if isinstance(key, RSAPrivateKey) else load_key(key)
        self._head = f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={domain};\r\n\ts={selector};"

    def sign(self, raw: bytes, now: int) -> bytes:
        """The whole ``DKIM-Signature`` field with its CRLF, to stand before the message.

        Args:
            raw: the message as it will leave, CRLF line ends.
            now: microseconds since the epoch.
        """
        headers, body = split(raw)
        names = _names(headers)
        digest = base64.b64encode(sha256(canonical.body(raw[body:], "relaxed"))).decode()
        field = (
            f"{self._head} t={now // SECOND};\r\n\t{_fold_names(names)};\r\n\tbh={digest};\r\n\tb=".encode()
        )
        data = canonical.signed_data(headers, names, field, "relaxed")
        value = base64.b64encode(self.key.sign(data, _PADDING, _HASH)).decode()
        return field + _fold_value(value).encode() + b"\r\n"


def load_key(pem: bytes) -> RSAPrivateKey:
    """The RSA private key in a PEM.

    Raises:
        DkimKeyUnusable: it holds none, or one of less than 1024 bits (RFC 8301 §3.2).
    """
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise DkimKeyUnusable(
            f"the DKIM key cannot be read ({error}); an unencrypted RSA private key in PEM is needed, "
            "as `rejoinder` makes it when the file is missing"
        ) from error
    if not isinstance(key, RSAPrivateKey) or key.key_size < 1024:
        kind = f"{type(key).__name__} of {getattr(key, 'key_size', '?')} bits"
        raise DkimKeyUnusable(
            f"the DKIM key is a {kind}; RSA with at least 1024 bits is needed, better 2048 (RFC 8301 §3.2)"
        )
    return key


def _names(headers: Headers) -> list[str]:
    return [name for name in SIGNED_FIELDS for _ in range(len(headers.fields(name)) + 1)]


def _fold_names(names: list[str]) -> str:
    lines, line = [], "h="
    for name in names[:-1]:
        if len(line) + len(name) >= _LINE:
            lines.append(line)
            line = ""
        line += name + ":"
    return "\r\n\t".join([*lines, line + names[-1]])


def _fold_value(value: str) -> str:
    return "\r\n\t".join(value[start : start + _LINE] for start in range(0, len(value), _LINE))
