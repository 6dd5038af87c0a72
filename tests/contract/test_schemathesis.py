# SPDX-License-Identifier: Apache-2.0
"""Whatever the OpenAPI document allows, and what it does not: no failure of ours, nothing undocumented."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from rejoinder.mailauth.dkim.sign import Signer
from tests.acceptance.house import KEY, SUPPORT, houses

CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
Operation = APIOperation[Any, Any, Any, Any]
Anything = Case[Any]


@dataclass(frozen=True)
class Served:
    """A server in a thread of its own, with a mail that can be answered."""

    base_url: str
    email_id: str


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, customer_key: Signer, desk_key: Path
) -> Iterator[Served]:
    started: asyncio.Queue[Served] = asyncio.Queue()
    loop, stopping = asyncio.new_event_loop(), asyncio.Event()
    folder = tmp_path_factory.mktemp("served")
    thread = threading.Thread(
        target=loop.run_until_complete, args=[_serve(folder, customer_key, desk_key, started, stopping)]
    )
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(started.get(), loop).result(20)
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(20)
        loop.close()


async def _serve(
    folder: Path,
    customer_key: Signer,
    desk_key: Path,
    started: asyncio.Queue[Served],
    stopping: asyncio.Event,
) -> None:
    async with houses(folder, customer_key, desk_key) as open_house:
        # Every example answers the same correspondent in the same thread.
        no_budget = {"api_per_correspondent": 0, "api_per_thread": 0}
        route = [{"match": "support@desk.example", "store": True}]
        house = await open_house(worker=[], route=route, replies=no_budget)
        await house.send(house.alice.write(SUPPORT, "Help", "Please."))
        host, port = house.server.http_address
        await started.put(Served(f"http://{host}:{port}", (await house.mail())[0].id))
        await stopping.wait()


@pytest.fixture
def operations(served: Served) -> list[Operation]:
    """Everything that the document names."""
    document = schemathesis.openapi.from_url(f"{served.base_url}/openapi.json")
    return [result.ok() for result in document.get_all_operations() if isinstance(result, Ok)]


def try_out(operation: Operation, call: Callable[[Anything], None], examples: int = 25) -> None:
    """Call with requests that the document allows, and with some that it does not."""
    for mode in GenerationMode:
        drawn = given(operation.as_strategy(generation_mode=mode))(call)
        few = settings(
            max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
        )
        with suppress(Unsatisfiable):  # An operation without parameters cannot be called wrongly.
            few(drawn)()


def test_every_operation_answers_as_it_is_documented(operations: list[Operation]) -> None:
    def call(case: Anything) -> None:
        case.headers["Authorization"] = f"Bearer {KEY}"
        case.call_and_validate(checks=CHECKS)

    assert len(operations) >= 7
    for operation in operations:
        try_out(operation, call)


def test_a_reply_to_a_mail_that_is_there_answers_as_it_is_documented(
    operations: list[Operation], served: Served
) -> None:
    statuses = set()

    def call(case: Anything) -> None:
        case.path_parameters["email_id"] = served.email_id
        if isinstance(case.body, dict) and "from" in case.body:
            case.body["from"] = "support@desk.example"
        case.headers["Authorization"] = f"Bearer {KEY}"
        response = case.call_and_validate(checks=CHECKS)
        statuses.add(response.status_code)

    [reply] = [operation for operation in operations if operation.path.endswith("/reply")]
    try_out(reply, call, 60)
    # Now and then the generator leaves the key out.
    assert {200, 400} <= statuses <= {200, 400, 401}


def test_without_a_key_every_operation_that_needs_one_is_unauthorized(operations: list[Operation]) -> None:
    def call(case: Anything) -> None:
        case.headers.pop("Authorization", None)
        response = case.call_and_validate(checks=CHECKS)
        # An id with a slash makes another path, where there is nothing.
        assert response.status_code in {401, 404, 405}

    for operation in operations:
        if operation.path.startswith("/api/"):
            try_out(operation, call, 3)
