# SPDX-License-Identifier: Apache-2.0
"""Who comes in: how often a key may ask, and that its last use is known."""

from __future__ import annotations

import pytest

from rejoinder.clock import SECOND
from rejoinder.store import keys
from tests.unit.api.conftest import Api
from tests.unit.api.test_refusal import assert_refused

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("rate", [3])
async def test_a_key_may_ask_so_often_in_a_second(api: Api) -> None:
    statuses = [(await api.get("/api/v2/mail")).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    refused = await api.get("/api/v2/mail")
    assert_refused(refused, 429, "rate-limited")
    assert (refused.headers["retry-after"], refused.headers["x-should-retry"]) == ("1", "true")
    await api.clock.advance(1)
    assert [(await api.get("/api/v2/mail")).status_code for _ in range(4)] == [200, 200, 200, 429]


@pytest.mark.parametrize("rate", [1])
async def test_one_key_does_not_use_up_anothers_rate(api: Api) -> None:
    other = await api.add_key()
    assert (await api.get("/api/v2/mail")).status_code == 200
    assert (await api.get("/api/v2/mail", other)).status_code == 200
    assert (await api.get("/api/v2/mail")).status_code == 429


@pytest.mark.parametrize("rate", [1])
async def test_who_has_no_key_is_unauthorized_however_often(api: Api) -> None:
    assert {(await api.get("/api/v2/mail", "rj_" + "x" * 43)).status_code for _ in range(3)} == {401}


async def test_without_a_rate_a_key_may_ask_as_often_as_it_likes(api: Api) -> None:
    assert {(await api.get("/api/v2/mail")).status_code for _ in range(30)} == {200}


async def last_use(api: Api) -> int | None:
    [key] = await api.store.read(keys.listing)
    return key.last_used_at


async def test_the_last_use_is_noted_at_most_once_a_minute(api: Api) -> None:
    assert await last_use(api) is None
    start = api.clock.now()
    await api.get("/api/v2/mail")
    await api.clock.advance(59)
    await api.get("/api/v2/mail")
    assert await last_use(api) == start
    await api.clock.advance(1)
    await api.get("/api/v2/mail")
    assert await last_use(api) == start + 60 * SECOND


async def test_a_request_that_may_not_is_no_use(api: Api) -> None:
    await api.get("/api/v2/mail", await api.add_key("other:scope"))
    assert {key.last_used_at for key in await api.store.read(keys.listing)} == {None}
