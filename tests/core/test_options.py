from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.options import named_fields, option_faults
from lbkit.core.text import did_you_mean, unknown


@named_fields
@dataclass
class Point:
    across: float = 0
    up: float = 0


def test_an_unknown_keyword_names_the_likely_field() -> None:
    with pytest.raises(
        TypeError, match=r"^Point: unknown field acros; known are across, up; did you mean across\?$"
    ):
        Point(acros=1)


def test_other_calls_are_as_before() -> None:
    assert Point(1, up=2) == Point(across=1, up=2)
    with pytest.raises(TypeError, match="positional"):
        Point(1, 2, 3)


def test_nothing_is_suggested_for_a_name_like_no_other() -> None:
    assert unknown("zzz", ["across", "up"]) == "unknown zzz; known are across, up"
    assert unknown("zzz", [], "option") == "unknown option zzz; there are none"


@pytest.mark.parametrize("name", [None, 5, ["up"], "", {}])
def test_what_is_no_name_is_unknown_too(name: object) -> None:
    assert unknown(name, ["across", "up"]) == f"unknown {name!r}; known are across, up"


class Listed:
    def __init__(self, order: Sequence[str] = (), share: float | None = None) -> None: ...


def test_a_list_of_texts_is_not_taken_for_a_text() -> None:
    assert list(option_faults(Listed, {"order": ["a"], "share": None})) == []
    assert list(option_faults(Listed, {"share": "x"})) == ["share is 'x': use a number"]


@given(st.sets(st.text("abcdefgh_", min_size=3, max_size=12), min_size=1))
def test_a_name_with_one_letter_more_is_recognised(names: set[str]) -> None:
    for name in names:
        assert did_you_mean(name + "s", [name]) == f"; did you mean {name}?"
