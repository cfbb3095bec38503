"""A learner's limiter, in the kit's place."""

from __future__ import annotations

from collections.abc import Callable

from lbkit import Experiment, Poisson, RateLimit, Traffic, run, servers
from lbkit.core.limit import limiters
from lbkit.course import own_limiter


class EveryHalfSecond:
    """Admits one request in half a second."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.next = 0.0

    def allow(self, cost: float = 1) -> bool:
        if self.clock() < self.next:
            return False
        self.next = self.clock() + 0.5
        return True


def test_it_guards_a_simulated_proxy_with_its_clock_and_one_for_each_key() -> None:
    limit = RateLimit(own_limiter("every_half_second", EveryHalfSecond), key="client")
    traffic = Traffic(Poisson(100), duration=10.0, clients=2)
    result = run(Experiment(servers(2), traffic, limits=limit))
    admitted = [t for t, status in zip(result.arrival, result.status, strict=True) if status == 200]
    assert 38 <= len(admitted) <= 42  # two clients, 10 seconds
    assert set(result.status) == {200, 429}
    assert limiters()["every_half_second"].__module__ == __name__  # not one of lbkit's
