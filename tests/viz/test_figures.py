from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from needs import need_module

need_module("plotly")

import plotly.graph_objects as go

from lbkit import (
    Closed,
    Constant,
    Event,
    Experiment,
    Failures,
    Policy,
    Result,
    Traffic,
    compare,
    run,
    servers,
)
from lbkit.sim import theory
from lbkit.viz import figures
from lbkit.viz.style import FAILED, INK, LOOKS, duration, policy_look

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
    "states": figures.states,
    "attempts": figures.attempts,
    "goodput": lambda r: figures.goodput([r]),
}


def plain(figure: go.Figure) -> Any:
    spec = json.loads(figure.to_json())
    del spec["layout"]["template"]  # plotly puts its own where there is none
    return spec


def plain_title(figure: go.Figure) -> str:
    return str(figure.layout.title.text).replace("<br>", " ").replace("\u00a0", " ")


def by_name(figure: go.Figure) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


@pytest.mark.parametrize("name", FIGURES)
def test_is_valid_and_its_axes_say_their_units(name: str) -> None:
    figure = FIGURES[name](RESULTS[0])
    again = go.Figure(figure.to_dict())  # with plotly's validation
    assert plain(again) == plain(figure)
    assert figure.layout.xaxis.title.text
    assert any(figure.layout[name].title.text for name in figure.layout if name.startswith("yaxis"))
    with pytest.raises(ValueError, match="xaxes"):  # what a learner changes is validated
        figure.update_layout(xaxes={"title": "typo"})


@pytest.mark.parametrize(
    "name", [n for n in FIGURES if n not in ("in_flight", "states", "attempts", "goodput")]
)
def test_a_figure_of_no_requests_has_a_note(name: str) -> None:
    figure = FIGURES[name](NOTHING)
    assert not figure.data
    assert figure.layout.annotations[0].text == "no good answers"


@pytest.mark.parametrize(
    "draw",
    [
        figures.latency_cdf,
        figures.percentiles,
        figures.latency_over_time,
        figures.shares,
        figures.goodput,
    ],
)
def test_a_figure_of_no_results_has_a_note(draw: Callable[[list[Result]], go.Figure]) -> None:
    assert draw([]).layout.annotations[0].text == "no good answers"


def test_a_distribution_is_the_results_percentiles() -> None:
    (line,) = figures.latency_cdf(RESULTS[:1]).data
    assert list(line.x) == sorted(line.x)
    assert list(line.y) == sorted(line.y, reverse=True)
    assert line.y[0] > 0.85
    assert line.y[-1] == pytest.approx(1 / len(RESULTS[0].latencies()), rel=1e-3)
    slowest = RESULTS[0].percentile(100 - 100 * line.y[-1])
    assert line.x[-1] == pytest.approx(slowest, rel=1e-3)
    marked = {y: x for x, y, size in zip(line.x, line.y, line.marker.size, strict=True) if size}
    assert list(marked) == [0.5, 0.1, 0.01, *([0.001] if len(RESULTS[0].latencies()) >= 1000 else [])]
    for share, seconds in marked.items():
        assert seconds == pytest.approx(RESULTS[0].percentile(100 - 100 * share), rel=1e-4)


def test_a_distribution_spreads_the_slowest_evenly() -> None:
    layout = figures.latency_cdf(RESULTS).layout
    assert layout.yaxis.type == "log"
    ticks = dict(zip(layout.yaxis.ticktext, layout.yaxis.tickvals, strict=True))
    assert ticks["90 %"] == pytest.approx(0.1)
    assert ticks["99 %"] == pytest.approx(0.01)
    assert layout.yaxis.range[0] > layout.yaxis.range[1]  # rare ones on top
    (mark,) = layout.shapes
    assert mark.y0 == mark.y1 == 0.01
    assert "1 in 100 waits longer than this" in layout.annotations[0].text


