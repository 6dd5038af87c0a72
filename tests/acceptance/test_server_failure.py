# SPDX-License-Identifier: Apache-2.0
"""A part of the server that must not end has ended: the server says so and stops."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rejoinder import app
from rejoinder.cli import exit_code
from rejoinder.config import Config
from rejoinder.errors import ServerFailed
from rejoinder.queue.worker import QueueWorker
from rejoinder.runtime.host import WorkerHost

pytestmark = pytest.mark.anyio


async def break_down(_: object) -> None:
    raise ValueError("a defect of ours")


@pytest.mark.parametrize(("part", "name"), [(QueueWorker, "run"), (WorkerHost, "watch")])
async def test_a_server_that_cannot_go_on_stops_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: type, name: str
) -> None:
    monkeypatch.setattr(part, name, break_down)
    config = Config.model_validate(
        {
            "store": {"data_dir": tmp_path / "data"},
            "ingress": {
                "hostname": "mx.desk.example",
                "listen": [{"kind": "mx", "address": "127.0.0.1:0"}],
            },
            "http": {"listen": "127.0.0.1:0"},
        }
    )
    with capture_logs() as logs, pytest.raises(ServerFailed, match="a defect of ours") as failure:
        async with asyncio.timeout(20):
            await app.serve(config)
    assert exit_code(failure.value) == 1
    steps = [entry["event"] for entry in logs]
    assert "app.task_failed" in steps
    assert steps[-2:] == ["app.draining", "app.stopped"]
