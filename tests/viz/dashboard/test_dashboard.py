from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go
import pytest
from needs import need_module

need_module("anywidget")

from lbkit import Constant, Experiment, Traffic, run, servers
from lbkit.events import Action
from lbkit.history import Change
from lbkit.metrics import PANELS
from lbkit.metrics.names import IN_FLIGHT, REQUESTS
from lbkit.metrics.store import Scrape, labels
from lbkit.run import EngineError
from lbkit.viz import Dashboard
from lbkit.viz.dashboard import follow

EXPERIMENT = Experiment(servers(2, service=Constant(0.02)), Traffic(duration=10)).at_load(0.5)


class Session:
    """What a dashboard sees of a session, without processes."""

    on, policy, untold = "live", "round_robin", ""

    def __init__(self) -> None:
        self.experiment = EXPERIMENT
        self.history: list[Change] = []
        self.changes: list[Any] = []
        self.watchers: list[Callable[[], object]] = []
        self.running = True
        self.silent = False
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def metrics(self, clients: bool = False) -> Scrape:
        if self.silent:
            raise EngineError("it does not answer")
        count = 100 * self.elapsed * (2 if clients else 1)
        return {
            REQUESTS.name: {labels(backend="s1", code="2xx"): count},
            IN_FLIGHT.name: {labels(backend="s1"): 3.0},
        }


class Page:
    """A dashboard, and what it has sent."""

    def __init__(self, session: Session, **options: Any) -> None:
        self.sent: list[dict[str, Any]] = []
        self.dashboard = Dashboard(session, every=0.05, **options)
        self.dashboard.send = self.sent.append  # type: ignore[method-assign]

    def wait(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not true():
            assert time.monotonic() < end, self.sent[-3:]
            time.sleep(0.01)

    @property
    def frames(self) -> list[Any]:
        return [frame for message in self.sent for frame in message.get("more", ())]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "lbkit-dashboard"]


def test_a_session_is_followed_by_appended_frames_until_it_is_over_and_no_thread_is_left() -> None:
    session = Session()
    page = Page(session)
    page.wait(lambda: len(page.frames) > 30)
    assert {len(message["more"]) for message in page.sent} == {1}
    assert max(len(json.dumps(message)) for message in page.sent) < 200
    assert page.frames[-1][1][0] == [pytest.approx(100, rel=0.3)]
    assert page.frames[-1][2] == [3.0, None]
    session.running = False
    for wait in session.watchers:
        wait()
    assert threads() == []
    past = json.loads(page.dashboard.past)
    assert past["over"] == "the run is over"
    assert past["frames"] == page.frames


def test_close_and_stop_end_the_thread_while_the_session_goes_on() -> None:
    session = Session()
    page = Page(session)
    page.wait(lambda: len(page.frames) > 2)
    page.dashboard.close()
    page.dashboard.stop()
    assert threads() == []
    assert session.running


def test_changes_are_notes_of_the_frame_after_them() -> None:
    session = Session()
    page = Page(session)
    session.history.append(Change(0.01, Action.CRASH, "s1"))
    page.wait(lambda: any("notes" in message for message in page.sent))
    assert [note.what for message in page.sent for note in message.get("notes", ())] == ["crash s1"]
    page.dashboard.close()


def test_a_page_that_comes_later_gets_what_is_on_the_screen() -> None:
    session = Session()
    page = Page(session)
    page.wait(lambda: len(page.frames) > 2)
    page.dashboard._received(None, {"do": "catch up"}, None)
    whole = next(message for message in page.sent if "all" in message)
    assert len(whole["all"]) >= 3
    page.dashboard._received(None, {"do": "stop"}, None)
    assert threads() == []


def test_what_is_kept_is_bounded() -> None:
    page = Page(Session(), window=1)
    page.wait(lambda: len(page.frames) > 60)
    follower = page.dashboard.follower
    assert follower
    page.dashboard.close()
    assert len(follower.frames) == follower.frames.maxlen == 21
    assert follower._recent.times[-1] - follower._recent.times[0] < 2 * 2 * 25 * 0.05


def test_a_program_that_does_not_answer_for_a_moment_leaves_a_gap_and_for_long_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(follow, "UNANSWERED", 4)
    session = Session()
    page = Page(session)
    page.wait(lambda: len(page.frames) > 5)
    session.silent = True
    page.wait(lambda: json.loads(page.dashboard.past).get("over", "") != "")
    assert json.loads(page.dashboard.past)["over"] == "stopped: it does not answer"
    for wait in session.watchers:
        wait()
    assert threads() == []


def test_clients_are_another_source_and_the_page_says_so() -> None:
    page = Page(Session(), clients=True)
    page.wait(lambda: len(page.frames) > 30)
    page.dashboard.close()
    assert page.frames[-1][1][0] == [pytest.approx(200, rel=0.3)]
    assert json.loads(page.dashboard.spec)["words"] == "round robin on live, by what clients see"


def test_a_result_is_told_at_once_and_its_charts_are_plotly() -> None:
    dashboard = Dashboard(run(EXPERIMENT), show=[panel.title for panel in PANELS[:6]])
    spec, past = json.loads(dashboard.spec), json.loads(dashboard.past)
    assert dashboard.follower is None
    assert threads() == []
    assert spec["pace"] == 1
    assert len(past["frames"]) > 40
    for panel in spec["panels"]:
        go.Figure(layout=panel["layout"])  # with plotly's validation
        for line in panel["lines"]:
            go.Scatter(line={key: value for key, value in line.items() if key != "name"})
    for part in ("heat", "states"):
        go.Figure(layout=spec[part]["layout"])


def test_a_long_run_plays_for_a_minute_and_all_of_it_is_in_sight() -> None:
    dashboard = Dashboard(run(EXPERIMENT.but(duration=600).at_load(0.02)))
    spec = json.loads(dashboard.spec)
    assert spec["pace"] == 10
    assert spec["window"] == pytest.approx(600, rel=0.02)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"show": ["Latencies"]}, "there are Requests.*did you mean Latency"),
        ({"show": []}, "show is"),
        ({"show": "Latency"}, "show is 'Latency': use a list"),
        ({"every": 0}, "every"),
        ({"window": 0}, "window"),
        ({"pace": -1}, "pace"),
    ],
)
def test_what_cannot_be_is_one_error(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Dashboard(run(EXPERIMENT.but(duration=1)), **options)


def test_it_needs_a_result_or_a_session_that_runs() -> None:
    with pytest.raises(ValueError, match=r"source is .*: use a Result, or a LiveSession that runs"):
        Dashboard(EXPERIMENT)  # type: ignore[arg-type]
    session = Session()
    session.running = False
    with pytest.raises(ValueError, match="session does not run"):
        Dashboard(session)
