# SPDX-License-Identifier: Apache-2.0
"""What hypothesis draws: mailboxes, texts, identifiers, header blocks and hostile bytes."""

from __future__ import annotations

import string

from hypothesis import strategies as st

from rejoinder.message.address import Address, Mailbox

_ATEXT = string.ascii_letters + string.digits + "!#$%&'*+-/=?^_`{|}~"

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True).filter(lambda x: x[2:4] != "--")
domains = st.lists(labels, min_size=1, max_size=4).map(".".join)
local_parts = st.one_of(
    st.lists(st.text(_ATEXT, min_size=1, max_size=8), min_size=1, max_size=3).map(".".join),
    st.text([chr(code) for code in range(0x20, 0x7F)], max_size=20),
)
mailboxes = st.builds(Mailbox, local_parts, domains)

any_text = st.text(st.characters(codec="utf-8"), max_size=200)
"""Any text, control characters and line ends included."""

lines = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=200)
"""Text that a header field may hold."""

names = lines.map(lambda text: " ".join(text.split()))
addresses = st.builds(Address, names, mailboxes)

field_names = st.text([chr(code) for code in range(0x21, 0x7F) if code != ord(":")], min_size=1, max_size=40)
msg_ids = st.builds(
    "<{}@{}>".format, st.text(string.ascii_letters + string.digits + ".+-_", min_size=1, max_size=40), domains
)

mail_bytes = st.lists(
    st.sampled_from(
        [b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"--b", b"--b--", b"--c", b"From: ", b"From a@b",
         b"Content-Type: multipart/mixed; boundary=b", b"Content-Type: multipart/mixed; boundary=c", b"text",
         b"Content-Type: text/plain; charset=utf-7", b"Content-Transfer-Encoding: base64", b"aGk=",
         b"Content-Disposition: attachment; filename*0*=x''%", b"\xef\xbb\xbf", b"Message-ID: <m@x>",
         b";", b"=", b'"', b"(", b"<a@b>", b"\xff", b"=?utf-8?q?x?="],
    ),
    max_size=60,
).map(b"".join)  # fmt: skip
"""Bytes made of what means something in mail, in any order."""
