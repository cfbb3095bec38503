"""Metrics under one set of names, measured by the proxy or in a run of any engine.

`METRICS` is the list; `metrics_of(result)` is what a Prometheus would have scraped during the run, and the
queries (`Rate`, `Quantile`, ...) ask it as PromQL would. `PANELS` are the questions of a dashboard.
"""

from lbkit.metrics.exposed import read_exposition
from lbkit.metrics.joined import joined
from lbkit.metrics.names import BOUNDS, METRICS, Metric
from lbkit.metrics.of_result import metrics_of
from lbkit.metrics.panels import PANELS, Line, Panel, panels
from lbkit.metrics.query import Quantile, Query, Rate, Ratio, Sum, Value
from lbkit.metrics.rolling import Rolling
from lbkit.metrics.store import Labels, Store

__all__ = [
    "BOUNDS",
    "METRICS",
    "PANELS",
    "Labels",
    "Line",
    "Metric",
    "Panel",
    "Quantile",
    "Query",
    "Rate",
    "Ratio",
    "Rolling",
    "Store",
    "Sum",
    "Value",
    "joined",
    "metrics_of",
    "panels",
    "read_exposition",
]
