# SPDX-License-Identifier: Apache-2.0
"""Lines of tables and keys, over everything that TOML allows around them."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.config.locate import Place, line_at, lines_of

TEXT = '''\
# a comment with [brackets] and = signs
top = 1
[store]
data_dir = "data"   # [not.a.table]
text = """
[neither]
this = 1
"""
literal = \'\'\'
[nor]
this\'\'\'
list = [
  "a]", # ]
  { x = "}" },
]
after = true

[[worker]]
name = "a"
[[worker]]
name = "b"
[worker.env]
KEY = "c"
[ "quoted table" . 'x' ]
"odd key" = 1
a . b = 2
[[ingress.listen]]
address = "x"
'''

PLACES: list[tuple[Place, int]] = [
    (("top",), 2),
    (("store",), 3),
    (("store", "data_dir"), 4),
    (("store", "text"), 5),
    (("store", "literal"), 9),
    (("store", "list"), 12),
    # After values over several lines the count is still right.
    (("store", "after"), 16),
    (("worker", 0), 18),
    (("worker", 0, "name"), 19),
    (("worker", 1, "name"), 21),
    # A table after an array of tables belongs to its last element (TOML 1.0, "Array of Tables").
    (("worker", 1, "env"), 22),
    (("worker", 1, "env", "KEY"), 23),
    (("quoted table", "x", "odd key"), 25),
    (("quoted table", "x", "a", "b"), 26),
    (("ingress", "listen", 0, "address"), 28),
]


@pytest.mark.parametrize(("place", "line"), PLACES)
def test_each_place_has_its_line(place: Place, line: int) -> None:
    tomllib.loads(TEXT)
    assert lines_of(TEXT)[place] == line


def test_text_inside_strings_is_no_table() -> None:
    assert not {"neither", "nor", "not"} & {place[0] for place in lines_of(TEXT)}


@pytest.mark.parametrize(
    ("place", "line"),
    [
        # Inside an array or an inline table the key's line is the nearest.
        (("store", "list", 1, "x"), 12),
        # A missing key is reported at the header of its table.
        (("worker", 1, "file"), 20),
        (("outbound", "relay"), None),
    ],
)
def test_what_is_not_written_has_the_line_of_what_is_around_it(place: Place, line: int | None) -> None:
    assert line_at(lines_of(TEXT), place) == line


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_line_ends_do_not_matter(line_end: str) -> None:
    text = line_end.join(["[a]", "", "b = 1", "c = 2"])
    assert lines_of(text) == {("a",): 1, ("a", "b"): 3, ("a", "c"): 4}


KEYS = st.from_regex(r"[a-z]{1,5}", fullmatch=True)
VALUES = st.sampled_from(
    ["1", '"x"', '"[#]"', "'\"'", "[1, 2]", "[\n 1,\n]", '"""\n[a]\n"""', "{ a = 1 }", '"\\"["', "'''\n\n'''"]
)


@given(
    st.lists(st.tuples(KEYS, VALUES, st.sampled_from(["", " # [c]", "\n\n"])), unique_by=lambda row: row[0])
)
def test_every_key_of_any_text_is_found_on_its_line(rows: list[tuple[str, str, str]]) -> None:
    text, expected = "[t]\n", {}
    for key, value, tail in rows:
        expected["t", key] = text.count("\n") + 1
        text += f"{key} = {value}{tail}\n"
    tomllib.loads(text)
    found = lines_of(text)
    assert {place: found.get(place) for place in expected} == expected
