from __future__ import annotations

from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.metrics import Rate, Store, Value
from lbkit.metrics.rolling import Rolling
from lbkit.metrics.store import labels

A, B = labels(backend="a"), labels(backend="b")
COUNTS = st.lists(st.integers(0, 50), min_size=2, max_size=60)


@given(COUNTS, st.integers(2, 20), st.floats(1, 15))
def test_a_rate_over_what_is_kept_is_that_of_a_store_with_all(
    counts: list[int], keep: int, window: float
) -> None:
    whole = Store([float(i) for i in range(len(counts))])
    whole.add("x_total", A, counts)
    rolling = Rolling(keep)
    for at, count in enumerate(counts):
        rolling.scrape(at, {"x_total": {A: count}})
    rate = Rate("x_total", min(window, keep))
    end = len(counts) - 1.0
    assert rate.at(rolling, end) == pytest.approx(rate.at(whole, end))


def test_what_is_kept_is_bounded() -> None:
    rolling = Rolling(keep=10)
    for at in range(1000):
        rolling.scrape(at, {"x_total": {A: at}, "y": {A: at}})
        assert len(rolling.times) <= 14
    assert {len(series) for _, _, series in rolling} == {len(rolling.times)}
    assert rolling.times[-1] - rolling.times[0] >= 10


def test_a_counter_that_comes_later_began_at_0_and_a_gauge_had_no_value() -> None:
    rolling = Rolling(keep=10)
    rolling.scrape(0, {"x_total": {A: 5}, "y": {A: 5}})
    rolling.scrape(1, {"x_total": {A: 6, B: 3}, "y": {A: 6, B: 3}})
    grown = {of: rolling.grown("x_total", of)[-1] for of in (A, B)}
    assert grown == {A: 1, B: 3}
    assert isnan(Value("y").at(rolling, 0)[B])


def test_a_counter_that_is_missing_has_not_grown_and_a_gauge_has_no_value() -> None:
    rolling = Rolling(keep=10)
    rolling.scrape(0, {"x_total": {A: 5}, "y": {A: 5}})
    rolling.scrape(1, {})
    assert Value("x_total").at(rolling, 1)[A] == 5
    assert rolling.grown("x_total", A)[-1] == 0
    assert isnan(Value("y").at(rolling, 1)[A])


def test_scrapes_come_in_order() -> None:
    rolling = Rolling(keep=10)
    rolling.scrape(1, {})
    with pytest.raises(ValueError, match="at is 1: scrapes come in order"):
        rolling.scrape(1, {})
    with pytest.raises(ValueError, match="keep"):
        Rolling(0)
