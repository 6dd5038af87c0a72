# SPDX-License-Identifier: Apache-2.0
"""Mailboxes of flanker's lists: the strict reader refuses the invalid, the tolerant never raises."""

from __future__ import annotations

from pathlib import Path

from rejoinder.errors import AddressError
from rejoinder.message.address import parse_address_list, parse_mailbox

# Lists that judge more than RFC 5321 §4.1.2 does, or less.
MORE_THAN_SYNTAX = {"test@xn--example.com"}  # an A-label that IDNA would not make
LESS_THAN_SYNTAX = {"bob@under_scope"}  # an underscore is no letter, digit or hyphen


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]


def _is_strict(text: str) -> bool:
    try:
        parse_mailbox(text)
    except AddressError:
        return False
    return True


def test_no_invalid_mailbox_is_taken(corpora: Path) -> None:
    folder = corpora / "addresses" / "flanker"
    mailboxes = _lines(folder / "mailbox_invalid.txt")
    local_parts = _lines(folder / "abridged_localpart_invalid.txt")
    taken = {each for each in mailboxes if _is_strict(each)}
    taken |= {each for each in local_parts if _is_strict(f"{each}@example.com")}
    assert taken <= MORE_THAN_SYNTAX
    for each in mailboxes:
        parse_address_list(each)


def test_every_valid_mailbox_is_read(corpora: Path) -> None:
    folder = corpora / "addresses" / "flanker"
    for each in _lines(folder / "mailbox_valid.txt"):
        (address,) = parse_address_list(each)
        if each == str(address.mailbox) and each.isascii():
            assert _is_strict(each) or each in LESS_THAN_SYNTAX, each
    for each in _lines(folder / "abridged_localpart_valid.txt"):
        (address,) = parse_address_list(f"{each}@example.com")
        assert _is_strict(f"{each}@example.com"), each
        assert address.mailbox == parse_mailbox(f"{each}@example.com")
