# SPDX-License-Identifier: Apache-2.0
"""``rejoinder serve`` as a process: what a person sees of it, how it ends, and how much memory it takes."""

from __future__ import annotations

import asyncio
import re
import signal
import smtplib
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Final

import httpx2
import pytest

from rejoinder.clock.live import LiveClock
from rejoinder.dns import RdType
from rejoinder.dns.zone import Zone
from rejoinder.internet.sink import Sink
from rejoinder.internet.zone_server import ZoneServer
from rejoinder.message.headers import split
from tests.acceptance.gate import GATE, Gate
from tests.acceptance.talk import Talk

pytestmark = pytest.mark.anyio

WORKER: Final = (
    GATE
    + """
from rejoinder.worker import ReplyRefused

async def email(message, env, ctx):
    role = message.headers.get("Subject")
    print("working on", role)
    if role == "accepted":
        await message.accept()
    if role in ("accepted", "held"):
        await gate(env, role)
    if role == "refused":
        message.set_reject("We are closed.")
        return
    try:
        await message.reply(f"We have read: {role}")
    except ReplyRefused as refused:
        print("not answered:", refused)
"""
)
MAX_HELD: Final = 64 << 20
# The minimum of README.md, and where the test's world is.
CONFIG: Final = """
[[domain]]
name = "desk.example"

[[worker]]
name = "tickets"
file = "{folder}/tickets.py"
variables = {{ gate = "{folder}/gate" }}

[[route]]
match = "support@desk.example"
worker = "tickets"

[store]
data_dir = "{folder}/data"
[ingress]
hostname = "mx.desk.example"
max_held = {max_held}
listen = [{{ kind = "mx", address = "127.0.0.1:0" }}]
[http]
listen = "127.0.0.1:0"
[dns]
resolvers = ["{dns}"]
[outbound]
mx_port = {sink}
allow_private_mx = true
"""
ZONE: Final[Mapping[str, Mapping[RdType, Sequence[str]]]] = {
    "customer.example": {
        "A": ["127.0.0.1"],
        "MX": ["10 mail.customer.example"],
        "TXT": ["v=spf1 ip4:127.0.0.1 -all"],
    },
    "mail.customer.example": {"A": ["127.0.0.1"]},
    "_dmarc.customer.example": {"TXT": ["v=DMARC1; p=reject"]},
}


@dataclass
class Process:
    """A server that is a process of its own."""

    process: asyncio.subprocess.Process
    smtp: tuple[str, int]
    http: tuple[str, int]

    @property
    def peak(self) -> int:
        """The most memory that it has had, in octets, since ``forget_peak``."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) << 10

    def forget_peak(self) -> int:
        """Count the peak anew from now; the memory that it has now."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        return self.peak


class Town:
    """A folder with a configuration, and the DNS and the customer's mail server around it."""

    def __init__(self, folder: Path, config: Path, sink: Sink, gate: Gate) -> None:
        self.folder = folder
        self.config = config
        self.sink = sink
        self.gate = gate

    def command(self, *words: str) -> Sequence[str]:
        return sys.executable, "-m", "rejoinder", *words, "--config", str(self.config)

    async def run(self, *words: str) -> tuple[int, str, str]:
        """Run a command to its end: its status, its output and its errors."""
        process = await asyncio.create_subprocess_exec(
            *self.command(*words), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Process]:
        """A server, killed at the end if it has not ended by itself."""
        with (self.folder / "log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self.command("serve"), stdout=asyncio.subprocess.PIPE, stderr=log
            )
        assert process.stdout is not None
        try:
            smtp = _address(await process.stdout.readline(), self.log)
            yield Process(process, smtp, _address(await process.stdout.readline(), self.log))
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


def _address(line: bytes, log: str) -> tuple[str, int]:
    found = re.search(r"([\d.]+):(\d+)$", line.decode().strip())
    assert found is not None, f"the server said {line!r} and logged:\n{log}"
    return found[1], int(found[2])


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        zone, sink = ZoneServer(Zone(ZONE)), Sink(LiveClock(), "mail.customer.example")
        dns_host, dns_port = await zone.start()
        stack.push_async_callback(zone.close)
        _, sink_port = await sink.start()
        stack.push_async_callback(sink.close)
        gate = await stack.enter_async_context(Gate(tmp_path / "gate"))
        (tmp_path / "tickets.py").write_text(WORKER)
        config = tmp_path / "rejoinder.toml"
        config.write_text(
            CONFIG.format(folder=tmp_path, dns=f"{dns_host}:{dns_port}", sink=sink_port, max_held=MAX_HELD)
        )
        yield Town(tmp_path, config, sink, gate)


