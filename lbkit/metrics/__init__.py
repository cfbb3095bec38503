"""Metrics under one set of names, whoever measures them: the proxy, or a run of any engine.

`METRICS` is the list; `metrics_of(result)` is what a Prometheus would have scraped during the run, and the
queries (`Rate`, `Quantile`, ...) ask it as PromQL would.
"""

from lbkit.metrics.names import BOUNDS, METRICS, Metric
from lbkit.metrics.of_result import metrics_of
from lbkit.metrics.query import Quantile, Query, Rate, Ratio, Sum, Value
from lbkit.metrics.store import Labels, Store

__all__ = [
    "BOUNDS",
    "METRICS",
    "Labels",
    "Metric",
    "Quantile",
    "Query",
    "Rate",
    "Ratio",
    "Store",
    "Sum",
    "Value",
    "metrics_of",
]
