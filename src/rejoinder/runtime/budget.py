# SPDX-License-Identifier: Apache-2.0
"""Answers that are allowed and not yet committed, so that mails at once cannot each use the last of a budget.

The store counts what is committed; this counts what stands before one's own answer in this process. An
answer takes its place before it asks the store and leaves it when it is committed or discarded; in between
it may be counted in both, which can only refuse too early, never allow too much.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count


class Places:
    """For each key, who has a place, in the order in which they took it."""

    def __init__(self) -> None:
        self._numbers: Iterator[int] = count()
        self._taken: dict[str, list[int]] = {}

    def take(self, keys: tuple[str, ...]) -> Place:
        """Take a place under each key."""
        place = Place(self, keys, next(self._numbers))
        for key in keys:
            self._taken.setdefault(key, []).append(place.number)
        return place

    def before(self, key: str, number: int) -> int:
        """How many took their place under this key earlier and still have it."""
        return sum(each < number for each in self._taken.get(key, ()))

    def leave(self, keys: tuple[str, ...], number: int) -> None:
        """Give the places back; once is enough."""
        for key in keys:
            taken = self._taken.get(key, [])
            if number in taken:
                taken.remove(number)
            if not taken:
                self._taken.pop(key, None)


class Place:
    """What one answer holds."""

    def __init__(self, places: Places, keys: tuple[str, ...], number: int) -> None:
        self._places = places
        self._keys = keys
        self.number = number

    def before(self) -> tuple[int, ...]:
        """For each key, how many are before this one."""
        return tuple(self._places.before(key, self.number) for key in self._keys)

    def leave(self) -> None:
        """Give it back."""
        self._places.leave(self._keys, self.number)
