# SPDX-License-Identifier: Apache-2.0
"""A real server, and the packages of others in one Node process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from rejoinder.mailauth.dkim.sign import Signer
from tests.contract.desk import Desk, OpenDesk, desks
from tests.contract.node import Node, running


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """Node with the official client and mailparser."""
    with running() as node:
        yield node


@pytest.fixture
async def open_desk(
    tmp_path: Path, customer_key: Signer, desk_key: Path, node: Node
) -> AsyncIterator[OpenDesk]:
    """Opens a desk whose server has these sections in its configuration."""
    async with desks(tmp_path, customer_key, desk_key, node) as open_:
        yield open_


@pytest.fixture(scope="module")
async def common_desk(
    tmp_path_factory: pytest.TempPathFactory, customer_key: Signer, desk_key: Path, node: Node
) -> AsyncIterator[Desk]:
    """One desk for a whole file, whose ``anyio_backend`` must live as long; each test takes what arrives."""
    async with desks(tmp_path_factory.mktemp("desk"), customer_key, desk_key, node) as open_:
        yield await open_()


@pytest.fixture
async def desk(open_desk: OpenDesk) -> Desk:
    """A desk like any other."""
    return await open_desk()
