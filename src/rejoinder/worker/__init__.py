# SPDX-License-Identifier: Apache-2.0
"""What a worker's file imports, and the child's side of a run.

    from rejoinder.worker import Context, Env, Message, ReplyRefused

    async def email(message: Message, env: Env, ctx: Context) -> None:
        try:
            await message.reply("We got your message.")
        except ReplyRefused as refused:
            print(refused.code)

It needs ``rejoinder.message``, ``rejoinder.errors`` and the standard library, and loads no code of the
server, because it runs under whatever interpreter the operator names. The surprise: a child is a
container for mistakes and no sandbox; workers are the operator's own code.
"""

from rejoinder.errors import ActionRefused, EventEnded, ReplyRefused, WorkerError
from rejoinder.worker.auth import Auth
from rejoinder.worker.context import Context, Env
from rejoinder.worker.message import Message
from rejoinder.worker.reply import EmailMessage

__all__ = [
    "ActionRefused",
    "Auth",
    "Context",
    "EmailMessage",
    "Env",
    "EventEnded",
    "Message",
    "ReplyRefused",
    "WorkerError",
]
