from __future__ import annotations

import asyncio
from array import array
from dataclasses import dataclass
from typing import Any, ClassVar

import plotly.graph_objects as go
import pytest
from needs import need_module

need_module("ipywidgets")
need_module("anywidget")

from lbkit import Event, Experiment, Policy, Result, Traffic, run, servers
from lbkit.result import COLUMNS
from lbkit.viz import LivePanel, live
from lbkit.viz.live_figures import Window, latency_history, server_history
from lbkit.viz.style import FAILED, policy_look

EXPERIMENT = Experiment(
    servers(2),
    Traffic(duration=20),
    policy=Policy("round_robin", retries=0),
    events=[Event(12, "crash", "s1"), Event(15, "recover", "s1")],
).at_load(0.5)


@dataclass
class Change:
    at: float
    what: str
    policy: str


HISTORY = [
    Change(4.0, "switch to random", "random"),
    Change(12.0, "crash s1", "random"),
    Change(15.0, "recover s1", "random"),
]


def window(begin: float = 0.0, end: float = 20.0) -> Window:
    """The part of a simulation, as a session would give it."""
    whole = run(EXPERIMENT)
    rows = [i for i, t in enumerate(whole.arrival) if begin <= t <= end]
    columns = {name: array(code, (whole.columns[name][i] for i in rows)) for name, code in COLUMNS.items()}
    for name in ("arrival", "start", "end"):
        columns[name] = array("d", (t - begin for t in columns[name]))
    experiment = EXPERIMENT.but(duration=end - begin, events=())
    return Window(Result(experiment, "live", columns, {"since": begin}), HISTORY, "round_robin", 0.5)


def test_each_part_of_the_history_has_the_colour_of_the_policy_that_ruled() -> None:
    figure = latency_history(window())
    go.Figure(figure.to_dict())  # with plotly's validation
    lines = {trace.name: trace for trace in figure.data if trace.showlegend is not False}
    assert lines["round robin"].line.color == policy_look("round_robin").colour
    assert lines["random"].line.color == policy_look("random").colour
    before = {x for x, y in zip(lines["round robin"].x, lines["round robin"].y, strict=True) if y}
    after = {x for x, y in zip(lines["random"].x, lines["random"].y, strict=True) if y}
    assert max(before) < 4.0 < min(after)
    assert len(before) >= 7
    assert len(after) >= 30


def test_each_change_has_a_labelled_mark() -> None:
    for figure in (latency_history(window()), server_history(window())):
        marks = {(a.x, a.text) for a in figure.layout.annotations}
        assert marks == {(4.0, "switch to random"), (12.0, "crash s1"), (15.0, "recover s1")}
        assert {s.x0 for s in figure.layout.shapes} == {4.0, 12.0, 15.0}


def test_errors_are_a_band_below_the_latencies_and_in_the_rows_of_servers() -> None:
    shown = window()
    band = next(t for t in latency_history(shown).data if t.name == "errors")
    assert band.fillcolor == FAILED
    failing = [x for x, y in zip(band.x, band.y, strict=True) if y > 0]
    assert failing
    assert all(11.5 <= x <= 15.5 for x in failing)
    rows = server_history(shown)
    go.Figure(rows.to_dict())
    errors = [t for t in rows.data if t.name == "errors"]
    assert sum(sum(t.y) for t in errors) * 0.5 == pytest.approx(
        sum(s >= 500 for s in shown.result.status), rel=0.02
    )


def test_time_counts_from_the_start_of_the_session_and_axis_and_text_name_one_window() -> None:
    shown = window(10.0, 18.0)
    assert str(shown) == "10 to 18 s"
    for figure in (latency_history(shown), server_history(shown)):
        assert list(figure.layout.xaxis.range) == [10.0, 18.0]
        assert all(min(t.x) >= 9.9 and max(t.x) <= 18.1 for t in figure.data)
    assert [c.what for c in shown.changes] == ["crash s1", "recover s1"]
    assert shown.policy_at(11) == "random"


# -- the panel, with a session that needs no processes -------------------------------------------


class Session:
    """What a panel sees of a session."""

    made: ClassVar[list[Session]] = []
    refuses = ""

    def __init__(self, experiment: Experiment, on: str) -> None:
        self.experiment, self.on = experiment, on
        self.policy = experiment.policy.algorithm
        self.url, self.done, self.stopped = "http://127.0.0.1:1", False, False
        self.faults: list[str] = []
        self.history: list[Change] = []
        self.alive = {s.name: True for s in experiment.servers}
        Session.made.append(self)

    @staticmethod
    def algorithms(on: str) -> list[str]:
        return ["round_robin", "ip_hash"] if on == "nginx" else ["round_robin", "random", "least_connections"]

    def start(self) -> None: ...

    def stop(self) -> None:
        self.stopped = True

    def state(self) -> list[dict[str, Any]]:
        facts = {"weight": 1.0, "intent": "ready", "in_flight": 0}
        return [{"name": name, "alive": alive, **facts} for name, alive in self.alive.items()]

    def progress(self) -> str:
        return "10% of 20 s"

    def result(self, last: float) -> Result:
        columns: dict[str, array[Any]] = {name: array(code) for name, code in COLUMNS.items()}
        return Result(self.experiment.but(duration=1, events=()), self.on, columns, {"since": 0.0})

    def switch(self, name: str) -> None:
        if self.refuses:
            raise ValueError(self.refuses)
        self.policy = name

    def crash(self, name: str) -> None:
        if self.refuses:
            raise ValueError(self.refuses)
        self.alive[name] = False

    def recover(self, name: str) -> None:
        self.alive[name] = True


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PERIOD", 0.01)
    monkeypatch.setattr(live, "EngineSelector", engines)
    monkeypatch.setattr(Session, "made", [])
    monkeypatch.setattr(Session, "refuses", "")


