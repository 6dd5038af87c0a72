# SPDX-License-Identifier: Apache-2.0
"""What is measured: a server process with its children, and what they have cost the machine so far."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_WORKER = """
async def email(message, env, ctx):
    await message.reply("Thank you, we have got your mail.\\n")
"""
_CONFIG = """
[store]
data_dir = "{folder}/data"
[ingress]
hostname = "mx.desk.example"
listen = [{{ kind = "mx", address = "127.0.0.1:0" }}]
[http]
listen = "127.0.0.1:0"
[dns]
resolvers = ["{dns}"]
[outbound]
mx_port = {sink}
allow_private_mx = true
[[domain]]
name = "desk.example"
dkim_key = "{key}"
[[worker]]
name = "desk"
file = "{folder}/worker.py"
[[route]]
match = "support@desk.example"
worker = "desk"
[[route]]
match = "billing@desk.example"
store = true
"""
_RECEIVING = "Receiving mail at"
_ANSWERING = "Answering HTTP at"


@dataclass(frozen=True)
class World:
    """Where a server finds the DNS and the sink, and our key."""

    folder: Path
    dns: str
    sink: int
    key: Path

    @property
    def config(self) -> Path:
        """The configuration of the real server."""
        return self.folder / "rejoinder.toml"


def rejoinder(world: World) -> Sequence[str]:
    """The command of the real server, with everything it does by default."""
    (world.folder / "worker.py").write_text(_WORKER)
    world.config.write_text(
        _CONFIG.format(folder=world.folder, dns=world.dns, sink=world.sink, key=world.key)
    )
    return ("-m", "rejoinder", "serve", "--config", str(world.config))


def peer(world: World) -> Sequence[str]:
    """The command of the plain stack."""
    return ("-m", "bench.peer", "--dns", world.dns, "--sink", str(world.sink), "--key", str(world.key))


class Subject:
    """A running server under test; ``port`` receives mail, ``http_port`` answers HTTP, 0 if it does not."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.port = 0
        self.http_port = 0
        self._log = log
        self._process = process

    @classmethod
    async def start(cls, command: Sequence[str], log: Path, *, http: bool = False) -> Subject:
        """Start it and return when it receives mail, or, if it is for HTTP, answers that.

        Raises:
            RuntimeError: it does not start; the text is its log.
        """
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=errors, env=environment()
            )
        subject = cls(process, log)
        assert process.stdout is not None
        async for line in process.stdout:
            said, _, port = line.decode().rpartition(":")
            if said.startswith(_RECEIVING):
                subject.port = int(port)
            if said.startswith(_ANSWERING):
                subject.http_port = int(port)
            if subject.http_port if http else subject.port:
                return subject
        raise RuntimeError(subject.log())

    def log(self) -> str:
        """The end of its log."""
        return self._log.read_text()[-4000:]

    def cpu(self) -> float:
        """Seconds of CPU, user and system, of the process and everything below it, living or dead."""
        return sum(_cpu(pid) for pid in _family(self._process.pid))

    async def stop(self) -> None:
        """End it in order."""
        self._process.terminate()
        await self._process.wait()


def environment() -> dict[str, str]:
    """What a process that is measured is given."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(Path(__file__).parents[1])}


def _family(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))


def _cpu(pid: int) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS  # utime, stime, and those of dead children
    return 0.0
