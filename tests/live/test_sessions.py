"""Sessions on real processes: the same as in the simulator."""

from __future__ import annotations

from collections import defaultdict

import pytest
from needs import need, need_feature

need_feature("live")

from lbkit import Event, Experiment, Policy, RollingDeploy, Sessions, Sticky, Traffic, run, servers

pytestmark = pytest.mark.live

TRAFFIC = Traffic(Sessions(rate=4, requests=8, think=0.3), duration=5)
FLEET = Experiment(servers(3), TRAFFIC)
EVENTS = [Event(2, "crash", "s2"), Event(4.9, "recover", "s2")]


def homes(result) -> dict[int, set[int]]:
    """Return the servers that each session met."""
    found = defaultdict(set)
    for session, backend in zip(result.session, result.backend, strict=True):
        found[session].add(backend)
    return found


@pytest.mark.parametrize("how", ["insert", "rewrite", "prefix", "learn", "source", "route"])
def test_sessions_stay_as_in_the_simulator(how: str) -> None:
    experiment = FLEET.but(policy=Policy("random", sticky=Sticky(how, "app")))
    live, simulated = run(experiment, on="live"), run(experiment)
    for result in (live, simulated):
        assert result.error_rate == 0
        assert all(len(found) == 1 for found in homes(result).values())
        assert result.sessions.moved == result.sessions.lost == 0
        assert result.sessions.begun > 8
    assert live.sessions.begun == simulated.sessions.begun
    first = dict(zip(live.session, live.client, strict=True))
    assert first == dict(zip(simulated.session, simulated.client, strict=True))


def test_without_them_sessions_wander() -> None:
    live = run(FLEET.but(policy="random"), on="live")
    assert live.sessions.lost == live.sessions.moved > 20
    assert live.extra["sessions_lost"] == live.sessions.lost  # as the servers said


@pytest.mark.parametrize("how", ["insert", "learn"])
def test_a_killed_server_takes_the_state_of_its_sessions_along(how: str) -> None:
    policy = Policy("round_robin", sticky=Sticky(how, "app"))
    result = run(FLEET.but(policy=policy, events=EVENTS), on="live")
    counts = result.sessions
    assert 0 < counts.hit <= counts.begun / 2
    assert counts.moved <= counts.hit
    assert result.extra["sessions_lost"] == counts.lost
    assert result.error_rate < 0.03
    rows = enumerate(zip(result.backend, result.arrival, strict=True))
    after = [row for row, (backend, at) in rows if backend == 1 and at > 2.2]
    assert all(result.arrival[row] > 4.8 for row in after)


def test_a_deploy_takes_the_state_of_sessions_along_too() -> None:
    policy = Policy("round_robin", sticky=Sticky(drain=False))
    deploy = RollingDeploy(at=1.5, settle=0.2)
    result = run(FLEET.but(policy=policy, deploy=deploy, duration=7), on="live")
    assert result.extra["sessions_lost"] == result.sessions.lost > 0


@pytest.mark.parametrize(("program", "found"), [("haproxy", "haproxy"), ("apache", "apache2")])
def test_real_programs_keep_them_too(program: str, found: str) -> None:
    need(found)
    experiment = FLEET.but(policy=Policy("round_robin", sticky=Sticky("insert")))
    result = run(experiment, on=program)
    assert result.sessions.moved == 0
    assert len({b for found in homes(result).values() for b in found}) == 3
