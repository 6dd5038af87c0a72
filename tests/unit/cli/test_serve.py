# SPDX-License-Identifier: Apache-2.0
"""The server as a process: it says where it listens, and SIGTERM ends it with 0."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONFIG = '[http]\nlisten = "127.0.0.1:0"\n[[ingress.listen]]\naddress = "127.0.0.1:0"\n'


@contextmanager
def serving(folder: Path) -> Iterator[subprocess.Popen[str]]:
    (folder / "rejoinder.toml").write_text(CONFIG, encoding="utf-8")
    command = [sys.executable, "-m", "rejoinder", "serve"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_it_says_where_it_listens_and_sigterm_ends_it(tmp_path: Path) -> None:
    with serving(tmp_path) as process:
        assert line(process).startswith("Receiving mail at 127.0.0.1:")
        url = line(process).split()[-1]
        with urllib.request.urlopen(f"{url}/healthz", timeout=10) as response:
            assert response.read() == b'{"status":"ok"}'
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=20)
        assert process.returncode == 0
    assert "app.stopped" in log
    assert "Traceback" not in log


def test_a_second_server_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as first:
        assert line(first)
        with serving(tmp_path) as second:
            _, said = second.communicate(timeout=20)
            assert second.returncode == 1
    assert said.startswith("error: store-unavailable:")
    assert "Traceback" not in said
