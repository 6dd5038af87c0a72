# SPDX-License-Identifier: Apache-2.0
"""Evidence is JSON, says what it cut, and stays within its bound whatever it is given."""

from __future__ import annotations

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rejoinder.store.evidence import MAX_BYTES, Json, evidence

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=50),
    st.builds(lambda text: text * 3_000, st.text(min_size=1, max_size=10)),
)


def _many(value: Json) -> Json:
    return [value] * 100


def _named(value: Json) -> Json:
    return {f"key {number}": value for number in range(100)}


values: st.SearchStrategy[Json] = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.text(max_size=20), inner, max_size=5),
        st.builds(_many, scalars),
        st.builds(_named, scalars),
    ),
    max_leaves=5,
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "transcript", "reason"]), values))
@example({"a": {"x" * 30_000: 1}})
@example({"a": {str(number): number for number in range(5_000)}})
@example({"a": [[number] for number in range(5_000)]})
@example({"a": "\ud800" * 10_000, "b": "ü" * 20_000})
def test_any_json_is_kept_within_the_bound_under_all_its_names(given_values: dict[str, Json]) -> None:
    text = evidence(**given_values)
    assert len(text.encode()) <= MAX_BYTES
    assert set(json.loads(text)) == {key for key, value in given_values.items() if value is not None}


def test_what_fits_is_kept_as_it_is() -> None:
    kept = {"a": [1, 2.5, True, None, {"b": "ü"}], "c": "x" * 16_000}
    assert json.loads(evidence(**kept)) == kept
    assert evidence(a=1, b=None) == '{"a":1}'


def test_what_was_cut_says_so_and_only_the_long_is_cut() -> None:
    kept = json.loads(evidence(short="all of it", long="y" * 50_000, lines=[f"S: {n}" for n in range(9_000)]))
    assert kept["short"] == "all of it"
    assert kept["long"].startswith("yyy")
    assert kept["long"].endswith(" […]")
    assert kept["lines"][0] == "S: 0"
    assert kept["lines"][-1] == " […]"


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    assert json.loads(evidence(a="\ud800x")) == {"a": "?x"}
