from __future__ import annotations

import threading
import time
from statistics import median

import pytest
from needs import need_feature

need_feature("live")

from lbkit import (
    Balancer,
    Closed,
    Constant,
    Event,
    Experiment,
    Policy,
    Server,
    Trace,
    Traffic,
    run,
    servers,
    watchdog,
)
from lbkit.interrupted import Interrupted
from lbkit.live import LiveSession, LoadError, run_live
from lbkit.live.progress import Progress

pytestmark = pytest.mark.live

EXPERIMENT = Experiment(
    servers(3, service=Constant(0.02)), Traffic(duration=2, clients=10), policy="round_robin", seed=5
).at_load(0.5)


class LastInLine(Balancer):
    """A learner's own."""

    def pick(self, backends, key, now):  # type: ignore[no-untyped-def]
        return backends[-1]


def test_the_same_requests_as_in_simulation() -> None:
    simulated, measured = run(EXPERIMENT), run(EXPERIMENT, on="live")
    by_arrival = sorted(range(len(measured)), key=measured.arrival.__getitem__)
    for column in ("arrival", "client", "path"):
        played = [measured.columns[column][i] for i in by_arrival]
        assert played == pytest.approx(list(simulated.columns[column]))
    assert measured.error_rate == 0
    assert set(measured.status) == {200}
    assert all(e > s >= a for a, s, e in zip(measured.arrival, measured.start, measured.end, strict=True))
    # Each is 20 ms, less what the one before took too long; a busy machine delays some by much.
    assert 0.017 < median(measured.service) < 0.035
    assert measured.extra["locust_requests"] == len(measured)
    assert max(measured.counts.values()) - min(measured.counts.values()) <= 1


def test_a_learners_own_algorithm_picks_in_both() -> None:
    experiment = EXPERIMENT.but(policy=LastInLine, duration=1)
    for engine in ("sim", "live"):
        assert run(experiment, on=engine).shares["s3"] == 1


def test_a_closed_loop() -> None:
    experiment = EXPERIMENT.but(arrivals=Closed(users=4, think=0.02), duration=2)
    measured = run(experiment, on="live")
    assert 50 < len(measured) < 4 * 2 / 0.04 + 4
    order = sorted(zip(measured.arrival, measured.end, strict=True))
    assert all(sum(a <= arrival < e for a, e in order) <= 4 for arrival, _ in order)


@pytest.mark.parametrize("arrivals", [Trace([0.0, 0.1, 0.2, 0.8, 0.9]), Closed(users=3, think=0.01)])
def test_a_request_without_an_answer_after_the_grace_is_an_error(arrivals: Trace | Closed) -> None:
    """Answers take 0.8 s, and the last ones count at 1.3 s."""
    slow = Experiment(
        [Server("slow", service=Constant(0.8), workers=100)], Traffic(arrivals, duration=1), seed=2
    )
    measured = run(slow, on="live", grace=0.3)
    late = [a > 0.5 for a in measured.arrival]
    assert any(late)
    assert [status == 0 for status in measured.status] == late
    assert all(e < 1.6 for e in measured.end)
    with pytest.raises(ValueError, match="grace is -1: use a number at least 0"):
        run(slow, on="live", grace=-1)


def test_events_are_carried_out() -> None:
    events = [Event(0.5, "crash", "s1"), Event(1, "remove", "s2"), Event(1.5, "slow", "s3", 0.5)]
    measured = run(EXPERIMENT.but(events=events, duration=2.5).at_load(0.2), on="live")
    rows = list(zip(measured.arrival, measured.backend, measured.service, strict=True))
    # Half a second for a busy machine.
    assert not [a for a, b, _ in rows if b == 0 and a > 1.0]
    assert not [a for a, b, _ in rows if b == 1 and a > 1.5]
    late = [s for a, b, s in rows if b == 2 and a > 2.0]
    assert late
    assert 0.035 < median(late) < 0.07


