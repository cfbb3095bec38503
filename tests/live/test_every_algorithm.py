"""Every algorithm that an engine claims answers requests there, in one session an engine."""

from __future__ import annotations

import time

import pytest
from needs import need, need_feature

need_feature("live")

from lbkit import Constant, Experiment, Policy, Traffic, servers
from lbkit.core import algorithms
from lbkit.live import PEERS, LiveSession

pytestmark = pytest.mark.live

PROGRAMS = {"live": "", "nginx": "nginx", "haproxy": "haproxy", "apache": "apache2", "caddy": "caddy"}
# Where the default options are not for all programs.
OPTIONS = {"power_of_choices": {"choices": 2}}
FEW = Experiment(
    servers(3, service=Constant(0.005)), Traffic(duration=300, clients=50, paths=50), seed=2
).at_load(0.15)
ANSWERS = 20  # required of each algorithm; the load is 90 a second


def claimed(on: str) -> list[str]:
    """Return the algorithms an engine says it has."""
    if on in PEERS:
        return list(PEERS[on].algorithms)
    return [name for name, cls in algorithms().items() if cls.__module__.startswith("lbkit.")]


@pytest.mark.parametrize("on", PROGRAMS)
def test_every_algorithm_answers(on: str) -> None:
    if PROGRAMS[on]:
        need(PROGRAMS[on])
    silent = {}
    with LiveSession(FEW, on) as session:
        for algorithm in claimed(on):
            session.switch(Policy(algorithm, OPTIONS.get(algorithm, {})))
            began = session.elapsed + 0.2  # a reload takes a moment
            end = time.monotonic() + 10
            while True:
                answers = [row for row in session.since(0)[-500:] if row[0] > began]
                if len(answers) >= ANSWERS:
                    break
                assert time.monotonic() < end, f"{algorithm}: {answers}"
                time.sleep(0.02)
            statuses = {row[6] for row in answers}
            if statuses != {200} or not {row[3] for row in answers} <= {"s1", "s2", "s3"}:
                silent[algorithm] = statuses
    assert not silent
