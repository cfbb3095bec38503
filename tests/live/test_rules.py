"""Rules of every engine: what a crash does to requests, what ends a slowdown, when a server is back."""

from __future__ import annotations

from statistics import median

import pytest
from needs import need, need_docker, need_feature

need_feature("live")

from lbkit import Constant, Event, Experiment, Poisson, Result, Server, Traffic, run
from lbkit.live import notes

pytestmark = pytest.mark.live

# Two servers that take 40 ms. s1 slows down, crashes with requests in flight, and is back at its old speed;
# s2 slows down and recovers without a crash.
RULES = Experiment(
    [Server(name, service=Constant(0.04), workers=50, boot=0.5) for name in ("s1", "s2")],
    Traffic(Poisson(80), duration=7, clients=20),
    policy="round_robin",
    events=[
        Event(0.5, "slow", "s1", 0.2),
        Event(0.5, "slow", "s2", 0.2),
        Event(1.5, "recover", "s2"),
        Event(2, "crash", "s1"),
        Event(2.2, "slow", "s1", 0.2),  # of a process that is not there
        Event(2.5, "recover", "s1"),
    ],
    seed=3,
)
PROGRAMS = {"nginx": "nginx", "haproxy": "haproxy", "apache": "apache2", "caddy": "caddy"}
# Requests that the crash may cost, where the program does not send all of them again.
LOST = {"apache": 50, "caddy": 50}


def service(result: Result, server: int, begin: float, end: float) -> float:
    """Return the median service time of a server's requests in a time window."""
    rows = zip(result.backend, result.start, result.service, strict=True)
    return median(work for b, start, work in rows if b == server and begin < start < end)


def check(result: Result, lost: int) -> None:
    for server in (0, 1):
        assert service(result, server, 0.7, 1.4) == pytest.approx(0.2, rel=0.25)
    assert 0.03 < service(result, 1, 1.7, 7) < 0.08
    back = min(start for b, start in zip(result.backend, result.start, strict=True) if b == 0 and start > 2.1)
    assert back >= 3  # recover at 2.5, 0.5 s of boot; a busy machine starts later
    assert 0.03 < service(result, 0, back, 7) < 0.08
    bad = [a for a, status in zip(result.arrival, result.status, strict=True) if status != 200]
    assert len(bad) <= lost, bad
    assert not result.faults


@pytest.mark.parametrize("on", ["sim", "live", *PROGRAMS])
def test_a_crash_a_slowdown_and_a_boot(on: str) -> None:
    if on in PROGRAMS:
        need(PROGRAMS[on])
    result = run(RULES, on=on)
    check(result, LOST.get(on, 0))
    if on != "sim":
        assert any("serves once its process has started: s1" in note for note in result.notes)
    if on in LOST:
        assert any("crash" in note for note in notes(RULES, on))


@pytest.mark.container
def test_the_same_in_containers() -> None:
    need_docker()
    check(run(RULES, on="docker"), 0)
