"""Every figure that lbkit draws says in words what it shows, computed from its data."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from functools import cache
from inspect import get_annotations, isfunction
from typing import Any

import pytest
from needs import need_feature, need_module

need_module("plotly")
need_module("ipywidgets")

import plotly.graph_objects as go

import lbkit.viz
from lbkit import (
    Constant,
    Event,
    Experiment,
    Hedge,
    Policy,
    Result,
    Retry,
    Tier,
    Traffic,
    compare,
    run,
    servers,
)
from lbkit.alerts import Condition, Incident, Quality, Rule, assess
from lbkit.capacity import servers_needed
from lbkit.core import Backend, Pool, drain, make_balancer
from lbkit.core.geo import Internet, Location, Place, Region, RegionState, Steering
from lbkit.core.health import CheckRules
from lbkit.core.limit import TokenBucket, play
from lbkit.core.routing import Fixed, Routing, ToPool, When
from lbkit.core.routing import Rule as Route
from lbkit.gameday import DecisionTable, Design, Scorecard, System, decision_table, scorecard, ticket_shop
from lbkit.gameday import Incident as Incident_
from lbkit.metrics import Store, Value
from lbkit.metrics.store import labels
from lbkit.replicate import Comparison, Replication
from lbkit.topology import six_layers, what_if
from lbkit.viz import decisions, figures, limits, topology
from lbkit.viz.alt_text import MOST, alt_text, as_html
from lbkit.viz.drawing import figure
from lbkit.viz.health_panel import checked, timeline
from lbkit.viz.live_figures import Window, latency_history, server_history
from lbkit.viz.luck import luck
from lbkit.viz.widget import FigureView

EXPERIMENT = Experiment(
    servers(3, speed=[1, 1, 0.5]),
    Traffic(duration=20, warmup=2),
    events=[Event(5, "crash", "s1"), Event(9, "recover", "s1")],
    policy=Policy("round_robin", retry=Retry(hedge=Hedge(0.1))),
).at_load(0.5)


@cache
def results() -> tuple[Result, ...]:
    return tuple(compare(EXPERIMENT, ["round_robin", "least_connections"]))


def one() -> Result:
    return results()[0]


def window() -> Window:
    result = one()
    return Window(Result(result.experiment, "live", result.columns, {"since": 0.0}), [], "round_robin", 0.5)


def pool(algorithm: str, **options: object) -> Pool:
    return Pool([Backend("a", weight=2), Backend("b")], make_balancer(algorithm, **options))


def quality() -> Quality:
    store = Store([10.0 * i for i in range(10)])
    store.add("depth", labels(), [0, 0, 9, 9, 0, 0, 3, 0, 0, 0])
    rule = Rule("Deep", (Condition(Value("depth"), ">", 5),))
    return assess([rule], [(store, [Incident("one", 15, 35)])], 0)


def map_of_the_world() -> go.Figure:
    regions = [Region("paris", Place(48.9, 2.4), "EU"), Region("virginia", Place(38.9, -77.5), "US")]
    clients = {"lyon": Location(Place(45.8, 4.8), "EU"), "boston": Location(Place(42.4, -71.1), "US")}
    return figures.world(Steering(regions), clients, {"paris": RegionState(0)})


def networks() -> go.Figure:
    net = Internet({"west": ["one"], "east": ["two"], "a": ["west"], "b": ["east"]}, [("one", "two")])
    return figures.catchment(net, net.routes(["a", "b"]))


def spans() -> go.Figure:
    from viz.test_waterfall import hedged

    return figures.waterfall(hedged())


def two_layers() -> Result:
    tree = Tier("a", Tier("b", servers(1, service=Constant(0.001)), distance=0.03), distance=0.1)
    return run(Experiment(tree, Traffic(duration=50)).at_load(0.001))


def seeds() -> Comparison:
    p99 = {"random": [2.0, 2.1, 2.2], "least_connections": [1.0, 1.1, 1.2]}
    rows = {name: {i: {"p99": v, "error_rate": 0.0} for i, v in enumerate(p99[name])} for name in p99}
    return Comparison(Replication(name, row) for name, row in rows.items())


@cache
def card() -> Scorecard:
    company = ticket_shop(incidents=[Incident_("crash", 0.5, 1)], length=4.0)
    return scorecard(company, {"one": Design({"europe": 3}), "two": Design({"europe": 2, "america": 2})}, 2)


def table_of_one() -> DecisionTable:
    even = Experiment(servers(3, service=Constant(0.05)), Traffic(duration=6, warmup=1)).at_load(0.8)
    return decision_table({"even": System(even)}, ["round_robin", "random"], seeds=3)


STEPS = [0.1 * i for i in range(20)]
CURVES = {"random": [(0.5, 0.1), (0.9, 0.5)]}
ROUTES = Routing((Route("no admin", Fixed(403), When(prefix=("/admin",))), Route("all", ToPool("shop"))))

# A figure, and parts of what it says: one row for each function that returns a figure. A new one needs a row.
Row = tuple[Callable[[], Any], tuple[str, ...]]
FIGURES: dict[str, Row] = {
    "alert_quality.alert_detection": (lambda: figures.alert_detection(quality()), ("Deep one 5 s",)),
    "alert_quality.alert_fatigue": (
        lambda: figures.alert_fatigue(quality()),
        ("about an incident: Deep, page 960",),
    ),
    "attempts.attempts": (lambda: figures.attempts(one()), ("retry: from 0 to",)),
    "backend_shares.shares": (lambda: figures.shares(results()), ("share of capacity: s1 40 %",)),
    "bars.bars": (lambda: figures.bars("Two are faster", {"one_look": 97.0}, "mean (ms)"), ("one look 97",)),
    "broken.noticed": (
        lambda: figures.noticed(what_if(six_layers(1, 2, 2, 1, 2).but(duration=60), "farm-1a")),
        ("farm-1a crashes", "region-1"),
    ),
    "broken.time_by_layer": (lambda: figures.time_by_layer(two_layers()), ("entrance 0.2, a 0.06",)),
    "capacity.capacity": (
        lambda: figures.capacity(servers_needed(EXPERIMENT.but(events=()), 0.25, seeds=2)),
        ("servers", "ms"),
    ),
    "catchment.catchment": (networks, ("to a: one, west, a", "to b: two, east, b")),
    "curves.curves": (
        lambda: figures.curves("More", {"random": ([1, 2], [3.5, 9])}, "load", "wait (s)"),
        ("wait (s) against load: random: from 3.5 to 9",),
    ),
    "decisions.orders": (lambda: decisions.orders({"smooth": "aaba"}), ("smooth: a a b a",)),
    "decisions.ring": (lambda: decisions.ring(pool("consistent_hash"), ["k"]), ("a has ", "k belongs to ")),
    "decisions.scores": (lambda: decisions.scores(pool("least_connections"), ["k"] * 3), ("picked: a 1",)),
    "decisions.table": (lambda: decisions.table(pool("maglev", slots=101)), ("a has 67.3%",)),
    "decision_table.decision_table": (lambda: figures.decision_table(table_of_one()), ("even", "✓")),
    "detection.detection_curve": (
        lambda: figures.detection_curve({"fall=3": [(0.5, 5.2), (5, 0.5)]}, {}),
        ("fall=3: from 5.2 s to 500 ms",),
    ),
    "detection.detection_times": (
        lambda: figures.detection_times({"kill -9": [2.1, 2.9]}, {}),
        ("kill -9",),
    ),
    "diagnosis.diagnosis": (lambda: figures.diagnosis(one()), ("p99: from",)),
    "game_day.game_day": (
        lambda: figures.game_day({name: days[0] for name, days in card().days.items()}),
        ("one", "two", "%"),
    ),
    "game_day.where_it_hurts": (lambda: figures.where_it_hurts(card()), ("one at most", "two at most")),
    "goodput.goodput": (
        lambda: figures.goodput(results()),
        ("requests/s against time (s): round robin: from",),
    ),
    "health_panel.timeline": (
        lambda: timeline({"fall=3": checked(CheckRules(interval=2.0, timeout=1.0), "kill -9")}),
        ("fall=3",),
    ),
    "latency.latency_cdf": (
        lambda: figures.latency_cdf(results()),
        ("round robin: 50 % within", "99 % within", "least connections: 50 % within"),
    ),
    "latency.percentiles": (lambda: figures.percentiles(results()), ("round robin: p50", "p99")),
    "latency.response_time_curve": (
        lambda: figures.response_time_curve(CURVES),
        ("random: from 0.1 to 0.5",),
    ),
    "layers.by_server": (lambda: figures.by_server("One", {"layer 4": {"s1": 30}}), ("s1: layer 4 30",)),
    "layers.sees": (lambda: figures.sees("All", {"path": {"layer 7": True}}), ("can be read: path layer 7",)),
    "limits.flow": (lambda: limits.flow(results()), ("round robin",)),
    "limits.left": (lambda: limits.left({"bucket": TokenBucket(2, 3)}, STEPS), ("bucket: from",)),
    "limits.marks": (lambda: limits.marks({"bucket": play(TokenBucket(2, 3), STEPS)}), ("denied",)),
    "live_figures.latency_history": (lambda: latency_history(window()), ("round robin",)),
    "live_figures.server_history": (lambda: server_history(window()), ("s1 answers",)),
    "luck.luck": (lambda: luck(seeds()), ("random 2.1 ± 0.25 s", "least connections 1.1 ± 0.25 s")),
    "machine.machine": (
        lambda: figures.machine("Drains", drain.TRANSITIONS),
        ("from ready to draining by drain",),
    ),
    "newcomer.newcomer": (lambda: figures.newcomer(results(), "s3"), ("round robin: from",)),
    "over_time.backend_load": (lambda: figures.backend_load(one()), ("s1 answers: from 0",)),
    "over_time.in_flight": (lambda: figures.in_flight(one()), ("requests: s1 at most",)),
    "over_time.latency_over_time": (lambda: figures.latency_over_time(results()), ("round robin: from",)),
    "over_time.over_time": (
        lambda: figures.over_time("Falls", {"random": ([0, 1], [2, 1])}),
        ("random: from 2 to 1",),
    ),
    "rules.rules": (lambda: figures.rules(ROUTES), ("no admin", "answer 403", "pool shop")),
    "scorecard.scorecard": (lambda: figures.scorecard(card()), ("one",)),
    "spread.spread": (
        lambda: figures.spread("Cheap", {"none": [100, 110, 130]}, "µs"),
        ("none 110, half from 105 to 120, all from 100 to 130",),
    ),
    "states.states": (lambda: figures.states(one()), ("s1",)),
    "topology.topology": (lambda: topology(EXPERIMENT), ("s3 25/s, weight 1", "proxy round robin")),
    "waterfall.waterfall": (spans, ("s1", "ms")),
    "world.world": (map_of_the_world, ("paris: down", "virginia", "boston US")),
}
# Not a figure of anything by themselves: the parts that others are made of.
PARTS = {"doubts.with_warnings", "drawing.drawn", "drawing.figure", "lanes.lanes", "rules._drawn"}


def functions() -> Iterator[str]:
    """Yield each function of lbkit.viz that returns a figure, by its module."""
    for found in pkgutil.walk_packages(lbkit.viz.__path__, "lbkit.viz."):
        module = importlib.import_module(found.name)
        for name, thing in vars(module).items():
            if isfunction(thing) and thing.__module__ == found.name:
                returned = str(get_annotations(thing).get("return", ""))
                if returned in ("Figure", "go.Figure"):
                    yield f"{found.name.removeprefix('lbkit.viz.')}.{name}"


def test_every_function_that_draws_a_figure_is_in_the_table() -> None:
    assert set(functions()) == FIGURES.keys() | PARTS


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_its_finding_and_its_main_figures(name: str) -> None:
    if name == "waterfall.waterfall":
        need_feature("tracing")
    draw, says = FIGURES[name]
    drawn = draw()
    text = alt_text(drawn)
    assert text.startswith(" ".join(str(drawn.layout.title.text or "").replace("<br>", " ").split()))
    assert [part for part in says if part not in text] == [], text
    assert "<" not in text
    assert "nan" not in text.split()
    assert 20 < len(text) < 1500


def test_the_text_is_of_the_data() -> None:
    before, after = (figures.bars("One bar", {"mean": value}, "ms") for value in (3.0, 4.0))
    assert alt_text(before) == "One bar. ms: mean 3."
    assert alt_text(after) == "One bar. ms: mean 4."


def test_of_many_series_the_others_are_counted() -> None:
    lines = {f"line {i}": ([0, 1], [i, i]) for i in range(MOST + 3)}
    text = alt_text(figures.over_time("Many", lines))
    assert "line 7: 7; 3 more." in text
    assert "line 8" not in text


def test_a_figure_without_data_says_so() -> None:
    assert alt_text(figure("", [])) == "no good answers."


def test_a_figure_of_plotly_alone_has_a_text_too() -> None:
    drawn = go.Figure(go.Scatter(x=[1, 2], y=[3, 5], name="mine"), {"title": {"text": "My <b>own</b>"}})
    assert alt_text(drawn) == "My own. mine: from 3 to 5."


def test_the_html_beside_a_figure_has_the_text_and_is_safe() -> None:
    drawn = figures.bars("a < b & c", {"x": 1.0}, "s")
    assert 'a &lt; b &amp; c. s: x 1."></div>' in as_html(drawn)


def test_a_widget_sends_the_text_with_the_figure() -> None:
    view = FigureView(figures.bars("First", {"x": 1.0}, "s"))
    assert view.words == "First. s: x 1."
    view.show(figures.bars("Second", {"x": 2.0}, "s"))
    assert view.words == "Second. s: x 2."
