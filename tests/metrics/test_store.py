from __future__ import annotations

from array import array
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.metrics.store import Store, compact, labels, without_restarts


def store() -> Store:
    made = Store([0, 5, 10, 15])
    made.add("served_total", labels(backend="a", code="2xx"), [0, 10, 3, 4])
    made.add("served_total", labels(backend="b", code="5xx"), [0, 1, 1, 2])
    return made


def test_series_are_selected_by_labels() -> None:
    def found(**wanted: str | tuple[str, ...]) -> list[str]:
        return [dict(of)["backend"] for of, _ in store().select("served_total", wanted)]

    assert found() == ["a", "b"]
    assert found(code="5xx") == ["b"]
    assert found(code=("2xx", "5xx")) == ["a", "b"]
    assert found(zone="west") == []


def test_a_counter_that_shrinks_began_anew() -> None:
    grown = store().grown("served_total", labels(backend="a", code="2xx"))
    assert list(grown) == [0, 10, 13, 14]


def test_a_window_has_both_its_ends() -> None:
    assert list(store().within(15, 10)) == [1, 2, 3]
    assert list(store().within(14, 8)) == [2]
    assert list(store().within(-1, 10)) == []


def test_a_value_stands_for_five_minutes() -> None:
    assert store().last(16) == 3
    assert store().last(14.9) == 2
    assert store().last(15 + 300) is None
    assert store().last(-1) is None


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="times have to grow"):
        Store([0, 5, 5])
    with pytest.raises(ValueError, match="values are 1: up needs one for each of 4 scrapes"):
        store().add("up", labels(), [1])
    with pytest.raises(KeyError, match="no metric 'up': there are served_total"):
        list(store().select("up", {}))


def test_whole_numbers_take_as_few_bytes_as_their_largest() -> None:
    def bytes_of(*values: float) -> int:
        return compact(values).itemsize

    assert bytes_of(0, 1, 255) == 1
    assert bytes_of(0, 256) == 2
    assert bytes_of(65536.0) == 4
    assert [bytes_of(*values) for values in [(2.0**32,), (0, 0.5), (-1,), (inf,), ()]] == [8] * 5


@given(st.lists(st.floats(allow_nan=False) | st.integers(-3, 2**33).map(float)))
def test_compact_values_are_the_same(values: list[float]) -> None:
    assert list(compact(values)) == values


@given(st.lists(st.integers(0, 300).map(float), min_size=1))
def test_a_counter_without_restarts_grows_as_before(values: list[float]) -> None:
    counter = without_restarts(array("d", values))
    for before, after, was, now in zip(values, values[1:], counter, counter[1:], strict=False):
        assert now - was == (after - before if after >= before else after)


def test_a_series_that_is_added_later_is_selected_too() -> None:
    made = store()
    assert len(list(made.select("served_total", {}))) == 2
    made.add("served_total", labels(backend="c"), [0, 1, 2, 3])
    assert len(list(made.select("served_total", {}))) == 3
    assert made.nbytes == 4 * 8 + 3 * 4
