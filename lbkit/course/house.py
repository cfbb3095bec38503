"""Beat the house: an algorithm against the usual ones, on a fixed set of scenarios.

`score("turns").points` repeats a score: scenarios, seeds and house are fixed here, and the simulator gives
the same numbers on every machine. The cost of a request is its response time, or PENALTY seconds if it
fails. In each scenario an algorithm has the share (cost of the best of the house) / (own cost); the points
are 100 times the geometric mean of the shares. So 100 points are for one that is everywhere as good as the
specialist, and more than 100 beat the house.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from statistics import fmean, geometric_mean

from lbkit.columns import good
from lbkit.core import Balancer
from lbkit.distributions import Exponential, LogNormal
from lbkit.events import Action, Event
from lbkit.experiment import Experiment, Traffic, servers
from lbkit.policy import Policy
from lbkit.run import run

HOUSE = ("round_robin", "random", "least_connections", "power_of_two", "peak_ewma", "prequal")
SEEDS = (1, 2, 3)
PENALTY = 1.0  # seconds

_TRAFFIC = Traffic(duration=40.0, warmup=5.0)
_EIGHT = Experiment(servers(8, service=Exponential(0.05)), _TRAFFIC)


def _many_balancers(policy: Policy) -> Policy:
    return Policy(policy.algorithm, options=policy.options, balancers=8)


@dataclass(frozen=True)
class Scenario:
    """An experiment, and what is different about the policy in it."""

    experiment: Experiment
    policy: Callable[[Policy], Policy] = lambda policy: policy


_UNEQUAL = servers(8, service=Exponential(0.05), speed=(1, 1, 1, 1, 1, 1, 2, 4))
_HEAVY = servers(8, service=LogNormal(0.05, cv=3.0))
_FAILS = (Event(10.0, Action.FAIL, "s2", 1.0), Event(25.0, Action.RECOVER, "s2"))

SCENARIOS: Mapping[str, Scenario] = {
    "equal": Scenario(_EIGHT.at_load(0.8)),
    "unequal": Scenario(_EIGHT.but(servers=_UNEQUAL).at_load(0.7)),
    "heavy-tailed": Scenario(_EIGHT.but(servers=_HEAVY).at_load(0.6)),
    "failing": Scenario(_EIGHT.but(events=_FAILS).at_load(0.6)),
    "many balancers": Scenario(_EIGHT.at_load(0.8), _many_balancers),
}


@dataclass(frozen=True)
class Score:
    """The points of an algorithm, and its share in each scenario: 1.0 is as good as the best of the house.

    `runs` of all that are necessary stand behind it; with fewer, later ones may change it."""

    algorithm: str
    shares: Mapping[str, float]
    runs: int

    @property
    def points(self) -> float:
        return 100 * geometric_mean(self.shares.values())

    @property
    def final(self) -> bool:
        return self.runs == len(SCENARIOS) * len(SEEDS)


def score(algorithm: str | type[Balancer] | Policy) -> Score:
    """Return the score of an algorithm: some seconds of computing. Raises ValueError for an unknown one."""
    return list(scoring(algorithm))[-1]


def scoring(algorithm: str | type[Balancer] | Policy) -> Iterator[Score]:
    """Yield the score so far after each run: first all scenarios with one seed, then the other seeds.

    Raises ValueError for an unknown algorithm, AlgorithmError for one that breaks its contract."""
    policy = Policy.of(algorithm)
    own: dict[str, list[float]] = {}
    done = [(seed, scenario) for seed in SEEDS for scenario in SCENARIOS]
    for runs, (seed, scenario) in enumerate(done, 1):
        own.setdefault(scenario, []).append(_cost_of(scenario, policy, seed))
        shares = {name: _best_of_the_house(name, len(costs)) / fmean(costs) for name, costs in own.items()}
        yield Score(policy.algorithm, shares, runs)


def sample(scenario: str, policy: Policy, seed: int = SEEDS[0]) -> Experiment:
    """Return one of the experiments of which a scenario consists."""
    entry = SCENARIOS[scenario]
    return entry.experiment.but(policy=entry.policy(policy), seed=seed)


def cost(scenario: str, policy: Policy) -> float:
    """Return the mean cost of a request in a scenario, in seconds, over all seeds."""
    return fmean(_cost_of(scenario, policy, seed) for seed in SEEDS)


def _cost_of(scenario: str, policy: Policy, seed: int) -> float:
    if policy.algorithm in HOUSE and policy == Policy(policy.algorithm):
        return _cost_of_house(scenario, policy.algorithm, seed)
    return _cost(sample(scenario, policy, seed))


def _cost(experiment: Experiment) -> float:
    result = run(experiment)
    rows = zip(result.counted, result.status, result.latency, strict=True)
    return fmean(latency if good(status) else PENALTY for counted, status, latency in rows if counted)


@cache
def _cost_of_house(scenario: str, algorithm: str, seed: int) -> float:
    return _cost(sample(scenario, Policy(algorithm), seed))


def _best_of_the_house(scenario: str, seeds: int) -> float:
    """Return the lowest cost over the first seeds."""
    return min(_mean_of_house(scenario, algorithm, seeds) for algorithm in HOUSE)


def _mean_of_house(scenario: str, algorithm: str, seeds: int) -> float:
    return fmean(_cost_of_house(scenario, algorithm, seed) for seed in SEEDS[:seeds])


def best_of_the_house(scenario: str) -> str:
    """Return the name of the algorithm of the house that is best in a scenario, with the first seed."""
    return min(HOUSE, key=lambda algorithm: _cost_of_house(scenario, algorithm, SEEDS[0]))


def ranking(*own: str | type[Balancer] | Policy) -> str:
    """Return the house and your own algorithms as a table, the best first."""
    scores = sorted((score(each) for each in (*own, *HOUSE)), key=lambda each: -each.points)
    lines = [f"{'':24}{'points':>8}" + "".join(f"{name:>16}" for name in SCENARIOS)]
    for each in scores:
        shares = "".join(f"{share:16.2f}" for share in each.shares.values())
        lines.append(f"{each.algorithm:24}{each.points:8.1f}{shares}")
    return "\n".join(lines)