@pytest.mark.parametrize(("engine", "balancers"), [("sim", 2), ("live", 1), ("live", 2)])
def test_a_server_that_left_or_drains_comes_back(engine: str, balancers: int) -> None:
    events = [Event(0.5, "remove", "s1"), Event(1.5, "add", "s1"), Event(1.5, "drain", "s2")]
    events += [Event(2.5, "undrain", "s2")]
    measured = run(
        EXPERIMENT.but(duration=3.5, events=events, policy=Policy("random", balancers=balancers)), on=engine
    )
    assert measured.error_rate == 0
    assert not measured.extra.get("faults")
    seen = [
        {
            measured.backends[b]
            for b, a in zip(measured.backend, measured.arrival, strict=True)
            if low < a < high
        }
        for low, high in ((0, 0.45), (1.0, 1.45), (2.0, 2.45), (3.0, 3.5))
    ]
    assert seen == [{"s1", "s2", "s3"}, {"s2", "s3"}, {"s1", "s3"}, {"s1", "s2", "s3"}]


def test_latency_counts_from_the_intended_start() -> None:
    """A server that takes 0.3 s a request and gets ten a second: the last wait for all before them."""
    slow = Experiment([Server("one", service=Constant(0.3))], Traffic(duration=1)).at_load(3)
    simulated, measured = run(slow), run(slow, on="live")
    assert 0.98 * simulated.mean < measured.mean < 1.4 * simulated.mean  # a busy machine only adds
    assert measured.mean > 0.6


def test_steering() -> None:
    with LiveSession(EXPERIMENT.but(duration=60)) as session:
        until(lambda: len(session.since(0)) > 10)
        session.switch("last_in_line")
        now = session.elapsed
        until(lambda: session.elapsed > now + 1)
        with pytest.raises(ValueError, match="no algorithm 'lats'"):
            session.switch("lats")
        session.crash("s1")
        session.set_weight("s2", 0)
        state = {row["name"]: row for row in session.state()}
        assert [state[n]["alive"] for n in ("s1", "s2", "s3")] == [False, True, True]
        assert state["s2"]["weight"] == 0
        recent = session.result(last=0.7)
        assert recent.policy == "last_in_line"
        assert recent.shares["s3"] == 1
        assert recent.experiment.traffic.duration == pytest.approx(0.7)
        session.recover("s1")
        assert session.state()[0]["alive"]
        assert not session.done
    session.stop()  # again
    assert not [t for t in threading.enumerate() if t.name.startswith("lbkit-")]


def until(true, seconds: float = 20) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_locust_that_ends_early_is_an_error() -> None:
    session = LiveSession(EXPERIMENT.but(duration=30)).start()
    try:
        assert session._load
        assert session._load._locust
        session._load._locust.processes()[0].kill()
        with pytest.raises(LoadError, match="Locust broke off"):
            session.wait()
    finally:
        session.stop()


