from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.options import named_fields
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


@given(st.sets(st.text("abcdefgh_", min_size=3, max_size=12), min_size=1))
def test_a_name_with_one_letter_more_is_recognised(names: set[str]) -> None:
    for name in names:
        assert did_you_mean(name + "s", [name]) == f"; did you mean {name}?"
