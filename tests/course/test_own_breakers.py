"""A learner's circuit breakers, in the kit's place."""

from __future__ import annotations

from lbkit import Constant, Experiment, Policy, Server, run
from lbkit.course import own_breakers

FLEET = [Server("bad", service=Constant(0.02), error_rate=1.0), Server("good", service=Constant(0.02))]


class Third:
    """Closes the door of a backend for ever after its third failure."""

    def __init__(self) -> None:
        self.failures: dict[str, int] = {}

    def allows(self, backend: str, now: float) -> bool:
        return self.failures.get(backend, 0) < 3

    def started(self, backend: str, now: float) -> None:
        self.latest = now

    def ended(self, backend: str, started: float, ok: bool, now: float) -> None:
        assert started <= self.latest <= now
        self.failures[backend] = self.failures.get(backend, 0) + (not ok)


def test_they_decide_in_a_simulated_proxy_and_are_new_for_each_run() -> None:
    experiment = Experiment(FLEET, policy=own_breakers(Third, Policy("round_robin")), seed=1)
    for _ in range(2):
        result = run(experiment.but(duration=10.0).at_load(0.1))
        assert 3 <= sum(status == 500 for status in result.status) <= 4  # one may have been on its way
        assert [change.backend for change in result.changes] == ["bad"]
