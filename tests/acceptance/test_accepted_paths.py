# SPDX-License-Identifier: Apache-2.0
"""Paths that the session takes although RFC 5321 is narrower: what was taken once is read again later."""

from __future__ import annotations

import asyncio

import pytest

from tests.acceptance.house import SUPPORT, Open

pytestmark = pytest.mark.anyio

# RFC 5321 §4.5.3.1.1 has 64 octets; those who put the recipient into the reverse-path need more.
LONG = "alice+" + "x" * 80 + "@customer.example"


@pytest.mark.parametrize("hold", [5, 0])
async def test_an_answer_leaves_to_a_reverse_path_longer_than_the_standard_has(
    open_house: Open, hold: float
) -> None:
    house = await open_house(workers={"hold": hold})
    (outcome,) = (await house.send(house.alice.write(SUPPORT, "Help", "?"), reverse_path=LONG)).outcomes
    assert outcome.reply is not None
    assert outcome.reply.code == 250
    answer = await asyncio.wait_for(house.sink.next(), 10)
    assert [str(path) for path in answer.envelope.forward_paths] == [LONG]