def test_of_few_answers_a_distribution_points_at_1_in_10() -> None:
    few = run(EXPERIMENT.but(duration=6))
    assert 50 < len(few.latencies()) < 500
    figure = figures.latency_cdf([few])
    assert figure.layout.shapes[0].y0 == 0.1
    assert figure.layout.annotations[0].text == "1 in 10 waits longer than this"
    assert plain_title(figure).startswith(f"1 in 10 waits longer than {duration(few.percentile(90))}")


def test_seconds_are_seconds() -> None:
    slow = run(Experiment(servers(1, service=Constant(2.0)), Traffic(duration=60)).at_load(0.9))
    axis = figures.latency_cdf([slow]).layout.xaxis
    ticks = dict(zip(axis.ticktext, axis.tickvals, strict=True))
    assert ticks["10 s"] == 10
    assert ticks["500 ms" if "500 ms" in ticks else "1 s"] in (0.5, 1)
    assert not any("000" in text for text in ticks if text.endswith("ms"))


def test_titles_say_the_finding() -> None:
    worst = max(RESULTS, key=lambda r: r.percentile(99))
    assert duration(worst.percentile(99)) in plain_title(figures.latency_cdf(RESULTS))
    assert figures.shares(RESULTS).layout.title.text.startswith(("s1", "s2", "s3"))
    equal = run(Experiment(servers(2), Traffic(duration=50)).at_load(0.3).but(policy="round_robin"))
    assert figures.shares([equal]).layout.title.text == "Every server gets its share of the capacity"
    said = figures.latency_over_time(RESULTS).layout.title.text
    assert said.startswith("The mean latency is highest at ")


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


def test_load_adds_up_to_all_answers_and_errors() -> None:
    figure = figures.backend_load(RESULTS[0], step=1)
    assert sum(sum(trace.y) for trace in figure.data) == pytest.approx(sum(e < 20 for e in RESULTS[0].end))
    rows = [axis.ticktext[0] for axis in (figure.layout.yaxis, figure.layout.yaxis2, figure.layout.yaxis3)]
    assert rows == ["s1", "s2", "s3"]
    second = next(t for t in figure.data if t.yaxis == "y2" and t.name == "answers")
    assert any(second.y)
    assert not any(second.y[6:])  # s2 crashed at 5 s and stays down


def test_errors_are_red_and_those_that_no_server_gave_have_a_row() -> None:
    crashing = EXPERIMENT.but(policy=Policy("round_robin", retries=0))
    result = run(crashing)
    figure = figures.backend_load(result, step=1)
    failed = [t for t in figure.data if t.name == "errors"]
    assert sum(sum(t.y) for t in failed) == pytest.approx(
        result.where(status=lambda s: s >= 500 or not s).__len__()
    )
    assert {t.fillcolor for t in failed} == {FAILED}
    assert figure.layout.yaxis4.ticktext[0] == "no server"


def test_of_many_random_failures_there_are_only_lines() -> None:
    failing = EXPERIMENT.but(events=(), failures=Failures(mtbf=1, mttr=1))
    layout = figures.in_flight(run(failing)).layout
    assert len(layout.shapes) > 16
    assert "crash" not in str(layout.annotations)


def test_events_are_written_where_they_happen() -> None:
    figure = figures.latency_over_time(RESULTS)
    said = {(a.x, a.text) for a in figure.layout.annotations}
    assert said == {(5, "crash s1, s2"), (9, "recover s1"), (0, "warm-up")}
    assert {s.x0 for s in figure.layout.shapes} == {5, 9, 0}


def test_of_two_events_that_are_close_the_first_has_its_label_on_the_left() -> None:
    dips = [Event(at, what, "s1") for at, what in ((10, "crash"), (11, "recover"), (40, "crash"))]
    layout = figures.states(run(Experiment(servers(2), Traffic(duration=60), events=dips))).layout
    assert [note.xanchor for note in layout.annotations] == ["right", "left", "left"]


