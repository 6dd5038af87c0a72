# SPDX-License-Identifier: Apache-2.0
"""Every exception of Rejoinder, in one tree; this module imports nothing of ours.

    RejoinderError
    ├── ConfigError             a setting is missing or wrong (file and line in the text)
    │   ├── DkimKeyUnusable     a DKIM key that does not sign
    │   └── ListenError         an address that cannot be listened on
    ├── ServerFailed            a part of the server has ended that must not
    ├── AddressError            a mailbox or path that RFC 5321/5322 does not allow
    ├── MessageError            a message that cannot be read or built
    │   ├── HeaderBlockTooLarge
    │   ├── HeaderInjection     a control character in a field that is to be written
    │   └── HeaderReserved      a caller's field that is ours to write
    ├── SmtpError               the peer's octets are no SMTP
    │   └── SmtpParameterUnknown
    ├── StoreError              the store cannot do what was asked
    │   └── StoreFull           no room on the disk
    ├── LeaseLost               a job's claim is another's by now
    ├── WorkerError             the worker's side of a run
    │   ├── WorkerNotLoaded     its file cannot be imported, or has no `email`
    │   └── ActionRefused       an action (reply, …) broke a rule
    │       ├── EventEnded
    │       └── ReplyRefused    one subclass for each rule
    │           └── MailUnanswerable    the rules about the mail itself
    └── ApiError                what the HTTP API answers
        ├── Unauthorized
        ├── ScopeMissing
        ├── RequestInvalid      names the field
        │   ├── EmailIdInvalid
        │   ├── JsonInvalid
        │   ├── FromMissing
        │   ├── ContentMissing
        │   ├── RecipientMissing
        │   ├── EmailFormatInvalid
        │   ├── FieldsConflict
        │   ├── RemoteAttachment
        │   ├── MessageTooLarge
        │   └── IdempotencyKeyInvalid
        ├── SenderDomainForbidden
        ├── NotFound
        │   ├── EmailNotFound
        │   ├── KeyNotFound
        │   ├── DeadLetterNotFound
        │   └── AccountNotFound
        ├── MethodNotAllowed
        ├── EmailNotYetAccepted the client shall ask again
        ├── RateLimited
        ├── QuotaExceeded
        ├── InternalError       ours to mend; the log has the rest
        ├── SendingNotConfigured
        ├── SendFailed          refused for good
        ├── SendNotStored       the client shall ask again
        ├── RoomTaken           the client shall ask again
        └── NotReady

Each class has a kebab-case ``code`` with a heading in ``docs/errors.md``, an HTTP status and an SMTP
reply. The text says what was refused, the value and where it came from, the rule with its section,
and the next step. A remote SMTP peer gets ``smtp_reply`` and a generic sentence, never the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class RejoinderError(Exception):
    """Something that Rejoinder refused or could not do."""

    code: ClassVar[str] = "internal-error"
    http_status: ClassVar[int] = 500
    smtp_reply: ClassVar[tuple[int, str]] = (451, "4.3.0")
    headers: ClassVar[Mapping[str, str]] = {}
    """What the HTTP answer says besides its status."""
    field: str | None = None
    """The parameter or field of the request that is wrong, once somebody knows it."""

    def __init__(self, text: str | None = None) -> None:
        super().__init__(text if text is not None else (type(self).__doc__ or type(self).__name__))

    @property
    def text(self) -> str:
        """The human text, without the code."""
        return str(self.args[0])


class ConfigError(RejoinderError):
    """A setting is missing or wrong."""

    code = "config-invalid"


class ServerFailed(RejoinderError):
    """A part of the server without which it cannot go on has ended."""

    code = "server-failed"


class DkimKeyUnusable(ConfigError):
    """A DKIM key that does not sign: unreadable, not RSA, or too short (RFC 8301 §3.2)."""

    code = "dkim-key-unusable"


class ListenError(ConfigError):
    """An address cannot be listened on."""

    code = "listen-failed"


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


class SmtpError(RejoinderError):
    """What the SMTP peer sent breaks RFC 5321."""

    code = "smtp-syntax"
    smtp_reply = (501, "5.5.4")


class SmtpParameterUnknown(SmtpError):
    """MAIL or RCPT has a parameter that was not offered (RFC 5321 §4.1.1.11)."""

    code = "smtp-parameter-unknown"
    smtp_reply = (555, "5.5.4")


class StoreError(RejoinderError):
    """The store cannot do what was asked."""

    code = "store-unavailable"
    http_status = 500
    headers: ClassVar[Mapping[str, str]] = {"x-should-retry": "true"}
    smtp_reply = (451, "4.3.0")


class StoreFull(StoreError):
    """There is no room on the disk for what shall be stored."""

    code = "store-full"
    smtp_reply = (452, "4.3.1")


class LeaseLost(RejoinderError):
    """A job's claim ended and another claim has it; what this one did is not kept."""

    code = "lease-lost"


