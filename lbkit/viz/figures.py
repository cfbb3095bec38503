"""Figures of results: pure functions. Those of percentiles have the results' warnings below the axis."""

from lbkit.viz import latency
from lbkit.viz.alert_quality import alert_detection, alert_fatigue
from lbkit.viz.attempts import attempts
from lbkit.viz.backend_shares import shares
from lbkit.viz.bars import bars
from lbkit.viz.broken import noticed, time_by_layer
from lbkit.viz.capacity import capacity
from lbkit.viz.catchment import catchment
from lbkit.viz.curves import curves
from lbkit.viz.decision_table import decision_table
from lbkit.viz.detection import detection_curve, detection_times
from lbkit.viz.diagnosis import diagnosis
from lbkit.viz.doubts import warned
from lbkit.viz.drawing import figure, labelled
from lbkit.viz.game_day import game_day, where_it_hurts
from lbkit.viz.goodput import goodput
from lbkit.viz.latency import response_time_curve
from lbkit.viz.layers import by_server, sees
from lbkit.viz.machine import machine
from lbkit.viz.newcomer import newcomer
from lbkit.viz.over_time import backend_load, in_flight, latency_over_time, over_time
from lbkit.viz.rules import rules
from lbkit.viz.scorecard import scorecard
from lbkit.viz.spread import spread
from lbkit.viz.states import states
from lbkit.viz.waterfall import waterfall
from lbkit.viz.world import world

latency_cdf = warned(latency.latency_cdf)
percentiles = warned(latency.percentiles)

__all__ = [
    "alert_detection",
    "alert_fatigue",
    "attempts",
    "backend_load",
    "bars",
    "by_server",
    "capacity",
    "catchment",
    "curves",
    "decision_table",
    "detection_curve",
    "detection_times",
    "diagnosis",
    "figure",
    "game_day",
    "goodput",
    "in_flight",
    "labelled",
    "latency_cdf",
    "latency_over_time",
    "machine",
    "newcomer",
    "noticed",
    "over_time",
    "percentiles",
    "response_time_curve",
    "rules",
    "scorecard",
    "sees",
    "shares",
    "spread",
    "states",
    "time_by_layer",
    "waterfall",
    "where_it_hurts",
    "world",
]
