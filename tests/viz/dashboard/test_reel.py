from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import need_module

need_module("anywidget")

from lbkit import Constant, Event, Experiment, Policy, Result, Traffic, run, servers
from lbkit.metrics import panels
from lbkit.viz.dashboard.frames import UNKNOWN, Recorder, plain
from lbkit.viz.dashboard.lamps import FIRING, usual_rules
from lbkit.viz.dashboard.reel import MOST_FRAMES, Reel, interval, reel
from lbkit.viz.states import LEVELS

EXPERIMENT = Experiment(
    servers(3, service=Constant(0.05)),
    Traffic(duration=40),
    policy=Policy("round_robin", retries=0),
    events=[Event(10, "crash", "s1"), Event(25, "recover", "s1"), Event(30, "drain", "s2")],
).at_load(0.6)
PANELS = {panel.title: panel for panel in panels(5.0)}
AT, VALUES, FLIGHTS, LEVELS_OF, LAMPS = range(5)


@pytest.fixture(scope="module")
def result() -> Result:
    return run(EXPERIMENT)


@pytest.fixture(scope="module")
def made(result: Result) -> Reel:
    return reel(result, [PANELS["Requests"], PANELS["Latency"]], usual_rules(EXPERIMENT), 0.2)


def test_rates_and_percentiles_are_those_of_the_rows(made: Reel, result: Result) -> None:
    frame = next(frame for frame in made.frames if frame[AT] == 20.0)
    rates = dict(zip(made.lines[0], frame[VALUES][0], strict=True))
    ended = [status for end, status in zip(result.end, result.status, strict=True) if 15 < end <= 20]
    assert rates["2xx"] == pytest.approx(sum(s == 200 for s in ended) / 5, rel=0.1)
    failed = sum(s >= 500 for s in ended) / 5
    assert failed > 1
    assert rates["5xx"] == pytest.approx(failed, rel=0.1)
    p50, p95, p99 = frame[VALUES][1]
    assert 0.025 <= p50 <= p95 <= p99 <= 1.0
    assert made.lines[1] == ["p50", "p95", "p99"]


def test_in_flight_and_states_have_a_row_for_each_server(made: Reel) -> None:
    assert made.rows == ["s1", "s2", "s3"]
    by_time = {frame[AT]: frame for frame in made.frames}
    assert by_time[20.0][FLIGHTS][0] == 0
    assert any(frame[FLIGHTS][2] for frame in made.frames)
    s2 = made.rows.index("s2")
    assert by_time[29.0][LEVELS_OF][s2] == 0
    assert LEVELS[by_time[39.0][LEVELS_OF][s2]] in ("coming or going", "out of service")


def test_lamps_and_notes_follow_what_happens(made: Reel) -> None:
    said = {(note.what, note.kind) for note in made.notes}
    assert {("crash s1", ""), ("recover s1", ""), ("drain s2", ""), ("HighErrorRate", "fires")} <= said
    fires = next(note.at for note in made.notes if note.what == "HighErrorRate")
    assert 10 + 5 <= fires <= 10 + 5 + 3
    assert [note.at for note in made.notes] == sorted(note.at for note in made.notes)
    lit = [frame[AT] for frame in made.frames if frame[LAMPS][0] == FIRING]
    assert min(lit) == pytest.approx(fires, abs=0.21)


def test_it_can_be_written_and_a_second_is_short(made: Reel) -> None:
    written = json.dumps(made.frames, allow_nan=False)
    assert len(written) / len(made.frames) < 200


def test_a_long_run_has_no_more_frames_than_a_short_one() -> None:
    long = run(EXPERIMENT.but(duration=400, events=()).at_load(0.05))
    step = interval(long, 0.2)
    assert len(reel(long, [PANELS["Requests"]], [], step).frames) <= MOST_FRAMES + 3


def test_a_server_that_joins_later_is_out_until_then() -> None:
    recorder = Recorder(EXPERIMENT.but(events=(Event(10, "add", "s3"),)), [])
    assert recorder._level("s3", None) == LEVELS.index("out of service")
    recorder.happened([], [Event(10, "add", "s3")])
    assert recorder._level("s3", None) == 0
    assert recorder._level("all", None) == UNKNOWN


@given(st.floats())
def test_a_value_on_the_page_is_a_number_of_four_digits_or_nothing(value: float) -> None:
    found = plain(value)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    if found is not None:
        assert found == pytest.approx(value, rel=1e-3)
