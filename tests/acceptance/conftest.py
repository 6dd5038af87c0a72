# SPDX-License-Identifier: Apache-2.0
"""A whole server on loopback, with a zone in memory and a sink as the rest of the world."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rejoinder.mailauth.dkim.key import make_key
from rejoinder.mailauth.dkim.sign import Signer
from tests.acceptance.house import Open, houses


@pytest.fixture
async def open_house(tmp_path: Path, customer_key: Signer, desk_key: Path) -> AsyncIterator[Open]:
    """Opens a house whose route ``support@desk.example`` leads to a worker with the given code."""
    async with houses(tmp_path, customer_key, desk_key) as open_:
        yield open_


@pytest.fixture(scope="session")
def customer_key() -> Signer:
    """The key of customer.example."""
    return Signer("customer.example", "s1", make_key())


@pytest.fixture(scope="session")
def desk_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key file of desk.example; making one takes longer than most tests."""
    path = tmp_path_factory.mktemp("keys") / "desk.pem"
    path.write_bytes(make_key())
    return path
