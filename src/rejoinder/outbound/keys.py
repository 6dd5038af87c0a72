# SPDX-License-Identifier: Apache-2.0
"""The DKIM keys of the operator's domains: files, made when missing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from rejoinder.errors import ConfigError, DkimKeyUnusable
from rejoinder.mailauth.dkim.key import make_key
from rejoinder.mailauth.dkim.sign import Signer
from rejoinder.message.address import a_label
from rejoinder.routing.settings import DomainEntry


def load_signers(domains: Sequence[DomainEntry], data_dir: Path) -> Mapping[str, Signer]:
    """The signer of each domain, by its A-labels.

    Raises:
        ConfigError: a key file cannot be read or made, or holds no RSA key.
    """
    return {a_label(entry.name): _signer(entry, data_dir) for entry in domains}


def _signer(entry: DomainEntry, data_dir: Path) -> Signer:
    path = entry.dkim_key or data_dir / "dkim" / f"{a_label(entry.name)}.pem"
    try:
        if not path.exists():
            _make(path)
        return Signer(a_label(entry.name), entry.dkim_selector, path.read_bytes())
    except (OSError, DkimKeyUnusable) as error:
        raise ConfigError(
            f"the DKIM key {path} of {entry.name} cannot be used: {error}; it must be an RSA "
            "private key of at least 1024 bits in PEM (RFC 8301 §3.2); remove the file, and a new one is made"
        ) from error


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(make_key())
        file.flush()
        os.fsync(file.fileno())
