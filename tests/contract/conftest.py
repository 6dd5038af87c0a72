# SPDX-License-Identifier: Apache-2.0
"""A real server, and the packages of others in one Node process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from rejoinder.mailauth.dkim.key import public_record
from rejoinder.mailauth.dkim.sign import Signer
from tests.acceptance.house import houses
from tests.contract.desk import Desk
from tests.contract.node import Node, NodeMissing

OpenDesk = Callable[..., Awaitable[Desk]]


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """Node with the official client and mailparser; without them these tests prove nothing, and fail."""
    try:
        node = Node.start()
    except NodeMissing as error:
        pytest.fail(str(error), pytrace=False)
    yield node
    node.close()


@pytest.fixture(scope="session")
def desk_record(desk_key: Path) -> str:
    """The DNS record by which others verify what desk.example signs."""
    return public_record(Signer("desk.example", "rejoinder", desk_key.read_bytes()).key)


@pytest.fixture
async def open_desk(
    tmp_path: Path, customer_key: Signer, desk_key: Path, desk_record: str, node: Node
) -> AsyncIterator[OpenDesk]:
    """Opens a desk whose server has these sections in its configuration."""
    async with houses(tmp_path, customer_key, desk_key) as open_house:

        async def open_(**sections: object) -> Desk:
            kept = {"worker": [], "route": [{"match": "support@desk.example", "store": True}]}
            return Desk(await open_house(**(kept | sections)), node, desk_record)

        yield open_


@pytest.fixture
async def desk(open_desk: OpenDesk) -> Desk:
    """A desk like any other."""
    return await open_desk()
