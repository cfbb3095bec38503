"""Dashboards for Grafana, made of the panels, in its classic JSON model (grafana.com/docs/grafana/latest).

Grafana chooses the windows of rates by its own variable, so that they fit the time that is shown, and a
variable `backend` chooses among the backends. Firing alerts are marked in all panels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from lbkit.metrics.names import UP, metric_of
from lbkit.metrics.panels import (
    BYTES,
    BYTES_PER_SECOND,
    COUNT,
    PANELS,
    PER_SECOND,
    SECONDS,
    SHARE,
    Line,
    Panel,
)

SOURCE = {"type": "prometheus", "uid": "lbkit"}  # as the provisioned data source has it
SCHEMA = 39  # of the classic model, Grafana 11
WIDTH, HEIGHT, COLUMNS = 12, 8, 2  # Grafana's grid is 24 wide
UNITS = {
    PER_SECOND: "cps",
    SECONDS: "s",
    SHARE: "percentunit",
    BYTES: "bytes",
    BYTES_PER_SECOND: "binBps",
    COUNT: "short",
}
RANGE = re.compile(r"\[[0-9a-z]+\]")
SELECTOR = re.compile(r"\b(lbkit_\w+)(?:{(.*?)})?")
CHOSEN = 'backend=~"$backend"'


def dashboards(panels: Sequence[Panel] = PANELS) -> dict[str, dict[str, Any]]:
    """Return a dashboard for each group of panels, by a short name: {"red": ..., "use": ...}."""
    groups: dict[str, list[Panel]] = {}
    for panel in panels:
        groups.setdefault(panel.group, []).append(panel)
    return {short(group): dashboard(group, of) for group, of in groups.items()}


def dashboard(title: str, panels: Sequence[Panel]) -> dict[str, Any]:
    """Return one dashboard, two panels in a row."""
    return {
        "uid": f"lbkit-{short(title)}",
        "title": f"lbkit: {title}",
        "tags": ["lbkit"],
        "schemaVersion": SCHEMA,
        "editable": False,
        "graphTooltip": 1,  # one crosshair in all panels
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_variable()]},
        "annotations": {"list": [_alerts()]},
        "links": [{"type": "dashboards", "tags": ["lbkit"], "title": "lbkit", "asDropdown": False}],
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }


def short(group: str) -> str:
    """Return what is in the brackets of a group's name: "red" of "Requests (RED)"."""
    found = re.search(r"\((\w+)\)", group)
    return (found[1] if found else group).lower()


def expression(line: Line) -> str:
    """Return the PromQL of a line with Grafana's variables in it."""
    return SELECTOR.sub(_with_backend, RANGE.sub("[$__rate_interval]", line.query.promql()))


def text(model: dict[str, Any]) -> str:
    """Return the file of a dashboard."""
    return json.dumps(model, indent=1, ensure_ascii=False) + "\n"


def _with_backend(found: re.Match[str]) -> str:
    name, said = found.groups()
    matchers = [said] if said else []
    if "backend" in metric_of(name).labels:
        matchers.append(CHOSEN)
    return f"{name}{{{', '.join(matchers)}}}" if matchers else name


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, COLUMNS)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.help,
        "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": UNITS[panel.unit], "min": 0}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": list(_targets(panel)),
    }


def _targets(panel: Panel) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(panel.lines):
        yield {
            "refId": chr(ord("A") + number),
            "datasource": SOURCE,
            "expr": expression(line),
            "legendFormat": line.legend,
            "range": True,
        }


def _variable() -> dict[str, Any]:
    """The backends that there are; all of them also means the requests that reached none."""
    query = f"label_values({UP.name}, backend)"
    return {
        "name": "backend",
        "label": "Backend",
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": "backend"},
        "definition": query,
        "refresh": 2,  # when the time range changes
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _alerts() -> dict[str, Any]:
    expr = 'ALERTS{alertstate="firing"}'  # a series that Prometheus writes for each rule
    return {
        "name": "Alerts",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": expr,
        "target": {"refId": "alerts", "expr": expr},
        "titleFormat": "{{alertname}}",
        "textFormat": "{{backend}}",
        "tagKeys": "severity",
    }
