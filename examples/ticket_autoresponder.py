# SPDX-License-Identifier: Apache-2.0
"""Answers every mail with a ticket number; what comes back in the same thread keeps its number."""

import hashlib
from email.message import EmailMessage as MimeMessage
from email.utils import formataddr

from rejoinder.worker import EmailMessage, ReplyRefused


def create_ticket(message):
    """The same number for a whole thread, and for every try of the same mail: nothing needs storing."""
    references = message.headers.get("References", "").split()
    first_of_thread = references[0] if references else message.headers.get("Message-ID", message.event_key)
    return hashlib.sha256(first_of_thread.encode()).hexdigest()[:8].upper()


async def email(message, env, ctx):
    ticket = create_ticket(message)

    msg = MimeMessage()
    msg["From"] = formataddr(("Thank you for your contact", message.to))
    msg.set_content(f"We got your message, your ticket number is {ticket}\n")
    # To, Subject, Date, Message-ID and what threading needs are put in where a message lacks them.

    try:
        message_id = await message.reply(EmailMessage(message.to, message.sender, msg))
    except ReplyRefused as refused:
        # Automatic mail, mailing lists, authors that nothing proves: the mail is kept, not answered.
        print(f"ticket {ticket} not answered: {refused.code}")
    else:
        print(f"ticket {ticket} answered: {message_id}")
