from __future__ import annotations

from collections.abc import Callable

import pytest

from lbkit import Constant, Event, Experiment, Poisson, Policy, Server, Traffic, run, servers
from lbkit.core.drain import DrainState
from lbkit.core.health import BreakerRules, BreakerState, CheckRules, CheckState, HealthRules
from lbkit.core.health.outliers import EJECTED, IN
from lbkit.core.state_change import OUT
from lbkit.patience import Patience
from lbkit.result import Result
from lbkit.viz import figures
from lbkit.viz.drawing import Figure
from lbkit.viz.states import COMING_OR_GOING, IN_DOUBT, LEVELS, level

SERVING = {"up", "closed", "ready", IN}


def failing() -> Experiment:
    events = [Event(10, "crash", "s2"), Event(20, "recover", "s2")]
    health = HealthRules(checks=CheckRules(interval=1.0, timeout=0.5), breaker=BreakerRules())
    return Experiment(servers(3), policy=Policy("round_robin", health=health), events=events).at_load(0.3)


def test_every_state_of_every_machine_has_its_level() -> None:
    names = {*(s.label for s in CheckState), *(s.value for s in (*BreakerState, *DrainState)), EJECTED, IN}
    assert {name for name in names if level(name) == 0} == SERVING
    assert names - SERVING <= {*IN_DOUBT, *COMING_OR_GOING, *OUT}
    for state in CheckState:
        assert state.in_service == (level(state.label) < LEVELS.index("coming or going"))


def test_cells_reach_from_change_to_change() -> None:
    result = run(failing())
    figure = figures.states(result)
    (heat,) = figure.data
    checks = [change for change in result.changes if change.kind == "check"]
    assert [c.after for c in checks] == ["failing", "down", "recovering", "up"]
    assert len(heat.x) == len(heat.z[0]) + 1  # edges
    assert list(heat.y) == ["s1", "s2", "s3"]

    def at(name: str, time: float) -> int:
        column = max(i for i, edge in enumerate(heat.x[:-1]) if edge <= time)
        return heat.z[list(heat.y).index(name)][column]

    for time, found in ((5, 0), (checks[0].at + 0.1, 1), (15, 3), (checks[2].at + 0.1, 2), (25, 0)):
        assert at("s2", time) == found
        assert at("s1", time) == 0
    out = checks[3].at - checks[1].at  # also while it recovers
    assert figure.layout.title.text.startswith(f"s2 is out of service for {out:.3g}")


def test_without_changes_all_are_in_service() -> None:
    figure = figures.states(run(failing().but(events=())))
    assert figure.layout.title.text.startswith("Every server is in service all the time")
    assert {value for row in figure.data[0].z for value in row} == {0}


def test_goodput_beside_what_is_sent_and_served() -> None:
    server = Server("s", workers=10, service=Constant(0.1))
    traffic = Traffic(Poisson(80), 60, patience=Patience(timeout=1.0, retries=3))
    events = [Event(10, "slow", "s", 0.1), Event(20, "recover", "s")]
    result = run(Experiment([server], traffic, Policy(retries=0), events))
    figure = figures.goodput([result], step=1)
    sent, served, good = figure.data
    assert sum(sent.y) == pytest.approx(len(result) + len([t for t in result.resent if t < 60]))
    assert sum(served.y) / 60 == pytest.approx(result.throughput, rel=0.01)
    assert sum(good.y) / 60 == pytest.approx(result.goodput, rel=0.01)
    assert max(good.y[40:]) < 10 < 200 < min(sent.y[40:])
    once = run(result.experiment.but(patience=Patience(timeout=1.0), name="no retries"))
    both = figures.goodput([result, once], step=1)
    assert len(both.data) == 2
    last = {trace.name: sum(trace.y[-6:]) / 6 for trace in both.data}
    said = both.layout.title.text.replace("<br>", " ").replace("\u00a0", " ")
    best, worst = max(last, key=last.__getitem__), min(last, key=last.__getitem__)
    found = f"{last[best]:.3g} good answers/s ({best}) or {last[worst]:.3g} ({worst})"
    assert said == f"At the end there are {found}"


def test_chaos_is_written_where_it_happens() -> None:
    experiment = Experiment(
        servers(2, dependencies={"database": 0.5}),
        events=[
            Event(1, "hang", "s1"),
            Event(2, "lose", "s2", 0.25),
            Event(3, "fail_dependency", dependency="database"),
            Event(4, "delay", "s1", 0.1),
        ],
    ).but(duration=5)
    figure = figures.latency_over_time([run(experiment)])
    said = [a.text for a in figure.layout.annotations]
    assert said == ["hang s1", "lose 25% at s2", "database failed everywhere", "delay of 0.1 s to s1"]


def test_of_several_servers_the_title_says_how_many_are_out_at_a_time() -> None:
    events = [Event(at, "crash", name) for at, name in ((5, "s1"), (6, "s2"), (25, "s3"))]
    recovers = [Event(15, "recover", "s1"), Event(15, "recover", "s2")]
    figure = figures.states(run(failing().but(events=events + recovers)))
    said = figure.layout.title.text.replace("<br>", " ")
    assert said.startswith("3 of 3 servers go out of service, at most 2 at a time; s2 for")


@pytest.mark.parametrize("draw", [figures.states, figures.in_flight])
def test_names_of_events_stand_above_the_rows(draw: Callable[[Result], Figure]) -> None:
    bottom, top = draw(run(failing())).layout.yaxis.range
    assert bottom == 2.5
    assert top < -1


def test_names_of_events_stand_above_the_rows_and_share_a_line_if_they_share_a_moment() -> None:
    events = [*failing().events, Event(20, "slow", "s2", 0.5)]
    figure = figures.states(run(failing().but(events=events)))
    assert [a.text for a in figure.layout.annotations] == ["crash s2", "recover s2; 0.5 × speed of s2"]
    bottom, top = figure.layout.yaxis.range
    assert bottom == 2.5
    assert top < -1  # room for the names
    assert list(figures.states(run(failing().but(events=()))).layout.yaxis.range) == [2.5, -0.5]
