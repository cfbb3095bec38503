"""Panels; that Prometheus reads each line is tested by putting it into a rule file."""

from __future__ import annotations

from math import isnan
from pathlib import Path

import pytest
from alerts.incidents import BAD_UNTIL, store_of
from alerts.test_promtool import promtool

from lbkit.alerts import Condition, Rule, rule_file
from lbkit.metrics import PANELS, Line, Panel, Store, Sum, Value, panels
from lbkit.metrics.names import HISTOGRAM, OF_BACKENDS, OF_RUNS, OF_THE_PROXY, metric_of
from lbkit.metrics.panels import GROUPS, UNITS
from lbkit.metrics.store import labels

BY_TITLE = {panel.title: panel for panel in PANELS}
LINES = [line for panel in PANELS for line in panel.lines]


def of_runs(line: Line) -> bool:
    return all(metric_of(name) in OF_RUNS for name in line.query.series)


def test_titles_are_unique_and_units_and_groups_are_known() -> None:
    assert len(BY_TITLE) == len(PANELS)
    assert {panel.unit for panel in PANELS} == set(UNITS)
    assert tuple(dict.fromkeys(panel.group for panel in PANELS)) == GROUPS
    assert all(panel.help.endswith(".") and panel.lines for panel in PANELS)


def test_each_line_asks_for_known_metrics_only() -> None:
    asked = {metric_of(name) for line in LINES for name in line.query.series}
    assert asked <= {*OF_RUNS, *OF_BACKENDS, *OF_THE_PROXY}
    assert set(OF_RUNS) <= asked


def test_only_histograms_have_series_with_other_names() -> None:
    for line in LINES:
        for name in line.query.series:
            assert (metric_of(name).name != name) == (metric_of(name).kind == HISTOGRAM)
    with pytest.raises(KeyError):
        metric_of("lbkit_nothing_sum")


def test_prometheus_reads_every_line(tmp_path: Path) -> None:
    rules = [Rule(f"Line{n}", (Condition(line.query, ">", 0),)) for n, line in enumerate(LINES)]
    (tmp_path / "rules.yml").write_text(rule_file(rules))
    assert f"{len(LINES)} rules found" in promtool("check", "rules", tmp_path / "rules.yml")


def test_a_run_has_a_value_for_each_line_about_runs() -> None:
    store = store_of("a crash")
    for line in filter(of_runs, LINES):
        values = line.at(store, BAD_UNTIL - 20)
        assert any(not isnan(value) for value in values.values()), line
    assert {panel.group for panel in PANELS if panel.at(store, 100)} == set(GROUPS)


def test_what_a_store_lacks_has_no_value() -> None:
    assert BY_TITLE["Memory"].at(store_of("quiet"), 100) == {}
    assert BY_TITLE["Latency"].at(Store([0.0]), 0) == {}


def test_the_panels_show_an_incident() -> None:
    store = store_of("a crash")
    up = BY_TITLE["Up"]
    assert up.at(store, 100) == {"s1": 1, "s2": 1, "s3": 1, "s4": 1}
    assert up.at(store, BAD_UNTIL - 20) == {"s1": 0, "s2": 1, "s3": 1, "s4": 1}
    rates = BY_TITLE["Requests by backend"].at(store, BAD_UNTIL)
    assert rates["s1"] < rates["s2"] / 2


def test_quantiles_are_in_order_and_named() -> None:
    values = BY_TITLE["Latency"].at(store_of("slow"), 300)
    assert list(values) == ["p50", "p95", "p99"]
    assert 0 < values["p50"] <= values["p95"] <= values["p99"]


def test_the_window_is_that_of_all_rates() -> None:
    texts = [line.query.promql() for panel in panels(20) for line in panel.lines]
    assert not [text for text in texts if "[1m]" in text]
    assert sum("[20s]" in text for text in texts) > len(texts) / 2
    with pytest.raises(ValueError, match="window"):
        panels(0)


def test_a_legend_has_the_values_of_labels() -> None:
    store = Store([0.0])
    store.add("depth", labels(queue="a", shard="1"), [5])
    line = Line(Sum(Value("depth"), ("queue", "shard")), "{{queue}} of {{ shard }}")
    assert line.at(store, 0) == {"a of 1": 5}
    assert Panel("Depth", "count", (line,), GROUPS[0], "").at(store, 0) == {"a of 1": 5}
