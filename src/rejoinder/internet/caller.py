# SPDX-License-Identifier: Apache-2.0
"""Somebody who calls the server's HTTP API with a key: one request, one connection, an answer or none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Final

_PATIENCE: Final = 20.0


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What the API said; names of fields are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, object]

    def __str__(self) -> str:
        return f"{self.status}: {self.body.get('error', '')}".removesuffix(": ")


class Caller:
    """Calls the API at an address."""

    def __init__(self, address: tuple[str, int], key: str) -> None:
        self._address = address
        self._key = key

    async def get(self, path: str) -> HttpAnswer | None:
        """The answer; None if there is none, or it is no JSON object."""
        return await asyncio.to_thread(self._ask, "GET", path, None, {})

    async def post(self, path: str, body: Mapping[str, object], *, idempotency_key: str) -> HttpAnswer | None:
        """As ``get``, for a JSON object."""
        headers = {"Idempotency-Key": idempotency_key}
        return await asyncio.to_thread(self._ask, "POST", path, json.dumps(body), headers)

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> HttpAnswer | None:
        connection = HTTPConnection(*self._address, timeout=_PATIENCE)
        own = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, body, own | headers)
            response = connection.getresponse()
            found = json.loads(response.read())
        except (OSError, HTTPException, ValueError):
            return None
        finally:
            connection.close()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return HttpAnswer(response.status, fields, found) if isinstance(found, dict) else None
