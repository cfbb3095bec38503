"""Figures of results. Pure functions, quick enough to be called while a slider is dragged.

Results have seconds; figures show latencies in milliseconds and time in seconds.
"""

from lbkit.viz.backend_shares import shares
from lbkit.viz.bars import bars
from lbkit.viz.drawing import figure, labelled
from lbkit.viz.latency import latency_cdf, percentiles, response_time_curve
from lbkit.viz.over_time import backend_load, in_flight, latency_over_time, over_time

__all__ = [
    "backend_load",
    "bars",
    "figure",
    "in_flight",
    "labelled",
    "latency_cdf",
    "latency_over_time",
    "over_time",
    "percentiles",
    "response_time_curve",
    "shares",
]
