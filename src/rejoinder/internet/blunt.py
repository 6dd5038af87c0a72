# SPDX-License-Identifier: Apache-2.0
"""An SMTP client that sends a mail as it is, also what no decent client sends: NUL, bare CR, no header.

For putting strangers' files before the server. ``smtp.sender`` refuses some of them itself, and then the
server would never be asked. One mail, one connection; nothing is pipelined and nothing is tried twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from rejoinder.errors import SmtpError
from rejoinder.message.address import Mailbox
from rejoinder.smtp.grammar import write_path
from rejoinder.smtp.reply import Reply, ReplyReader

_BLOCK: Final = 1 << 16


async def send_as_it_is(
    address: tuple[str, int], ehlo: str, raw: bytes, *, reverse_path: Mailbox | None, to: Mailbox
) -> Reply | None:
    """The server's answer to the mail, or to the first command that it refused; None if it hung up."""
    try:
        reader, writer = await asyncio.open_connection(*address)
    except OSError:
        return None
    try:
        return await _talk(reader, writer, list(_steps(ehlo, raw, reverse_path, to)))
    except (OSError, SmtpError):
        return None
    finally:
        writer.close()


def _steps(ehlo: str, raw: bytes, reverse_path: Mailbox | None, to: Mailbox) -> Iterator[bytes]:
    yield f"EHLO {ehlo}\r\n".encode()
    yield f"MAIL FROM:{write_path(reverse_path)} SIZE={len(raw)} BODY=8BITMIME\r\n".encode()
    yield f"RCPT TO:{write_path(to)}\r\n".encode()
    yield b"DATA\r\n"
    stuffed = b"\r\n" + raw
    stuffed = stuffed.replace(b"\r\n.", b"\r\n..")[2:]  # RFC 5321 §4.5.2
    yield stuffed + (b".\r\n" if raw.endswith(b"\r\n") else b"\r\n.\r\n")


async def _talk(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, steps: list[bytes]
) -> Reply | None:
    replies = ReplyReader()
    reply = await _reply(reader, replies)
    for step in steps:
        if reply is None or not reply.is_positive:
            break
        writer.write(step)
        await writer.drain()
        reply = await _reply(reader, replies)
    writer.write(b"QUIT\r\n")
    return reply


async def _reply(reader: asyncio.StreamReader, replies: ReplyReader) -> Reply | None:
    while (reply := replies.next_reply()) is None:
        data = await reader.read(_BLOCK)
        if not data:
            return None
        replies.receive_data(data)
    return reply
