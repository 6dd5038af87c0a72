# SPDX-License-Identifier: Apache-2.0
"""What OpenAPI says about a reply's request, whose body is read by hand (``reply_wire``).

Both spellings of a field are named; the second says so. Values of ``simple`` and of fields that are not
named do not matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_ADDRESS: Final = {
    "type": "string",
    "description": "`Name <local-part@domain>` or `local-part@domain`.",
    "maxLength": 1000,
}
_ADDRESSES: Final = {"anyOf": [_ADDRESS, {"type": "array", "items": _ADDRESS}, {"type": "null"}]}
_TEXT: Final = {"type": ["string", "null"]}
_FLAG: Final = {"type": ["boolean", "null"]}


def _named(schema: Mapping[str, object], description: str) -> dict[str, object]:
    return {**schema, "description": description}


_ATTACHMENT: Final = {
    "type": "object",
    "required": ["filename", "content"],
    "properties": {
        "filename": {"type": "string", "minLength": 1, "maxLength": 255},
        "content": {
            "type": "string",
            "contentEncoding": "base64",
            "description": "The file in base64, at most 25 MiB; line breaks and a `data:` prefix are fine.",
        },
        "content_type": _named(_TEXT, "By default that of the `data:` prefix, else by the name's ending."),
        "contentType": _named(_TEXT, "The same as content_type."),
        "content_id": _named(_TEXT, "For a file that the html shows by `cid:`; at most 128 characters."),
        "contentId": _named(_TEXT, "The same as content_id."),
    },
}
_TAG: Final = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 256},
        "value": {"type": ["string", "null"], "maxLength": 256},
    },
}
_BODY: Final = {
    "type": "object",
    "required": ["from"],
    "properties": {
        "from": _named(
            _ADDRESS, "Who writes: an address in a domain of the account, with or without a name."
        ),
        "from_name": _named(_TEXT, "The name to show instead of the one in `from`."),
        "fromName": _named(_TEXT, "The same as from_name."),
        "to": _named(_ADDRESSES, "By default the original's Reply-To, else its From; a sent mail's To."),
        "subject": _named(_TEXT, "By default the original's, after one `Re: `."),
        "cc": _ADDRESSES,
        "bcc": _ADDRESSES,
        "reply_to": _ADDRESSES,
        "replyTo": _named(_ADDRESSES, "The same as reply_to."),
        "text": _named(_TEXT, "This or html must be there; made of html if it is not."),
        "html": _TEXT,
        "headers": {
            "type": ["object", "null"],
            "additionalProperties": _TEXT,
            "maxProperties": 100,
            "description": "More header fields; none that a reply has already.",
        },
        "attachments": {"type": ["array", "null"], "items": _ATTACHMENT, "maxItems": 20},
        "include_original": _named(_FLAG, "Whether the original is quoted below; by default it is."),
        "includeOriginal": _named(_FLAG, "The same as include_original."),
        "reply_all": _named(_FLAG, "Whether the original's To and Cc get a copy; by default they do not."),
        "replyAll": _named(_FLAG, "The same as reply_all."),
        "tags": {"type": ["array", "null"], "items": _TAG, "maxItems": 50},
        "simple": {"description": "Has no effect: there is one way to build a reply, and it is quick."},
    },
}
REPLY: Final[dict[str, object]] = {
    "parameters": [
        {
            "name": "email_id",
            "in": "path",
            "required": True,
            "description": "A received mail, a sent mail, or a thread, of which the newest mail is answered.",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,128}$"},
        },
        {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "Requests with the same key within 24 hours send once and get the same answer.",
            "schema": {"type": "string", "maxLength": 256},
        },
    ],
    "requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}},
}
"""The operation, beside what the framework knows of it."""