def mail(subject: str, size: int = 0) -> bytes:
    """A mail as it is on the wire, without its end."""
    lines = [
        b"From: alice@customer.example",
        b"To: support@desk.example",
        b"Subject: " + subject.encode(),
        b"Message-ID: <%s@customer.example>" % subject.encode(),
        b"Date: Sat, 21 Nov 2026 10:00:00 +0000",
        b"",
        b"Hello.",
        *[b"a" * 78] * (size // 80),
    ]
    return b"\r\n".join(lines)


# --- as a person sees it ------------------------------------------------------------------------------------


async def test_what_a_person_does_first_works_as_the_readme_says(town: Town) -> None:
    message = EmailMessage()
    message["From"], message["To"] = "alice@customer.example", "support@desk.example"
    message["Subject"], message["Message-ID"] = "The printer is on fire", "<1@customer.example>"
    message.set_content("Please help.")

    def deliver(address: tuple[str, int], *subjects: str) -> dict[str, tuple[int, bytes | str]]:
        refused: dict[str, tuple[int, bytes | str]] = {}
        with smtplib.SMTP(*address, local_hostname="mail.customer.example") as client:
            for subject in subjects:
                message.replace_header("Subject", subject)
                message.replace_header("Message-ID", f"<{subject.split()[-1]}@customer.example>")
                try:
                    client.send_message(message)
                except smtplib.SMTPDataError as error:
                    refused[subject] = error.smtp_code, error.smtp_error
        return refused

    async with town.serving() as server:
        subjects = "The printer is on fire", "refused"
        refused = await asyncio.to_thread(deliver, server.smtp, *subjects)
        assert refused == {"refused": (550, b"5.7.1 We are closed.")}
        answer, _ = split((await town.sink.next()).raw)
        assert answer.get("Subject") == "Re: The printer is on fire"
        # An out-of-office: kept, not answered, and the trace says why.
        message["Auto-Submitted"] = "auto-replied"
        assert await asyncio.to_thread(deliver, server.smtp, "Out of office") == {}

        status, out, _ = await town.run("key", "create")
        assert status == 0
        key = out.split()[-1]
        host, port = server.http
        async with httpx2.AsyncClient(
            base_url=f"http://{host}:{port}",
            headers={"Authorization": f"Bearer {key}"},
            trust_env=False,
        ) as client:
            assert (await client.get("/healthz")).status_code == 200
            listed = (await client.get("/api/v2/mail")).json()["emails"]
            assert [each["subject"] for each in listed] == ["Out of office", "refused", subjects[0]]
            assert [each["status"] for each in listed] == ["handled", "rejected", "handled"]
            out_of_office = (await client.get(f"/api/v2/mail/{listed[0]['id']}/trace")).json()
            detail = (await client.get(f"/api/v2/mail/{listed[2]['id']}")).json()
        assert detail["content"]["textBody"] == "Please help.\n"
        assert out_of_office["sent"] == []
        (run,) = out_of_office["runs"]
        assert run["log"].startswith("working on Out of office\nnot answered: cannot reply to email_")
        told = {each["kind"]: each["evidence"] for each in out_of_office["events"]}
        assert told["run_finished"]["refused"][0]["codes"] == ["reply-to-automatic-mail"]
        transcript = told["received"]["transcript"]
        assert transcript[0].startswith("S: 220 mx.desk.example")
        assert transcript[-1] == f"S: {told['received']['answer']}" == "S: 250 2.0.0 Ok"
        assert told["received"]["clientIp"] == "127.0.0.1"
        server.process.terminate()
        assert await server.process.wait() == 0


async def test_a_second_server_on_the_same_data_is_refused_and_told_who_has_it(town: Town) -> None:
    async with town.serving() as server:
        status, _, err = await town.run("serve")
        assert status == 1
        assert f"(process {server.process.pid})" in err
        assert "one server owns a data_dir" in " ".join(err.split())
        assert "Traceback" not in err
        async with await Talk.open(server.smtp) as talk:
            assert await talk.deliver(mail("still-there")) == "250 2.0.0 Ok"
        await town.sink.next()


# --- how it ends --------------------------------------------------------------------------------------------


async def test_terminated_it_takes_the_mail_that_is_coming_and_refuses_what_would_come(town: Town) -> None:
    async with (
        town.serving() as server,
        await Talk.open(server.smtp) as busy,
        await Talk.open(server.smtp) as idle,
    ):
        assert (await busy.offer()).startswith("354 ")
        await busy.put(mail("in-flight")[:60])
        server.process.terminate()
        await has_begun_to_end(idle)
        with pytest.raises(ConnectionRefusedError):
            await Talk.open(server.smtp)
        await busy.put(mail("in-flight")[60:] + b"\r\n.\r\n")
        assert await busy.reply() == "250 2.0.0 Ok"
        assert (await busy.reply()).startswith("421 4.3.2")
        assert await server.process.wait() == 0
    async with town.serving():
        answer = await town.sink.next()
    assert split(answer.raw)[0].get("In-Reply-To") == "<in-flight@customer.example>"
    assert "Traceback" not in town.log


@pytest.mark.parametrize("role", ["held", "accepted"])
async def test_terminated_it_lets_the_run_that_goes_on_end(town: Town, role: str) -> None:
    async with (
        town.serving() as server,
        await Talk.open(server.smtp) as talk,
        await Talk.open(server.smtp) as idle,
    ):
        sending = asyncio.create_task(talk.deliver(mail(role)))
        working = await town.gate.arrival(role)
        server.process.terminate()
        if role == "accepted":
            assert await sending == "250 2.0.0 Ok"
        await has_begun_to_end(idle)
        town.gate.let_go(working)
        assert await sending == "250 2.0.0 Ok"
        assert await server.process.wait() == 0
    async with town.serving():
        await town.sink.next()
    assert len(town.sink.received) == 1
    assert "Traceback" not in town.log


async def has_begun_to_end(idle: Talk) -> None:
    """Whoever has nothing under way is told."""
    assert await idle.reply() == "421 4.3.2 the server is going down; try again soon"
    assert await idle.reply() == ""


async def test_terminated_twice_it_ends_at_once_and_the_run_is_run_again(town: Town) -> None:
    async with town.serving() as server, await Talk.open(server.smtp) as idle:
        async with await Talk.open(server.smtp) as talk:
            assert await talk.deliver(mail("accepted")) == "250 2.0.0 Ok"
        await town.gate.arrival("accepted")
        server.process.terminate()
        await has_begun_to_end(idle)
        server.process.send_signal(signal.SIGTERM)
        assert await server.process.wait() == -signal.SIGTERM
    async with town.serving():
        town.gate.let_go(await town.gate.arrival("accepted"))
        await town.sink.next()
    assert len(town.sink.received) == 1


# --- memory -------------------------------------------------------------------------------------------------

CLIENTS: Final = 20
LARGE: Final = 24 << 20


async def test_many_large_mails_at_once_take_bounded_memory_and_each_has_its_answer(town: Town) -> None:
    async def send(number: int) -> str:
        async with await Talk.open(server.smtp) as talk:
            reply = await talk.offer()
            if not reply.startswith("354 "):
                return reply
            await talk.put(mail(f"large{number}"))
            for _ in range(LARGE >> 20):
                await talk.put(block)
            await talk.put(b"\r\n.\r\n")
            return await talk.reply()

    block = (b"\r\n" + b"a" * 78) * ((1 << 20) // 80)
    async with town.serving() as server:
        before = server.forget_peak()
        answers = await asyncio.gather(*(send(number) for number in range(CLIENTS)))
        grown = server.peak - before
        taken = answers.count("250 2.0.0 Ok")
        full = answers.count("452 4.3.1 no room for more mail at the moment; try again later")
        assert taken + full == CLIENTS
        assert taken >= 1
        assert full >= CLIENTS // 2
        for _ in range(taken):
            await town.sink.next()
        assert grown < 3 * MAX_HELD
    assert "Traceback" not in town.log


async def test_commands_of_a_megabyte_take_no_memory(town: Town) -> None:
    async def talk() -> None:
        async with await Talk.open(server.smtp) as talk:
            for _ in range(5):
                answer = await talk.say(b"NOOP " + b"a" * 1_000_000)
                assert answer == "500 5.5.2 the command is too long"

    async with town.serving() as server:
        before = server.forget_peak()
        await asyncio.gather(*(talk() for _ in range(CLIENTS)))
        assert server.peak - before < CLIENTS << 20