class WorkerError(RejoinderError):
    """The worker's side of a run failed."""

    code = "worker-failed"
    smtp_reply = (451, "4.3.0")


class WorkerNotLoaded(WorkerError):
    """The worker's file cannot be loaded."""

    code = "worker-not-loaded"


class ActionRefused(WorkerError):
    """A rule forbids this action of a worker.

    ``codes`` holds every rule that failed, first the one whose exception this is.
    """

    code = "action-refused"
    http_status = 403
    smtp_reply = (451, "4.3.0")

    def __init__(self, text: str | None = None, codes: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.codes = codes or (self.code,)


class EventEnded(ActionRefused):
    """The run of this mail has ended; an action after the end of its event does nothing."""

    code = "event-ended"


class ReplyRefused(ActionRefused):
    """A rule forbids this reply."""

    code = "reply-refused"


class MailUnanswerable(ReplyRefused):
    """The mail is one that no worker's reply may answer, whatever the reply says.

    A worker that does not catch this has not failed: another try would be told the same.
    """

    code = "mail-unanswerable"


class ReplyNullReversePath(MailUnanswerable):
    """The mail has the null reverse-path, so nobody waits for an answer (RFC 3834 §2)."""

    code = "reply-null-reverse-path"
    http_status = 409


class ReplyToReport(MailUnanswerable):
    """The mail is a delivery report or a disposition notification (RFC 3464, RFC 8098)."""

    code = "reply-to-report"
    http_status = 409


class ReplyToAutomaticMail(MailUnanswerable):
    """The mail was sent by a program; answering it could loop (RFC 3834 §2)."""

    code = "reply-to-automatic-mail"
    http_status = 409


class ReplyToList(MailUnanswerable):
    """The mail came through a mailing list (RFC 2919, RFC 3834 §2)."""

    code = "reply-to-list"


class ReplyToOurselves(MailUnanswerable):
    """The mail is our own; answering it would loop."""

    code = "reply-to-ourselves"
    http_status = 409


class ReplyNoPolicy(MailUnanswerable):
    """The author's domain publishes no DMARC policy, so nothing proves the author (RFC 9989)."""

    code = "reply-no-dmarc-policy"


class ReplyDmarcFailed(MailUnanswerable):
    """The mail did not pass DMARC, so its author is not proven (RFC 9989)."""

    code = "reply-dmarc-failed"


class ReplyRecipientUnproven(MailUnanswerable):
    """Nothing proves the reverse-path, to which the answer would go (RFC 3834 §4)."""

    code = "reply-recipient-unproven"


class ReplyReferencesExceeded(MailUnanswerable):
    """The mail names more than 100 messages in References."""

    code = "reply-references-exceeded"


class ReplyOncePerEvent(ReplyRefused):
    """This event was answered already; a mail is answered once."""

    code = "reply-once-per-event"


class ReplyRecipientMismatch(ReplyRefused):
    """The recipient of the reply is not the sender of the mail."""

    code = "reply-recipient-mismatch"


class ReplySenderDomainMismatch(ReplyRefused):
    """The reply's author is not of the domain that received the mail."""

    code = "reply-sender-domain-mismatch"


class ReplyBudget(MailUnanswerable):
    """The day's budget of answers is used up."""

    code = "reply-budget"
    http_status = 429
    headers: ClassVar[Mapping[str, str]] = {"x-should-retry": "false"}


class ReplyThreading(ReplyRefused):
    """In-Reply-To or References of the reply do not name the mail it answers (RFC 5322 §3.6.4)."""

    code = "reply-threading"


class ReplyInvalid(ReplyRefused):
    """The reply is not a message that may leave (RFC 5322)."""

    code = "reply-invalid"
    http_status = 400


class ApiError(RejoinderError):
    """The HTTP API refuses a request.

    ``field`` is the parameter or body field that is wrong, ``details`` the next step where the text is
    fixed by what clients compare: ``sentence`` is that text.
    """

    code = "request-refused"
    http_status = 400
    sentence: ClassVar[str | None] = None

    def __init__(
        self, text: str | None = None, *, field: str | None = None, details: str | None = None
    ) -> None:
        super().__init__(text if text is not None else self.sentence)
        self.field = field
        self.details = details


class Unauthorized(ApiError):
    """The request has no valid key."""

    code = "unauthorized"
    http_status = 401
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": 'Bearer realm="API", charset="UTF-8"'}
    sentence = "Unauthorized"


class ScopeMissing(ApiError):
    """The key may not do this."""

    code = "scope-missing"
    http_status = 403


class RequestInvalid(ApiError):
    """A parameter or a field of the body is wrong."""

    code = "request-invalid"


class EmailIdInvalid(RequestInvalid):
    """The id in the path is missing or has not the form of one."""

    code = "email-id-invalid"
    sentence = "Valid email ID is required"


class JsonInvalid(RequestInvalid):
    """The body is not a JSON object (RFC 8259)."""

    code = "json-invalid"
    sentence = "Invalid JSON in request body"


class FromMissing(RequestInvalid):
    """The body names no author."""

    code = "from-missing"
    sentence = "From address is required"


class ContentMissing(RequestInvalid):
    """The body has neither text nor html."""

    code = "content-missing"
    sentence = "Either html or text content must be provided"


class RecipientMissing(RequestInvalid):
    """Nobody is named as recipient, and the mail that is answered names nobody who could be."""

    code = "recipient-missing"
    sentence = "Cannot determine recipient email address"


class EmailFormatInvalid(RequestInvalid):
    """An address is not of the form ``Name <local-part@domain>`` or ``local-part@domain``."""

    code = "email-format-invalid"


class FieldsConflict(RequestInvalid):
    """A field was given in two spellings with different values."""

    code = "conflicting-fields"


class RemoteAttachment(RequestInvalid):
    """An attachment was given by the address where it lies instead of its content."""

    code = "remote-attachment"


class MessageTooLarge(RequestInvalid):
    """The request, an attachment, all of them, or the message made of them is larger than its limit."""

    code = "message-too-large"


class IdempotencyKeyInvalid(RequestInvalid):
    """The Idempotency-Key is longer than 256 characters."""

    code = "idempotency-key-invalid"


class SenderDomainForbidden(ApiError):
    """The domain of From is not one of the account's."""

    code = "sender-domain-forbidden"
    http_status = 403


class NotFound(ApiError):
    """There is nothing at this path."""

    code = "not-found"
    http_status = 404


class EmailNotFound(NotFound):
    """The account has no mail with this id."""

    code = "email-not-found"
    sentence = "Email not found"


class KeyNotFound(NotFound):
    """There is no key with this id."""

    code = "key-not-found"


class DeadLetterNotFound(NotFound):
    """Nothing of this id is a dead letter."""

    code = "dead-letter-not-found"


class AccountNotFound(NotFound):
    """There is no account of this name."""

    code = "account-not-found"


class MethodNotAllowed(ApiError):
    """The method is not one of those that this path knows."""

    code = "method-not-allowed"
    http_status = 405


class EmailNotYetAccepted(ApiError):
    """The mail is still with the worker that may refuse it; ask again in a second."""

    code = "email-not-yet-accepted"
    http_status = 409
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1", "x-should-retry": "true"}


class RateLimited(ApiError):
    """The key asks more often than the rate allows; ask again after the seconds in ``Retry-After``."""

    code = "rate-limited"
    http_status = 429
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1", "x-should-retry": "true"}


class QuotaExceeded(ApiError):
    """The account has sent to as many recipients as its quota allows for this month or hour."""

    code = "quota-exceeded"
    http_status = 429
    headers: ClassVar[Mapping[str, str]] = {"x-should-retry": "false"}
    sentence = "Email sending limit reached. Please upgrade your plan to send more emails."


class InternalError(ApiError):
    """Something failed that nobody foresaw; the log has a traceback."""

    code = "internal-error"
    http_status = 500
    sentence = "Internal server error"


class SendingNotConfigured(ApiError):
    """The route by which mail leaves cannot be used as it is configured."""

    code = "sending-not-configured"
    http_status = 500
    headers: ClassVar[Mapping[str, str]] = {"x-should-retry": "false"}
    sentence = "Email service not configured. Please contact support."


class SendFailed(ApiError):
    """The next hop refused the message for good."""

    code = "send-failed"
    http_status = 500
    headers: ClassVar[Mapping[str, str]] = {"x-should-retry": "false"}
    sentence = "Failed to send reply. Please try again later."


class SendNotStored(ApiError):
    """The store could not keep the message, so nothing was sent; ask again."""

    code = "send-not-stored"
    http_status = 500
    headers: ClassVar[Mapping[str, str]] = {"x-should-retry": "true"}
    sentence = "Failed to send reply. Please try again later."


class RoomTaken(ApiError):
    """Other large requests take all the room that there is for them; ask again in a second."""

    code = "room-taken"
    http_status = 503
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1", "x-should-retry": "true"}


class NotReady(ApiError):
    """The server is starting or draining."""

    code = "not-ready"
    http_status = 503
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}
