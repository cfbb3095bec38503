"""A learner's rule for retries, in the kit's place."""

from __future__ import annotations

import random

import pytest

from lbkit import Constant, Experiment, Policy, Retry, Server, run
from lbkit.course import Failed, own_retry

POLICY = Policy("round_robin", retries=2, retry=Retry(statuses=(500,), deadline=2.0))
FLEET = [Server("bad", service=Constant(0.02), error_rate=1.0), Server("good", service=Constant(0.02))]
NAMES = ["bad", "good"]


class Rule:
    """Repeats the first five failures, half a second later."""

    def __init__(self, rng: random.Random) -> None:
        self.begun = 0
        self.seen: list[Failed] = []

    def began(self) -> None:
        self.begun += 1

    def after(self, failed: Failed) -> tuple[str, float] | None:
        self.seen.append(failed)
        return ("good", 0.5) if len(self.seen) <= 5 else None


def test_a_rule_decides_in_a_simulated_proxy() -> None:
    made: list[Rule] = []

    def make(rng: random.Random) -> Rule:
        made.append(Rule(rng))
        return made[-1]

    experiment = Experiment(FLEET, policy=own_retry(make, NAMES, POLICY), seed=1).but(duration=5.0)
    for _ in range(2):
        result = run(experiment.at_load(0.3))
        rule = made[-1]
        assert rule.begun == len(result)
        assert result.attempt_counts["retries"] == 5
        assert sum(attempts > 1 for attempts in result.attempts) == 5
        assert sum(status == 500 for status in result.status) == len(rule.seen) - 5 > 5
        first = rule.seen[0]
        assert first[:4] == ("GET", True, ["bad"], NAMES)
        assert first.now < first.deadline <= first.now + 2.0
    assert len(made) == 2  # one for each run


def test_it_needs_rules_for_retries() -> None:
    with pytest.raises(ValueError, match="use Retry"):
        own_retry(Rule, NAMES, Policy())