def engines(**more: Any) -> Any:
    from lbkit.viz import EngineSelector

    return EngineSelector(("live", "nginx"), ask=lambda _: "", **more)


async def true(what: Any) -> None:
    async with asyncio.timeout(5):
        while not what():
            await asyncio.sleep(0.01)


def test_before_any_answer_the_panel_shows_a_note_and_no_nan() -> None:
    async def play() -> None:
        panel = LivePanel(Session, EXPERIMENT)
        panel.start()
        await true(lambda: "no answers yet" in panel.message.value)
        assert "nan" not in panel.message.value + panel.latency.spec.replace("dominant", "")
        panel.stop()
        await true(lambda: "Nothing is running" in panel.message.value)

    asyncio.run(play())


def test_a_refused_switch_returns_to_what_runs_and_the_reason_stays() -> None:
    async def play() -> None:
        panel = LivePanel(Session, EXPERIMENT)
        panel.start()
        await true(lambda: panel.session)
        panel.session.refuses = "no such luck"
        panel.policy.value = "random"
        await true(lambda: "no such luck" in panel.reason.value)
        await true(lambda: panel.policy.value == "round_robin")
        await asyncio.sleep(0.1)  # several looks later
        assert "no such luck" in panel.reason.value
        panel.session.refuses = ""
        panel.policy.value = "random"
        await true(lambda: panel.session.policy == "random")
        await true(lambda: panel.reason.value == "")
        panel.stop()
        await true(lambda: panel.session is None)

    asyncio.run(play())


def test_a_refused_kill_returns_the_button() -> None:
    async def play() -> None:
        panel = LivePanel(Session, EXPERIMENT)
        panel.start()
        await true(lambda: panel.session)
        panel.session.refuses = "not this one"
        panel.servers["s1"].value = False
        await true(lambda: "not this one" in panel.reason.value)
        await true(lambda: panel.servers["s1"].value)
        panel.session.refuses = ""
        panel.servers["s1"].value = False
        await true(lambda: not panel.session.alive["s1"])
        panel.servers["s1"].value = True
        await true(lambda: panel.session.alive["s1"])
        panel.stop()
        await true(lambda: panel.session is None)

    asyncio.run(play())


def test_only_algorithms_of_the_chosen_engine_are_offered() -> None:
    panel = LivePanel(Session, EXPERIMENT.but(policy="least_connections"))
    assert panel.policy.value == "least_connections"
    panel.engine.value = "nginx"
    assert [value for _, value in panel.policy.options] == ["round_robin", "ip_hash"]
    assert panel.policy.value == "round_robin"
    panel.engine.value = "live"
    assert "least_connections" in [value for _, value in panel.policy.options]


def test_a_new_panel_stops_the_session_of_the_one_before() -> None:
    async def play() -> None:
        first = LivePanel(Session, EXPERIMENT)
        first.start()
        await true(lambda: first.session)
        LivePanel(Session, EXPERIMENT)
        await true(lambda: first.session is None)
        assert Session.made[0].stopped

    asyncio.run(play())


def test_a_fault_of_the_session_is_shown() -> None:
    async def play() -> None:
        panel = LivePanel(Session, EXPERIMENT)
        panel.start()
        await true(lambda: panel.session)
        panel.session.faults.append("Stubborn.pick failed in line 3")
        await true(lambda: "Stubborn.pick failed in line 3" in panel.reason.value)
        panel.stop()
        await true(lambda: panel.session is None)

    asyncio.run(play())


def test_a_fault_of_the_session_is_shown_and_goes_when_something_else_is_done() -> None:
    async def play() -> None:
        panel = LivePanel(Session, EXPERIMENT)
        panel.start()
        await true(lambda: panel.session)
        panel.session.faults = ["Mine.pick returned None; <cell>, line 3", "crash s1 at 1 s: no such process"]
        await true(lambda: "Mine.pick returned None; &lt;cell&gt;, line 3" in panel.reason.value)
        assert "no such process" in panel.reason.value
        panel.policy.value = "random"
        await true(lambda: panel.reason.value == "")
        await asyncio.sleep(0.1)  # several looks later
        assert panel.reason.value == ""
        panel.session.faults = [*panel.session.faults, "Mine.done raised KeyError"]
        await true(lambda: "Mine.done" in panel.reason.value)
        panel.stop()
        await true(lambda: panel.session is None)

    asyncio.run(play())