def test_an_error_at_the_start_leaves_nothing_running(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise LoadError("no")

    monkeypatch.setattr("lbkit.live.session.Load.start", broken)
    session = LiveSession(EXPERIMENT)
    with pytest.raises(LoadError):
        session.start()
    assert not any(session._fleet.alive().values())
    assert not [t for t in threading.enumerate() if t.name.startswith("lbkit-")]


def test_several_balancers_in_one_proxy_and_load_reports() -> None:
    small = Experiment(servers(3, service=Constant(0.005)), Traffic(duration=2), seed=2).at_load(0.2)
    for policy in (Policy("least_connections", balancers=3), Policy("prequal"), Policy("choice_of_two")):
        with LiveSession(small.but(policy=policy)) as session:
            session.wait()
            state = session.state()
            result = session.result()
        assert result.error_rate == 0
        assert {row["name"]: row["picks"] for row in state} == result.counts
        assert min(result.counts.values()) > 0


def test_progress_is_the_share_of_time_and_the_requests_and_errors_so_far() -> None:
    seen: list[Progress] = []
    failing = EXPERIMENT.but(servers=[Server("s1", service=Constant(0.001), error_rate=1.0)], duration=1)
    result = run(failing.at_load(0.05), on="live", watch=seen.append)
    assert len(seen) >= 3
    assert [p.requests for p in seen] == sorted(p.requests for p in seen)
    assert all(0 <= p.share <= 1 for p in seen)
    last = seen[-1]
    assert 0 < last.errors == last.requests <= len(result)
    assert str(Progress(2.5, 10, 1234, 1)) == "25% of 10 s: 1,234 requests, 1 error"


def test_an_interrupted_run_has_the_requests_that_ended_and_leaves_nothing() -> None:
    def interrupt(now: Progress) -> None:
        if now.requests >= 40:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        run_live(EXPERIMENT.but(duration=20), watch=interrupt)
    result = caught.value.result
    assert 40 <= len(result) < 600
    assert result.interrupted
    assert "of 20 s" in result.faults[0]
    assert result.experiment.traffic.duration < 10
    assert result.engine == "live"
    assert not [t for t in threading.enumerate() if t.name.startswith("lbkit")]


def test_the_history_has_the_time_of_each_change_and_the_policy_from_then_on() -> None:
    with LiveSession(EXPERIMENT.but(duration=3, events=[Event(0.2, "set_weight", "s2", 2)])) as session:
        time.sleep(0.6)
        session.switch("least_connections")
        session.crash("s1")
        session.recover("s1")
        with pytest.raises(ValueError, match="no_such"):
            session.switch("no_such")
        assert session.policy == "least_connections"
        before = session.elapsed
        since = session.result(last=0.2).extra["since"]
        assert before - 0.2 <= since <= session.elapsed - 0.2
    assert [(c.what, c.policy) for c in session.history] == [
        ("weight s2 2", "round_robin"),
        ("switch to least_connections", "least_connections"),
        ("crash s1", "least_connections"),
        ("recover s1", "least_connections"),
    ]
    assert [c.at for c in session.history] == sorted(c.at for c in session.history)


# -- an algorithm that fails -----------------------------------------------------------------------


class Nameless(Balancer):
    def pick(self, backends, key, now):  # type: ignore[no-untyped-def]
        return backends[0].name


class Endless(Balancer):
    def pick(self, backends, key, now):  # type: ignore[no-untyped-def]
        while True:
            pass


def test_a_failing_algorithm_is_reported_once_in_the_faults(capfd: pytest.CaptureFixture[str]) -> None:
    result = run(EXPERIMENT.but(policy=Nameless, duration=1), on="live")
    assert set(result.status) == {500}
    (fault,) = result.faults
    assert fault.startswith(
        f"Nameless.pick returned 's1', which is no backend: return the backend itself; {__file__}"
    )
    assert fault.endswith(f"({len(result)} times)")
    assert fault in result.warnings
    assert "Nameless" not in capfd.readouterr().err


def test_an_endless_pick_is_interrupted_and_the_session_continues(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watchdog, "PERIOD", 0.05)
    with LiveSession(EXPERIMENT.but(policy=Endless, duration=60)) as session:
        until(lambda: len(session.since(0)) > 5)
        assert [f for f in session.faults if "Endless.pick did not return, and was interrupted" in f]
        session.switch("round_robin")
        now = session.elapsed
        until(lambda: session.elapsed > now + 1)
        recent = session.result(last=0.7)
        assert recent.error_rate == 0
        assert recent.faults == tuple(session.faults)
    assert not [t for t in threading.enumerate() if t.name.startswith("lbkit-")]


def test_an_event_that_cannot_be_carried_out_is_a_fault_of_the_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise OSError("no such process")

    monkeypatch.setattr(LiveSession, "crash", broken)
    result = run(EXPERIMENT.but(events=[Event(0.2, "crash", "s1")], duration=1), on="live")
    assert result.faults == ("crash s1 at 0.2 s: no such process",)
