"""Queries; that Prometheus answers the same is in tests/alerts/test_promtool.py."""

from __future__ import annotations

from math import inf, isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.metrics import Quantile, Query, Rate, Ratio, Store, Sum, Value
from lbkit.metrics.query import lasting, quantile
from lbkit.metrics.store import labels

EVERY = 5.0


def counters(*series: list[float]) -> Store:
    store = Store([i * EVERY for i in range(len(series[0]))])
    for name, values in zip("abc", series, strict=False):
        store.add("served_total", labels(backend=name), values)
    return store


def only(query: Query, store: Store, at: float) -> float:
    (value,) = query.at(store, at).values()
    return value


def test_the_rate_of_a_steady_counter_is_its_rate() -> None:
    store = counters([i * 50.0 for i in range(13)])
    assert only(Rate("served_total", 30), store, 60) == pytest.approx(10)
    assert only(Rate("served_total", 30), store, 58) == pytest.approx(10)


def test_a_rate_needs_two_scrapes() -> None:
    store = counters([0.0, 50.0, 100.0])
    assert Rate("served_total", 4).at(store, 10) == {}
    assert Rate("served_total", 30).at(store, 0) == {}
    assert only(Rate("served_total", 5), store, 10) == 10


def test_a_rate_goes_over_a_restart() -> None:
    store = counters([1000.0, 1050.0, 10.0, 60.0])
    assert only(Rate("served_total", 15), store, 15) == pytest.approx((50 + 10 + 50) / 15)


def test_a_counter_that_began_within_the_window_was_not_below_zero() -> None:
    store = counters([0.0, 0.0, 0.0, 1.0])
    assert only(Rate("served_total", 60), store, 15) == pytest.approx(1 / 60)


@given(st.lists(st.integers(0, 1000), min_size=3, max_size=40), st.integers(2, 12))
def test_a_rate_over_full_windows_counts_what_came(steps: list[int], scrapes: int) -> None:
    total, values = 0, []
    for step in steps:
        total += step
        values.append(float(total))
    store = counters(values)
    scrapes = min(scrapes, len(values) - 1)
    window, at = scrapes * EVERY, (len(values) - 1) * EVERY
    came = values[-1] - values[-1 - scrapes]
    assert only(Rate("served_total", window), store, at) == pytest.approx(came / window)


def test_sums_are_over_all_or_by_labels() -> None:
    store = counters([0.0, 50.0], [0.0, 100.0])
    rates = Rate("served_total", 5)
    assert Sum(rates).at(store, 5) == {(): 30}
    assert Sum(rates, ("backend",)).at(store, 5) == rates.at(store, 5)


def test_a_ratio_is_of_values_with_the_same_labels() -> None:
    store = counters([0.0, 50.0], [0.0, 150.0])
    one, both = Sum(Rate("served_total", 5, {"backend": "a"})), Sum(Rate("served_total", 5))
    assert Ratio(one, both).at(store, 5) == {(): 0.25}
    assert Ratio(Rate("served_total", 5), both).at(store, 5) == {}
    quiet = counters([7.0, 7.0])
    assert isnan(only(Ratio(Sum(Rate("served_total", 5)), Sum(Rate("served_total", 5))), quiet, 5))
    assert only(Ratio(Value("served_total"), Rate("served_total", 5)), quiet, 5) == inf


def test_a_quantile_lies_on_a_line_within_its_bucket() -> None:
    cumulative = {0.1: 50.0, 0.2: 90.0, 0.5: 100.0, inf: 100.0}
    assert quantile(0.5, cumulative) == pytest.approx(0.1)
    assert quantile(0.7, cumulative) == pytest.approx(0.15)
    assert quantile(0.95, cumulative) == pytest.approx(0.35)
    assert quantile(0.25, cumulative) == pytest.approx(0.05)


def test_a_quantile_above_all_bounds_is_the_last_one() -> None:
    assert quantile(0.9, {0.1: 10.0, inf: 100.0}) == 0.1
    assert isnan(quantile(0.9, {0.1: 0.0, inf: 0.0}))


def test_quantiles_are_by_labels() -> None:
    store = Store([0, 5])
    for backend, slow in (("a", 0.0), ("b", 100.0)):
        for le, count in (("0.1", 100 - slow), ("1", 100.0), ("+Inf", 100.0)):
            store.add("took_seconds_bucket", labels(backend=backend, le=le), [0.0, count])
    found = Quantile(0.5, "took_seconds", 5, ("backend",)).at(store, 5)
    assert found == {labels(backend="a"): pytest.approx(0.05), labels(backend="b"): pytest.approx(0.55)}
    assert only(Quantile(0.5, "took_seconds", 5), store, 5) == pytest.approx(0.1)


def test_each_query_has_its_promql() -> None:
    failed = Sum(Rate("served_total", 300, {"code": ("5xx", "none")}), ("backend",))
    share = Ratio(failed, Sum(Rate("served_total", 300), ("backend",)))
    assert share.promql() == (
        'sum by (backend) (rate(served_total{code=~"5xx|none"}[5m]))'
        " / sum by (backend) (rate(served_total[5m]))"
    )
    assert Value("up", {"backend": "a"}).promql() == 'up{backend="a"}'
    took = Quantile(0.99, "took_seconds", 90)
    assert took.promql() == "histogram_quantile(0.99, sum by (le) (rate(took_seconds_bucket[90s])))"


@pytest.mark.parametrize(
    ("seconds", "said"), [(7200, "2h"), (300, "5m"), (90, "90s"), (0.25, "250ms"), (0, "0s")]
)
def test_durations_are_written_as_prometheus_does(seconds: float, said: str) -> None:
    assert lasting(seconds) == said


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match="window is 0"):
        Rate("served_total", 0)
    with pytest.raises(ValueError, match=r"share is 1\.5"):
        Quantile(1.5, "took_seconds", 60)
