# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from rejoinder.mailauth.dkim.tags import TagError, colon_list, parse_tags, without_space


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        (b"", {}),
        (b" \r\n\t", {}),
        (b"a=1", {"a": "1"}),
        (b" a = 1 ; b = 2 ; ", {"a": "1", "b": "2"}),
        (b"a=1;\r\n\tb=2 3\r\n", {"a": "1", "b": "2 3"}),
        (b"a=; b=x=y", {"a": "", "b": "x=y"}),
        (b"A=1; a=2", {"A": "1", "a": "2"}),  # names are case-sensitive
        ("i=ä@ö.example".encode(), {"i": "ä@ö.example"}),  # RFC 8616 §4
    ],
)
def test_tag_lists_are_read(text: bytes, tags: dict[str, str]) -> None:
    assert parse_tags(text) == tags


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"a", "not a tag list"),
        (b"a=1;;b=2", "not a tag list"),
        (b"=1", "not a tag list"),
        (b"1a=1", "not a tag list"),
        (b"a b=1", "not a tag list"),
        (b"a=\x00", "not a tag list"),
        (b"a=\x7f", "not a tag list"),
        (b"a=1; a=1", "duplicate tag a"),
        (b"a=\xff", "not UTF-8"),
        (b";".join(b"a%d=1" % number for number in range(65)), "too many tags"),
    ],
)
def test_what_is_no_tag_list_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(TagError, match=reason):
        parse_tags(text)


def test_values_are_read_as_lists_and_without_folds() -> None:
    assert colon_list("a : b:\r\n\tc") == ("a", "b", "c")
    assert without_space("ab\r\n\tcd ef") == "abcdef"
