"""Grafana's dashboards. Grafana itself is not run: fields are compared with its documented classic model, and
Prometheus' own tool reads every expression."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from alerts.test_promtool import promtool

from lbkit.metrics import PANELS
from lbkit.metrics.grafana import SOURCE, UNITS, dashboards, expression, short, text
from lbkit.metrics.panels import GROUPS
from lbkit.metrics.panels import UNITS as UNITS_OF_PANELS

MODELS = dashboards()
PANELS_OF = [(name, panel) for name, model in MODELS.items() for panel in model["panels"]]
VARIABLES = {"$__rate_interval": "20s", "$backend": "s1|s2"}  # values that Grafana fills in


def filled_in(expr: str) -> str:
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    return expr


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return all(
        one[at] < other[at] + other[size] and other[at] < one[at] + one[size] for at, size in ("xw", "yh")
    )


def test_there_is_a_dashboard_for_each_group_with_all_its_panels() -> None:
    assert list(MODELS) == [short(group) for group in GROUPS] == ["red", "use"]
    assert [panel["title"] for _, panel in PANELS_OF] == [panel.title for panel in PANELS]
    assert set(UNITS) == set(UNITS_OF_PANELS)


@pytest.mark.parametrize("name", MODELS)
def test_a_dashboard_has_the_fields_of_the_classic_model(name: str) -> None:
    model = MODELS[name]
    assert re.fullmatch(r"[a-zA-Z0-9_-]{8,40}", model["uid"])
    assert model["graphTooltip"] in (0, 1, 2)
    assert re.fullmatch(r"\d+[smh]", model["refresh"])
    assert model["time"].keys() == {"from", "to"}
    assert "id" not in model  # Grafana's own number
    assert json.loads(text(model)) == model


@pytest.mark.parametrize("name", MODELS)
def test_panels_do_not_overlap_and_have_numbers_of_their_own(name: str) -> None:
    panels = MODELS[name]["panels"]
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    assert not any(overlap(one, other) for one, other in combinations(places, 2))
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.parametrize(("name", "panel"), PANELS_OF)
def test_every_line_of_a_panel_asks_the_provisioned_source(name: str, panel: dict[str, Any]) -> None:
    assert panel["type"] == "timeseries"
    assert panel["datasource"] == SOURCE
    letters = [target["refId"] for target in panel["targets"]]
    assert letters == sorted(set(letters))
    for target in panel["targets"]:
        assert target["datasource"] == SOURCE
        assert "[" not in target["expr"].replace("[$__rate_interval]", "")


def test_backends_are_chosen_where_a_metric_has_them() -> None:
    by_title = {panel.title: [expression(line) for line in panel.lines] for panel in PANELS}
    assert by_title["Memory"] == ["sum(lbkit_memory_bytes)"]
    assert by_title["Errors"] == [
        'sum(rate(lbkit_requests_total{code=~"5xx|none", backend=~"$backend"}[$__rate_interval]))'
        ' / sum(rate(lbkit_requests_total{backend=~"$backend"}[$__rate_interval]))'
    ]


def test_prometheus_reads_every_expression(tmp_path: Path) -> None:
    asked = [target["expr"] for _, panel in PANELS_OF for target in panel["targets"]]
    asked += [found["expr"] for model in MODELS.values() for found in model["annotations"]["list"]]
    rules = [{"record": f"line:{n}", "expr": filled_in(expr)} for n, expr in enumerate(asked)]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "lines", "rules": rules}]}))  # JSON is YAML
    assert f"{len(asked)} rules found" in promtool("check", "rules", file)


@pytest.mark.parametrize("name", MODELS)
def test_the_variable_takes_all_backends_and_requests_without_one(name: str) -> None:
    (variable,) = MODELS[name]["templating"]["list"]
    assert (variable["type"], variable["name"], variable["datasource"]) == ("query", "backend", SOURCE)
    assert variable["query"]["query"] == "label_values(lbkit_backend_up, backend)"
    assert re.fullmatch(variable["allValue"], "none")
    (alerts,) = MODELS[name]["annotations"]["list"]
    assert (alerts["enable"], alerts["datasource"]) == (True, SOURCE)
