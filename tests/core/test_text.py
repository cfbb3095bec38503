from __future__ import annotations

from lbkit.core.text import brief


def test_of_a_long_sequence_the_ends_are_shown() -> None:
    assert brief((1, 2)) == "(1, 2)"
    assert brief(range(100_000)) == "(0, 1, ..., 99999: 100,000 in all)"
