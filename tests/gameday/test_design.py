"""A design as an experiment, and what it costs."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit import Admission, Balancer, Caching, Experiment, RateLimit, forget
from lbkit.gameday import Design, references, ticket_shop, without_each

CURTAIN = ticket_shop()


@given(europe=st.integers(0, 20), america=st.integers(0, 20), cached=st.booleans())
def test_the_cost_is_the_sum_of_the_prices(europe: int, america: int, cached: bool) -> None:
    if not europe + america:
        return
    design = Design({"europe": europe, "america": america}, cache=Caching("max-age=1") if cached else None)
    regions = bool(europe) + bool(america)
    assert design.cost(CURTAIN) == 10 * (europe + america) + 15 * (regions - 1) + 15 * cached


@pytest.mark.parametrize("name", references())
def test_each_reference_is_an_experiment_within_the_budget_that_a_file_can_hold(name: str) -> None:
    design = references()[name]
    experiment = design.experiment(CURTAIN, seed=3)
    assert experiment.seed == 3
    read = Experiment.from_toml(experiment.to_toml())
    assert json.loads(read.to_json()) == json.loads(experiment.to_json())
    assert design.cost(CURTAIN) <= CURTAIN.promises["cost"]


def test_nearest_means_geographic_with_the_algorithm_inside() -> None:
    policy = Design({"europe": 1}, "nearest", "power_of_choices", {"choices": 3}).policy(CURTAIN)
    assert policy.algorithm == "geographic"
    assert policy.options["inner"] == "power_of_choices"
    assert policy.options["options"] == {"choices": 3}
    assert policy.health


def test_a_class_of_your_own_is_an_algorithm() -> None:
    class FirstOfAll(Balancer):
        def pick(self, backends, key, now):
            return backends[0]

    try:
        experiment = Design({"europe": 2}, algorithm=FirstOfAll).experiment(CURTAIN)
        assert experiment.policy.algorithm == FirstOfAll.name
    finally:
        forget(FirstOfAll.name)


def test_each_part_is_taken_away_once_and_nothing_else_changes() -> None:
    course = references()["the course"].but(admission=Admission({"kind": "concurrency_limit", "limit": 99}))
    without = without_each(course)
    assert len(without) == 7
    assert without["no cache"] == course.but(cache=None)
    assert without["no second region"].servers == {"europe": 5}
    assert len({repr(design) for design in [course, *without.values()]}) == 8
    assert without_each(Design({"europe": 3})) == {}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"servers": {}}, "servers is {}: use a table such as"),
        ({"servers": {"europe": 0}}, "servers: there are none"),
        ({"servers": {"europe": 1.5}}, "servers.europe is 1.5: use a whole number from 0 to 100"),
        ({"servers": {"europe": 1}, "across": "best"}, "across is 'best': use nearest, anywhere"),
        ({"servers": {"europe": 1}, "cache": True}, "cache is True: use Caching"),
        ({"servers": {"europe": 1}, "retries": -1}, "retries"),
    ],
)
def test_a_wrong_part_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Design(**fields)


@pytest.mark.parametrize(
    ("design", "message"),
    [
        (Design({"asia": 1}), "servers: unknown region asia; known are europe, america"),
        (Design({"europe": 1}, algorithm="round_robbin"), "did you mean round_robin"),
        (Design({"europe": 1}, cache=Caching()), "design: cache.control is missing"),
        (Design({"europe": 1}, limits=["four"]), "design: limits[0] is 'four': use a RateLimit"),
    ],
)
def test_a_design_that_does_not_fit_says_which_part(design: Design, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        design.experiment(CURTAIN)


def test_an_unknown_part_is_named() -> None:
    with pytest.raises(TypeError, match=r"unknown part cash; known are .*did you mean cache"):
        Design({"europe": 1}).but(cash=None)
    with pytest.raises(ValueError, match="company is 'Curtain': use a Company"):
        Design({"europe": 1}).experiment("Curtain")


def test_a_limit_need_not_be_a_list() -> None:
    limit = RateLimit({"kind": "token_bucket", "rate": 4, "burst": 8})
    assert Design({"europe": 1}, limits=limit).limits == (limit,)
