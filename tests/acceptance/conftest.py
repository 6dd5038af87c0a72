# SPDX-License-Identifier: Apache-2.0
"""A whole server on loopback, with a zone in memory and a sink as the rest of the world."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rejoinder.mailauth.dkim.sign import Signer
from tests.acceptance.house import Open, houses


@pytest.fixture
async def open_house(tmp_path: Path, customer_key: Signer, desk_key: Path) -> AsyncIterator[Open]:
    """Opens a house whose route ``support@desk.example`` leads to a worker with the given code."""
    async with houses(tmp_path, customer_key, desk_key) as open_:
        yield open_
