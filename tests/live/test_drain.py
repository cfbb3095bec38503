"""The end of a drain's time, in the simulator, in our proxy and in real programs."""

from __future__ import annotations

import pytest
from needs import need, need_module

need_module("locust")
need_module("uvicorn")

from lbkit import ConstantRate, DrainRules, Event, Experiment, Policy, Traffic, run, servers
from lbkit.distributions import Constant
from lbkit.live import render

pytestmark = pytest.mark.live


def drill(timeout: float = 0.8) -> Experiment:
    """Two servers that take 4 s for a request; s1 drains at 2 s, with half of the requests until then."""
    policy = Policy("round_robin", retries=0, drain=DrainRules(timeout=timeout))
    return Experiment(
        servers(2, workers=20, service=Constant(4)),
        Traffic(ConstantRate(4), duration=4),
        policy,
        [Event(2, "drain", "s1")],
    )


@pytest.mark.parametrize("engine", ["sim", "live", "haproxy"])
def test_what_still_runs_at_the_deadline_is_cut_off(engine: str) -> None:
    if engine == "haproxy":
        need(engine)
    result = run(drill(), on=engine)
    assert result.extra.get("faults", []) == []
    before = [arrival < 1.9 for arrival in result.arrival]
    lost = [i for i, status in enumerate(result.status) if status != 200]
    assert len(lost) == pytest.approx(sum(before) / 2, abs=1)
    assert all(result.arrival[i] < 2.1 for i in lost)
    assert all(2.7 < result.end[i] < 3.8 for i in lost)  # at 2.8 s; a second for a busy machine
    later = {result.backends[b] for a, b in zip(result.arrival, result.backend, strict=True) if a > 2.3}
    assert later == {"s2"}


def test_nginx_cuts_off_all_that_its_old_workers_have_on_any_server() -> None:
    """It closes connections without an answer, so the clients send their GETs once more."""
    need("nginx")
    result = run(drill(), on="nginx")
    assert set(result.status) == {200}
    before = [i for i, arrival in enumerate(result.arrival) if arrival < 1.9]
    assert all(2.7 < result.end[i] - 4 < 3.8 for i in before)
    assert any("also those on other servers" in note for note in result.extra["notes"])


@pytest.mark.parametrize("engine", ["sim", "live", "haproxy", "nginx"])
def test_a_drain_with_time_enough_loses_nothing(engine: str) -> None:
    if engine in ("haproxy", "nginx"):
        need(engine)
    result = run(drill(timeout=20), on=engine)
    assert set(result.status) == {200}


def test_nginx_has_a_line_for_it() -> None:
    need("nginx")
    assert "worker_shutdown_timeout 800ms;" in render(drill(), "nginx")
    assert "worker_shutdown_timeout" not in render(drill(timeout=float("inf")), "nginx")
