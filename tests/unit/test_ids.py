# SPDX-License-Identifier: Apache-2.0
"""Ids: their shape, their order, and that the same secret says the same."""

from __future__ import annotations

import os
import uuid

from hypothesis import given
from hypothesis import strategies as st

from rejoinder.ids import ALPHABET, Ids, buffered, crockford, derived, is_id

VALUES = st.integers(0, 2**128 - 1)


@given(VALUES)
def test_the_characters_are_the_number_in_base_32(value: int) -> None:
    text = crockford(value)
    assert len(text) == 26
    read = 0
    for character in text:
        read = read * 32 + ALPHABET.index(character)
    assert read == value


@given(VALUES, VALUES)
def test_ids_sort_as_their_numbers(one: int, other: int) -> None:
    assert (crockford(one) < crockford(other)) == (one < other)


@given(st.integers(0, (1 << 48) * 1000 - 1), st.binary(min_size=10, max_size=10))
def test_an_id_is_a_uuid_of_version_7_that_holds_its_millisecond(at: int, entropy: bytes) -> None:
    made = Ids(lambda size: entropy[:size]).new("email", at)
    assert is_id(made, "email")
    assert not is_id(made, "sent")
    number = 0
    for character in made.removeprefix("email_"):
        number = number * 32 + ALPHABET.index(character)
    found = uuid.UUID(int=number)
    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    assert number >> 80 == at // 1000


def test_what_is_no_id_is_none() -> None:
    made = Ids(os.urandom).new("sent", 1)
    for wrong in (
        "",
        "sent",
        "sent_",
        made[:-1],
        made + "0",
        made.upper(),
        "sent_8" + made[6:],
        made[:-1] + "u",
    ):
        assert not is_id(wrong, "sent")


def test_a_derived_token_depends_on_every_part_and_on_where_parts_end() -> None:
    tokens = {
        derived(b"s", "a", "b"),
        derived(b"t", "a", "b"),
        derived(b"s", "ab"),
        derived(b"s", "a", "c"),
    }
    assert len(tokens) == 4
    assert derived(b"s", "a", "b") in tokens


def test_buffered_randomness_gives_each_octet_once() -> None:
    taken = iter(range(256))
    asked: list[int] = []

    def source(size: int) -> bytes:
        asked.append(size)
        return bytes(next(taken) for _ in range(size))

    randomness = buffered(source, 16)
    given = [randomness(size) for size in (10, 5, 5, 20)]
    assert [len(each) for each in given] == [10, 5, 5, 20]
    assert len(set(b"".join(given))) == 40
    assert asked == [16, 16, 20]
