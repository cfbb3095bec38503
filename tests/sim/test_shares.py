"""Laws of every algorithm that is not keyed: equal servers share alike, and a recovered server comes back."""

from __future__ import annotations

from collections import Counter

import pytest
from variants import NAMES

from lbkit import Event, Experiment, Exponential, Policy, Traffic, run, servers
from lbkit.core import algorithms
from lbkit.experiment import Action

# One fills its first servers on purpose, one uses a part of the pool; the ring of the third is uneven.
UNEVEN = ("first_available", "subset", "haproxy_random")
SPREADING = [name for name in NAMES if not algorithms()[name].keyed and name not in UNEVEN]
every_algorithm = pytest.mark.parametrize("algorithm", SPREADING)

FIVE = servers(5, service=Exponential(0.05))
FAULT, RECOVERED, END = 20.0, 40.0, 190.0
BACK = 30.0  # seconds after which a recovered server has its fair share again
FAULTS = {
    "crash": (Event(FAULT, Action.CRASH, "s1"), Event(RECOVERED, Action.RECOVER, "s1")),
    "slow": (Event(FAULT, Action.SLOW, "s1", 10.0), Event(RECOVERED, Action.SLOW, "s1", 1.0)),
}


def shares(experiment: Experiment, since: float = 0.0) -> list[float]:
    """Return each server's picks since then, relative to an equal share."""
    result = run(experiment)
    served = zip(result.arrival, result.backend, strict=True)
    picks = Counter(server for when, server in served if when >= since and server >= 0)
    return [picks[i] / picks.total() * 5 for i in range(5)]


def share_of_recovered(algorithm: str, load: float, fault: str) -> float:
    policy, traffic = Policy(algorithm), Traffic(duration=END)
    experiment = Experiment(FIVE, traffic, policy, FAULTS[fault]).at_load(load)
    return shares(experiment, RECOVERED + BACK)[0]


@every_algorithm
def test_equal_servers_share_alike_at_low_load(algorithm: str) -> None:
    """Within 20 %, although their service times and all averages of them differ by chance."""
    experiment = Experiment(FIVE, Traffic(duration=1500), Policy(algorithm)).at_load(0.1)
    found = shares(experiment)
    assert 0.8 < min(found) <= max(found) < 1.2, found


@every_algorithm
@pytest.mark.parametrize("load", [0.2, 0.8])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_recovered_server_is_back_at_its_fair_share(algorithm: str, load: float, fault: str) -> None:
    assert 0.7 < share_of_recovered(algorithm, load, fault) < 1.4
