# SPDX-License-Identifier: Apache-2.0
"""Encoded words (RFC 2047)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rejoinder.message.encoded_word import decode_base64, decode_words, encode_words


class TestRFC2047Section8:
    """The examples of the standard."""

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("=?ISO-8859-1?Q?a?=", "a"),
            ("=?ISO-8859-1?Q?a?= b", "a b"),
            ("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
            ("=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=", "ab"),
            ("=?ISO-8859-1?Q?a_b?=", "a b"),
            ("=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"),
            ("=?US-ASCII?Q?Keith_Moore?=", "Keith Moore"),
            ("=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=", "If you can read this yo"),
        ],
    )
    def test_words_are_decoded(self, value: str, text: str) -> None:
        assert decode_words(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("", ""),
        # RFC 2231 §5: a language after the charset.
        ("=?us-ascii*en?q?hi?=", "hi"),
        # A character cut in two between words, against RFC 2047 §5.
        ("=?utf-8?b?w7w=?==?utf-8?q?=C3?= =?utf-8?q?=BC?=", "üü"),
        ("a =?utf-8?q?b?= c", "a b c"),
        ("a=?utf-8?q?b?=c", "abc"),
        ("=?utf-8?q?a?= x =?utf-8?q?b?=", "a x b"),
        # What cannot be read stays as it was written.
        ("=?utf-8?x?b?=", "=?utf-8?x?b?="),
        ("=?utf-8?q?b", "=?utf-8?q?b"),
        ("=? =?", "=? =?"),
        ("=?utf-8?q??=", ""),
        ("=?x-unknown?q?gr=FCn?=", "grün"),
        # Control characters that a word smuggles in become spaces.
        ("=?utf-8?q?a=0D=0ABcc:_v?=", "a Bcc: v"),
        ("=?utf-8?q?a=ZZ?=", "a=ZZ"),
        ("=?utf-8?q?ü?=", "ü"),
    ],
)
def test_words_are_decoded_as_far_as_they_can_be(value: str, text: str) -> None:
    assert decode_words(value) == text


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (b"aGk=", b"hi"),
        (b"aGk", b"hi"),
        (b"aG\r\nk=\r\n", b"hi"),
        (b"aGk= and more", b"hi"),
        (b"a*G!k=", b"hi"),
        (b"aGkxa", b"hi1"),
        (b"a", b""),
        (b"", b""),
        (b"\xff\x00", b""),
    ],
)
def test_base64_is_read_through_its_noise(data: bytes, content: bytes) -> None:
    assert decode_base64(data) == content


@pytest.mark.parametrize(
    "text", ["ü", "grün " * 40, "日本語" * 40, "a" * 200, "x\ud800y", "🦊" * 30, "", "a =?b?= c"]
)
def test_words_are_short_and_say_the_same(text: str) -> None:
    words = encode_words(text, used=30)
    assert all(len(word) <= 75 for word in words)
    assert len(words[0]) <= 45 or len(words) == 1
    assert decode_words(" ".join(words)) == text.replace("\ud800", "?")


@pytest.mark.parametrize("piece", ["=?", "=?a?q?", "=?a?q?b?= ", "=?a?b?w7w=?==?b?q?x?= ", "a=", "?="])
def test_hostile_words_are_read_once(piece: str, steps: Callable[[Callable[[int], object]], float]) -> None:
    assert steps(lambda size: decode_words(piece * size)) < 4
