from __future__ import annotations

from lbkit.metrics.names import COUNTER, HISTOGRAM, METRICS, code_class


def test_names_tell_the_unit_and_the_kind() -> None:
    for metric in METRICS.values():
        assert metric.name.startswith("lbkit_")
        assert metric.name.endswith("_total") == (metric.kind == COUNTER), metric.name
        assert metric.kind != HISTOGRAM or metric.name.endswith("_seconds")


def test_without_total_each_name_is_still_its_own() -> None:
    # OpenMetrics has the name of a counter without it, where a gauge of that name would be another metric
    listed = set(METRICS.values())
    assert len({metric.name.removesuffix("_total") for metric in listed}) == len(listed)


def test_statuses_have_classes() -> None:
    assert [code_class(status) for status in (0, 101, 204, 304, 429, 503)] == [
        "none",
        "1xx",
        "2xx",
        "3xx",
        "4xx",
        "5xx",
    ]
