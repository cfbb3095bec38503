"""A learner's load shedding, in the kit's place."""

from __future__ import annotations

from lbkit import Constant, Experiment, run, servers
from lbkit.course import own_shedding


class Half:
    """Rejects half of all requests once one has ended, for a second."""

    def __init__(self) -> None:
        self.until = 0.0

    def share(self, now: float) -> float:
        return 0.5 if now < self.until else 0.0

    def ended(self, ok: bool, now: float) -> None:
        assert ok
        self.until = now + 1.0


def test_it_decides_in_a_simulated_proxy_and_is_new_for_each_run() -> None:
    fleet = servers(2, service=Constant(0.01))
    experiment = Experiment(fleet, admission=own_shedding(Half), seed=1).but(duration=20.0).at_load(0.3)
    shares = []
    for _ in range(2):
        statuses = run(experiment).status
        assert set(statuses) == {200, 503}
        assert statuses[0] == 200
        shares.append(sum(status == 503 for status in statuses) / len(statuses))
    assert 0.4 < shares[0] < 0.6
    assert shares[0] == shares[1]
