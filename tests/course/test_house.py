"""A score against the house is the same each time, and means what it says."""

from __future__ import annotations

import pytest

from lbkit import Balancer
from lbkit.course import house


@pytest.fixture(autouse=True)
def two_scenarios(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them are enough to see the rule."""
    monkeypatch.setattr(house, "SCENARIOS", {name: house.SCENARIOS[name] for name in ("equal", "failing")})
    monkeypatch.setattr(house, "SEEDS", (1,))
    house._cost_of_house.cache_clear()


def test_a_share_of_one_is_as_good_as_the_best_of_the_house() -> None:
    scores = {name: house.score(name) for name in house.HOUSE}
    for scenario in house.SCENARIOS:
        assert max(score.shares[scenario] for score in scores.values()) == 1.0
    assert all(0 < score.points <= 100 for score in scores.values())
    assert scores["round_robin"].points < scores["least_connections"].points


def test_a_score_is_reproduced() -> None:
    assert house.score("round_robin").points == house.score("round_robin").points


def test_failures_cost(own_algorithms: None) -> None:
    """A server that fails at once answers quickly: whoever likes that loses."""

    class LikesFailures(Balancer):
        def __init__(self) -> None:
            self.last = 0

        def pick(self, backends, key, now):  # type: ignore[no-untyped-def]
            return backends[1]  # s2, which fails

    assert house.cost("failing", house.Policy("likes_failures")) > house.cost(
        "failing", house.Policy("random")
    )


def test_the_ranking_has_the_house_and_the_learner_s_own(own_algorithms: None) -> None:
    lines = house.ranking("power_of_choices").splitlines()
    assert len(lines) == 1 + len(house.HOUSE) + 1
    assert "equal" in lines[0]
    points = [float(line.split()[1]) for line in lines[1:]]
    assert points == sorted(points, reverse=True)


def test_an_unknown_algorithm_is_an_error() -> None:
    with pytest.raises(ValueError, match="no algorithm 'fastest'"):
        house.score("fastest")
