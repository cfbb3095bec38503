from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from needs import need_module

need_module("plotly")

import plotly.graph_objects as go

from lbkit import Closed, Constant, Event, Experiment, Policy, Result, Traffic, compare, run, servers
from lbkit.sim import theory
from lbkit.viz import figures

EXPERIMENT = Experiment(
    servers(3, speed=[1, 1, 0.5]),
    Traffic(duration=20, warmup=2),
    events=[Event(5, "crash", "s1"), Event(5, "crash", "s2"), Event(9, "recover", "s1")],
    policy=Policy("round_robin", retries=2),
).at_load(0.5)
RESULTS = compare(EXPERIMENT, ["round_robin", "least_connections"])
NOTHING = run(
    Experiment(servers(2), Traffic(duration=1), events=[Event(0, "crash", n) for n in ("s1", "s2")])
)
FIGURES: dict[str, Callable[[Result], go.Figure]] = {
    "latency_cdf": lambda r: figures.latency_cdf([r]),
    "percentiles": lambda r: figures.percentiles([r]),
    "latency_over_time": lambda r: figures.latency_over_time([r]),
    "backend_load": figures.backend_load,
    "in_flight": figures.in_flight,
    "shares": lambda r: figures.shares([r]),
}


def plain(figure: go.Figure) -> Any:
    spec = json.loads(figure.to_json())
    del spec["layout"]["template"]  # plotly puts its own where there is none
    return spec


def by_name(figure: go.Figure) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


@pytest.mark.parametrize("name", FIGURES)
def test_is_valid_and_its_axes_say_their_units(name: str) -> None:
    figure = FIGURES[name](RESULTS[0])
    again = go.Figure(figure.to_dict())  # with plotly's validation
    assert plain(again) == plain(figure)
    assert figure.layout.xaxis.title.text
    assert figure.layout.yaxis.title.text
    with pytest.raises(ValueError, match="xaxes"):  # what a learner changes is validated
        figure.update_layout(xaxes={"title": "typo"})


@pytest.mark.parametrize("name", [n for n in FIGURES if n not in ("in_flight",)])
def test_of_nothing_says_so(name: str) -> None:
    figure = FIGURES[name](NOTHING)
    assert not figure.data
    assert figure.layout.annotations[0].text == "no good answers"


@pytest.mark.parametrize(
    "draw",
    [figures.latency_cdf, figures.percentiles, figures.latency_over_time, figures.shares],
)
def test_of_no_results_says_so(draw: Callable[[list[Result]], go.Figure]) -> None:
    assert draw([]).layout.annotations[0].text == "no good answers"


def test_cdf_is_the_results_percentiles() -> None:
    line, marks = figures.latency_cdf(RESULTS[:1]).data
    assert list(line.x) == sorted(line.x)
    assert line.y[0] == 0
    assert line.y[-1] == 1
    assert line.x[list(line.y).index(0.5)] == RESULTS[0].percentile(50) * 1000
    assert list(marks.x) == [RESULTS[0].percentile(q) * 1000 for q in (99, 99.9)]


def test_a_policy_looks_the_same_in_every_figure() -> None:
    colours = {
        trace.line.color
        for draw in (figures.latency_cdf, figures.percentiles, figures.latency_over_time)
        for trace in draw(RESULTS).data
        if trace.name == "least connections" and trace.mode != "markers"
    }
    assert len(colours) == 1
    assert by_name(figures.shares(RESULTS))["least connections"].marker.color in colours


def test_results_of_one_policy_are_told_apart_by_what_differs() -> None:
    retried = [run(EXPERIMENT.but(seed=seed)) for seed in (1, 2)]
    names = [name for name, _, _ in figures.labelled(retried)]
    assert names == ["round robin, seed 1", "round robin, seed 2"]
    looks = [look for _, look, _ in figures.labelled(retried)]
    assert looks[0].colour == looks[1].colour
    assert looks[0].dash != looks[1].dash
    loads = [run(EXPERIMENT.at_load(load)) for load in (0.3, 0.6)]
    assert [name for name, _, _ in figures.labelled(loads)] == [
        "round robin, load 30%",
        "round robin, load 60%",
    ]


def test_load_adds_up_to_all_that_was_answered() -> None:
    figure = figures.backend_load(RESULTS[0], step=1)
    answered = sum(b >= 0 and end < 20 for b, end in zip(RESULTS[0].backend, RESULTS[0].end, strict=True))
    assert sum(sum(trace.y) for trace in figure.data) == pytest.approx(answered)
    assert not any(figure.data[1].y[6:])  # s2 crashed at 5 s and stays down


def test_events_are_written_where_they_happen() -> None:
    figure = figures.latency_over_time(RESULTS)
    said = {(a.x, a.text) for a in figure.layout.annotations}
    assert said == {(5, "crash s1, s2"), (9, "recover s1"), (0, "warm-up")}
    assert {s.x0 for s in figure.layout.shapes} == {5, 9, 0}


def test_shares_stand_beside_what_is_fair() -> None:
    fair = by_name(figures.shares(RESULTS))["fair by capacity"]
    assert list(fair.y) == pytest.approx([0.4, 0.4, 0.2])


def test_heat_map_has_a_row_a_backend_and_a_common_scale_if_wanted() -> None:
    heat = figures.in_flight(RESULTS[0], step=1, scale_max=7).data[0]
    assert list(heat.y) == ["s1", "s2", "s3"]
    assert heat.zmax == 7
    assert max(map(max, heat.z)) == max(max(level) for level in RESULTS[0].in_flight(1)[1].values())


def test_response_time_leaves_out_what_is_infinite() -> None:
    loads = (0.2, 0.5, 0.8, 1.0)
    curve = [(rho, theory.mm1_time(rho) if rho < 1 else float("inf")) for rho in loads]
    figure = figures.response_time_curve({"random": curve}, theory={"random": curve, "else": curve})
    names = by_name(figure)
    assert list(names["random"].x) == [0.2, 0.5, 0.8]
    assert list(names["random"].y) == pytest.approx([1250, 2000, 5000])
    assert (
        names["random, theory"].line.color == names["random"].line.color != names["else, theory"].line.color
    )


def test_a_closed_loop_and_many_servers() -> None:
    many = run(
        Experiment(
            servers(12, service=Constant(0.1)), Traffic(arrivals=Closed(users=30, think=0.1), duration=5)
        )
    )
    figure = figures.backend_load(many)
    assert figure.layout.legend.orientation == "v"
    assert len({(t.line.color, t.line.dash) for t in figure.data}) == 12


def test_one_policy_on_many_engines_has_the_colours_of_engines() -> None:
    base = run(Experiment(servers(2), Traffic(duration=2)))
    many = [Result(base.experiment, engine, base.columns) for engine in ("sim", "live", "nginx", "caddy")]
    assert len({look.colour for _, look, _ in figures.labelled(many)}) == 4
    two = figures.labelled(many[:2])
    assert two[0][1].colour == two[1][1].colour  # of two, the policy's, with another dash
    assert two[0][1].dash != two[1][1].dash


def test_anything_over_time() -> None:
    drawn = go.Figure(figures.over_time("hits", {"ip_hash": ([0, 1], [0.5, 1.0])}).to_dict())
    assert drawn.data[0].name == "ip hash"
    assert list(drawn.data[0].y) == [0.5, 1.0]
