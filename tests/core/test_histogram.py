"""Histograms of durations."""

from __future__ import annotations

from collections import Counter
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.histogram import BUCKETS, FULL, Histogram, between, bucket, cumulative, middle, quantile

DURATIONS = st.floats(0, 60_000)
SAMPLES = st.lists(st.floats(0, 1000), min_size=1, max_size=50)


@given(DURATIONS)
def test_the_middle_of_its_bucket_is_close_to_a_duration(seconds: float) -> None:
    assert abs(middle(bucket(seconds)) - seconds) <= seconds / 32 + 1e-6


@given(DURATIONS, DURATIONS)
def test_longer_durations_have_higher_buckets(one: float, two: float) -> None:
    assert (bucket(one) <= bucket(two)) or one > two


@given(st.floats(-1e9, 1e300))
def test_there_are_only_so_many_buckets(seconds: float) -> None:
    assert 0 <= bucket(seconds) - bucket(0.0) < BUCKETS < 600


@given(SAMPLES, st.floats(0, 1))
def test_a_quantile_is_that_of_the_samples(samples: list[float], share: float) -> None:
    exact = sorted(samples)[max(1, ceil(share * len(samples))) - 1]
    found = quantile(Counter(map(bucket, samples)), share)
    assert found is not None
    assert abs(found - exact) <= exact / 32 + 1e-6


def test_without_samples_there_is_no_quantile() -> None:
    assert quantile({}, 0.5) is None


@given(SAMPLES, SAMPLES)
def test_what_came_between_two_moments(before: list[float], later: list[float]) -> None:
    old = Counter(map(bucket, before))
    assert between(old, old + Counter(map(bucket, later))) == Counter(map(bucket, later))


@given(st.lists(DURATIONS, max_size=3 * FULL), st.integers(1, FULL))
def test_a_histogram_counts_each_duration_in_its_bucket(samples: list[float], every: int) -> None:
    histogram = Histogram()
    for i, seconds in enumerate(samples):
        histogram.add(seconds)
        if i % every == 0:
            assert sum(histogram.counts.values()) == i + 1  # seen in the middle, none is lost
    assert histogram.counts == Counter(map(bucket, samples))
    assert abs(histogram.micros - 1e6 * sum(samples)) <= len(samples) + 1e-9 * sum(samples)


@given(SAMPLES, st.lists(st.floats(1e-3, 1000), min_size=1).map(sorted))
def test_how_many_are_at_or_below_a_bound(samples: list[float], bounds: list[float]) -> None:
    found = cumulative(Counter(map(bucket, samples)), bounds)
    for bound, count in zip(bounds, found, strict=True):
        slack = bound / 16 + 1e-6
        assert sum(s < bound - slack for s in samples) <= count <= sum(s <= bound + slack for s in samples)
