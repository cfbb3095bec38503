from __future__ import annotations

import pytest

from lbkit.core.geo import Internet, sessions_broken

# Two providers of the first tier; a and b are sites, the others clients.
INTERNET = Internet(
    {"a": ["north"], "x": ["north"], "y": ["north"], "b": ["south"], "z": ["south"]}, [("north", "south")]
)
SESSIONS = {"x": 10.0, "y": 20.0, "z": 40.0}


def test_a_withdrawal_breaks_the_sessions_of_its_catchment() -> None:
    assert sessions_broken(INTERNET, [["a", "b"], ["b"]], SESSIONS) == [30]
    assert sessions_broken(INTERNET, [["a", "b"], ["a"]], SESSIONS) == [40]


def test_each_flap_breaks_them_twice() -> None:
    flapping = [["a", "b"], ["b"], ["a", "b"], ["b"], ["a", "b"]]
    assert sessions_broken(INTERNET, flapping, SESSIONS) == [30] * 4


def test_no_change_breaks_nothing() -> None:
    assert sessions_broken(INTERNET, [["a"], ["a"], ["a", "b"]], {"x": 5}) == [0, 0]
    assert sessions_broken(INTERNET, [], {}) == []


def test_faults() -> None:
    with pytest.raises(ValueError, match="sessions: unknown network q"):
        sessions_broken(INTERNET, [["a"]], {"q": 1})
    with pytest.raises(ValueError, match="unknown network q"):
        sessions_broken(INTERNET, [["q"]], {})


def test_numbers_of_sessions_are_checked() -> None:
    with pytest.raises(ValueError, match="sessions is 5: use a table by name"):
        sessions_broken(INTERNET, [], 5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sessions of a is nan"):
        sessions_broken(INTERNET, [], {"a": float("nan")})
