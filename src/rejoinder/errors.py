# SPDX-License-Identifier: Apache-2.0
"""Every exception of Rejoinder, in one tree; this module imports nothing of ours.

    RejoinderError
    ├── ConfigError             a setting is missing or wrong (file and line in the text)
    ├── AddressError            a mailbox or path that RFC 5321/5322 does not allow
    ├── MessageError            a message that cannot be read or built
    │   ├── HeaderBlockTooLarge
    │   ├── HeaderInjection     a control character in a field that is to be written
    │   └── HeaderReserved      a caller's field that is ours to write
    ├── StoreError              the store cannot do what was asked
    ├── WorkerError             the worker's side of a run
    │   └── ActionRefused       an action (reply, …) broke a rule
    │       └── ReplyRefused
    └── ApiError                what the HTTP API answers

Each class has a kebab-case ``code`` with a heading in ``docs/errors.md``, an HTTP status and an SMTP
reply. The text says what was refused, the value and where it came from, the rule with its section,
and the next step. A remote SMTP peer gets ``smtp_reply`` and a generic sentence, never the text.
"""

from __future__ import annotations

from typing import ClassVar


class RejoinderError(Exception):
    """Something that Rejoinder refused or could not do."""

    code: ClassVar[str] = "internal-error"
    http_status: ClassVar[int] = 500
    smtp_reply: ClassVar[tuple[int, str]] = (451, "4.3.0")

    def __init__(self, text: str | None = None) -> None:
        super().__init__(text if text is not None else (type(self).__doc__ or type(self).__name__))

    @property
    def text(self) -> str:
        """The human text, without the code."""
        return str(self.args[0])


class ConfigError(RejoinderError):
    """A setting is missing or wrong."""

    code = "config-invalid"


class AddressError(RejoinderError):
    """A mailbox that RFC 5321 §4.1.2 or RFC 5322 §3.4 does not allow."""

    code = "address-invalid"
    http_status = 400
    smtp_reply = (501, "5.1.3")


class MessageError(RejoinderError):
    """A message that cannot be read or built."""

    code = "message-invalid"
    http_status = 400
    smtp_reply = (550, "5.6.0")


class HeaderBlockTooLarge(MessageError):
    """The header block is longer than the limit."""

    code = "header-block-too-large"
    http_status = 413
    smtp_reply = (552, "5.3.4")


class HeaderInjection(MessageError):
    """A header field with a control character or a line end in its name or value."""

    code = "header-injection"


class HeaderReserved(MessageError):
    """A header field that is written by us and cannot be given as a custom one."""

    code = "header-reserved"


class StoreError(RejoinderError):
    """The store cannot do what was asked."""

    code = "store-unavailable"
    http_status = 500
    smtp_reply = (451, "4.3.0")


class WorkerError(RejoinderError):
    """The worker's side of a run failed."""

    code = "worker-failed"
    smtp_reply = (451, "4.3.0")