def test_shares_stand_beside_what_is_fair() -> None:
    capacity = by_name(figures.shares(RESULTS))["share of capacity"]
    assert list(capacity.y) == pytest.approx([0.4, 0.4, 0.2])


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
    assert list(names["random"].y) == pytest.approx([1.25, 2, 5])
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
    assert len({t.yaxis for t in figure.data}) == 12


def test_one_policy_on_many_engines_has_one_colour_and_a_symbol_and_dash_for_each_engine() -> None:
    base = run(Experiment(servers(2), Traffic(duration=2)))
    engines = ("sim", "live", "nginx", "haproxy", "apache", "caddy")
    many = [Result(base.experiment, engine, base.columns) for engine in engines]
    rows = figures.labelled(many)
    assert len({look.colour for _, look, _ in rows}) == 1
    assert len({look.symbol for _, look, _ in rows}) == 6
    assert len({look.dash for _, look, _ in rows}) == 6
    assert [name for name, _, _ in rows][1] == "round robin, on live"
    drawn = figures.latency_cdf(many).data
    assert [bool(trace.opacity) for trace in drawn] == [True, False, False, False, False, False]
    assert drawn[0].line.width > 2 * drawn[1].line.width  # the simulation is a band below the lines
    assert len({trace.marker.symbol for trace in drawn}) == len({trace.line.dash for trace in drawn}) == 6


def test_what_is_compared_differs_in_colour_or_dash_for_every_pair_of_algorithms() -> None:
    base = run(Experiment(servers(2), Traffic(duration=2)))
    every = [Result(base.experiment.but(policy=name), "sim", base.columns) for name in LOOKS]
    looks = [(look.colour, look.dash) for _, look, _ in figures.labelled(every)]
    assert len(set(looks)) == len(looks)


def test_anything_over_time() -> None:
    drawn = go.Figure(figures.over_time("hits", {"ip_hash": ([0, 1], [0.5, 1.0])}).to_dict())
    assert drawn.data[0].name == "ip hash"
    assert list(drawn.data[0].y) == [0.5, 1.0]


def test_curves_have_a_line_for_each_name_and_marks_where_they_are_told() -> None:
    lines = {"fifo": ([0, 1], [3, 4]), "random": ([0, 2], [5, 6])}
    drawn = figures.curves("found", lines, "queue", "good", {"limit": 0.5}, y_format=".0%")
    go.Figure(drawn.to_dict())
    assert [(trace.name, list(trace.x), list(trace.y)) for trace in drawn.data] == [
        ("fifo", [0, 1], [3, 4]),
        ("random", [0, 2], [5, 6]),
    ]
    assert drawn.data[1].line.color == policy_look("random").colour
    assert drawn.data[0].marker.symbol != drawn.data[1].marker.symbol
    assert [(shape.x0, shape.x1) for shape in drawn.layout.shapes] == [(0.5, 0.5)]
    assert [note.text for note in drawn.layout.annotations] == ["limit"]


def test_names_that_are_no_policies_have_no_policys_colour() -> None:
    points = ([0, 1], [0.5, 1.0])
    for drawn in (
        figures.over_time("hits", {"one": points, "other": points, "random": points}),
        figures.response_time_curve({"one": [(0.1, 1)], "other": [(0.1, 1)], "random": [(0.1, 1)]}),
    ):
        one, other, policy = drawn.data
        assert one.line.color == other.line.color == INK
        assert one.line.dash != other.line.dash
        assert policy.line.color == policy_look("random").colour


def test_a_server_that_gets_its_speed_back_is_not_labelled_slow() -> None:
    events = [Event(1, "slow", "s1", 0.1), Event(2, "slow", "s1", 1.0), Event(3, "crash", "s1")]
    result = run(Experiment(servers(2), Traffic(duration=4), events=events).at_load(0.3))
    words = [note.text for note in figures.backend_load(result, step=1).layout.annotations]
    assert words == ["0.1 × speed of s1", "1 × speed of s1", "crash s1"]
