# SPDX-License-Identifier: Apache-2.0
"""The peer: what a good script does with aiosmtpd, dkimpy and aiosmtplib, without durable storage.

    python -m bench.peer --dns HOST:PORT --sink PORT --key FILE

It does the road's work in the plain way of these libraries: SPF by spftrace (the library that we use as
well), DKIM verified by dkimpy, DMARC's policy and alignment by look-ups with a cache, the answer composed
by ``email.message``, signed by dkimpy with RSA-2048, delivered by aiosmtplib to the MX of the sender's
domain. It keeps nothing: whoever kills it loses what it had.
"""

from __future__ import annotations

import argparse
import asyncio
import email
import email.policy
import sys
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from pathlib import Path

import aiosmtplib
import dkim
import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.resolver
from aiosmtpd.smtp import SMTP, Envelope, Session
from spftrace import BaseResolver, Evaluator, Limits


class Peer:
    """An aiosmtpd handler that answers every mail whose DMARC passes."""

    def __init__(self, resolver: dns.asyncresolver.Resolver, sink: int, key: bytes) -> None:
        self._resolver = resolver
        self._sink = sink
        self._key = key
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Authenticate while the sender waits; answer afterwards."""
        raw = envelope.content
        assert isinstance(raw, bytes)
        assert session.peer is not None
        message = email.message_from_bytes(raw)
        author = parseaddr(str(message["From"]))[1]
        reverse_path = str(envelope.mail_from)
        spf = await Evaluator(_Spf(self._resolver), Limits()).evaluate(
            str(session.peer[0]), reverse_path, str(session.host_name)
        )
        signer = await self._verified(raw, str(message["DKIM-Signature"] or ""))
        spf_domain = reverse_path.rpartition("@")[2] if spf.result == "pass" else ""
        if not await self._passes_dmarc(author.rpartition("@")[2], {signer, spf_domain} - {""}):
            return "550 5.7.1 DMARC does not pass"
        task = asyncio.create_task(self._answer(message, author))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return "250 2.0.0 Ok"

    async def _verified(self, raw: bytes, field: str) -> str:
        """The domain of a signature that holds."""
        tags = dkim.util.parse_tag_value(field.encode())
        name = f"{tags[b's'].decode().strip()}._domainkey.{tags[b'd'].decode().strip()}."
        record = await self._txt(name)
        return tags[b"d"].decode().strip() if dkim.verify(raw, dnsfunc=lambda *_, **__: record) else ""

    async def _passes_dmarc(self, author: str, proven: set[str]) -> bool:
        policy = await self._txt(f"_dmarc.{author}.")
        return policy.startswith(b"v=DMARC1") and author in proven

    async def _answer(self, message: email.message.Message, author: str) -> None:
        answer = EmailMessage(policy=email.policy.SMTP)
        answer["From"] = "support@desk.example"
        answer["To"] = author
        answer["Subject"] = f"Re: {message['Subject']}"
        answer["Date"] = formatdate()
        answer["Message-ID"] = make_msgid(domain="desk.example")
        answer["In-Reply-To"] = message["Message-ID"]
        answer["References"] = message["Message-ID"]
        answer["Auto-Submitted"] = "auto-replied"
        answer.set_content("Thank you, we have got your mail.\n")
        raw = answer.as_bytes()
        signature = dkim.sign(
            raw, b"rejoinder", b"desk.example", self._key, canonicalize=(b"relaxed", b"relaxed")
        )
        found = await self._resolver.resolve(f"{author.rpartition('@')[2]}.", "MX")
        hops = await self._resolver.resolve(found[0].exchange, "A")
        await aiosmtplib.send(
            signature + raw,
            sender="support@desk.example",
            recipients=[author],
            hostname=hops[0].address,
            port=self._sink,
            start_tls=False,
        )

    async def _txt(self, name: str) -> bytes:
        try:
            found = await self._resolver.resolve(name, "TXT")
        except dns.exception.DNSException:
            return b""
        return b"".join(found[0].strings)


class _Spf(BaseResolver):
    def __init__(self, resolver: dns.asyncresolver.Resolver) -> None:
        self._resolver = resolver

    async def _lookup(self, name: str, rtype: str) -> tuple[str, list[str]]:
        try:
            found = await self._resolver.resolve(name.rstrip(".") + ".", rtype)
        except dns.resolver.NXDOMAIN:
            return "NXDOMAIN", []
        except dns.exception.DNSException:
            return "SERVFAIL", []
        texts = [b"".join(each.strings).decode() if rtype == "TXT" else each.to_text() for each in found]
        return "NOERROR", texts


async def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--dns", required=True)
    parser.add_argument("--sink", type=int, required=True)
    parser.add_argument("--key", type=Path, required=True)
    given = parser.parse_args()
    resolver = dns.asyncresolver.Resolver(configure=False)
    host, _, port = given.dns.rpartition(":")
    resolver.nameservers = [dns.nameserver.Do53Nameserver(host, int(port))]
    resolver.cache = dns.resolver.LRUCache()
    handler = Peer(resolver, given.sink, given.key.read_bytes())
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, hostname="mx.desk.example", loop=asyncio.get_running_loop()), "127.0.0.1", 0
    )
    sys.stdout.write(f"Receiving mail at 127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
