"""A score against the house is the same each time, and means what it says."""

from __future__ import annotations

import pytest

from lbkit import Balancer
from lbkit.course import house

pytestmark = pytest.mark.usefixtures("small_house")


def test_a_share_of_one_is_as_good_as_the_best_of_the_house() -> None:
    scores = {name: house.score(name) for name in house.HOUSE}
    for scenario in house.SCENARIOS:
        assert max(score.shares[scenario] for score in scores.values()) == 1.0
    assert all(0 < score.points <= 100 for score in scores.values())
    assert scores["round_robin"].points < scores["least_connections"].points


def test_a_score_is_reproduced() -> None:
    assert house.score("round_robin").points == house.score("round_robin").points


def test_a_first_score_needs_one_run_of_each_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house, "SEEDS", (1, 2))
    steps = list(house.scoring("random"))
    assert [(step.runs, list(step.shares)) for step in steps] == [
        (1, ["equal"]),
        (2, ["equal", "failing"]),
        (3, ["equal", "failing"]),
        (4, ["equal", "failing"]),
    ]
    assert [step.final for step in steps] == [False, False, False, True]
    assert steps[-1] == house.score("random")
    assert steps[1].shares != steps[3].shares


def test_the_best_of_the_house_is_known() -> None:
    best = house.best_of_the_house("equal")
    assert house.score(best).shares["equal"] == 1.0


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
