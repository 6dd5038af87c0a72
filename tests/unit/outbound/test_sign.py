# SPDX-License-Identifier: Apache-2.0
"""Signing beside the loop, and the key files it signs with."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rejoinder.dns.zone import Zone
from rejoinder.errors import ConfigError
from rejoinder.mailauth.dkim.key import make_key, public_record
from rejoinder.mailauth.dkim.sign import Signer
from rejoinder.mailauth.verdict import DkimResult
from rejoinder.outbound.keys import load_signers
from rejoinder.outbound.sign import Signing
from rejoinder.routing.settings import DomainEntry
from tests.unit.mailauth.signing import NOW, verdicts
from tests.unit.outbound.post import MESSAGE

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def key() -> bytes:
    return make_key()


async def test_the_signature_stands_in_front_and_verifies(key: bytes) -> None:
    signer = Signer("desk.example", "s", key)
    signing = Signing({"desk.example": signer})
    try:
        signed = await asyncio.gather(*(signing.signed("desk.example", MESSAGE, NOW) for _ in range(4)))
        assert await signing.signed("elsewhere.example", MESSAGE, NOW) is None
    finally:
        signing.close()
    keys = Zone({"s._domainkey.desk.example": {"TXT": [public_record(signer.key)]}})
    for raw in signed:
        assert raw is not None
        assert raw.startswith(b"DKIM-Signature: ")
        assert raw.endswith(MESSAGE)
        (verdict,) = await verdicts(raw, keys)
        assert verdict.result is DkimResult.PASS


def test_a_missing_key_is_made_once_and_for_nobody_else_to_read(tmp_path: Path) -> None:
    entry = DomainEntry(name="Bücher.example", dkim_selector="mail")
    (domain,) = signers = load_signers([entry], tmp_path)
    path = tmp_path / "dkim" / "xn--bcher-kva.example.pem"
    assert domain == "xn--bcher-kva.example"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    again = load_signers([entry], tmp_path)
    assert public_record(again[domain].key) == public_record(signers[domain].key)


def test_a_key_may_lie_elsewhere(tmp_path: Path, key: bytes) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(key)
    load_signers([DomainEntry(name="desk.example", dkim_key=path)], tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_key_that_cannot_be_used_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"key\.pem of desk\.example cannot be used"):
        load_signers([DomainEntry(name="desk.example", dkim_key=path)], tmp_path)


def test_a_key_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    entry = DomainEntry(name="desk.example", dkim_key=tmp_path / "file" / "key.pem")
    with pytest.raises(ConfigError, match=r"key\.pem of desk\.example cannot be used"):
        load_signers([entry], tmp_path)
