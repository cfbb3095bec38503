"""Blue-green and canary deploys of a fleet in memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.judge import Counts
from lbkit.core.rollout import RolloutState
from lbkit.core.state_change import StateChange
from lbkit.core.traffic_shift import LOOKS, BlueGreen, Canary, TrafficShift

BLUE, GREEN = ("b1", "b2"), ("g1", "g2")
WEIGHTS = {"b1": 1.0, "b2": 3.0, "g1": 1.0, "g2": 1.0}


class FakeFleet:
    """Blue servers serve at first. Those that serve share 400 requests a second by weight."""

    def __init__(self, green_errors: float = 0.0) -> None:
        self.calls: list[str] = []
        self.serving = {name: WEIGHTS[name] for name in BLUE}
        self.least = len(BLUE)
        self.green_errors = green_errors
        self.total = {name: Counts(500, 5) for name in BLUE}
        self.shares: list[float] = []  # of green servers, second by second

    def add(self, name: str, weight: float) -> None:
        self.calls.append(f"add {name}")
        self.serving[name] = weight

    def set_weight(self, name: str, weight: float) -> None:
        assert name in self.serving
        self.serving[name] = weight

    def drain(self, name: str) -> None:
        self.calls.append(f"drain {name}")
        del self.serving[name]
        self.least = min(self.least, len(self.serving))

    def undrain(self, name: str) -> None:
        self.calls.append(f"undrain {name}")
        self.serving[name] = WEIGHTS[name]

    def drained(self, name: str) -> bool:
        return True

    def serves(self, name: str) -> bool:
        return True

    def replace(self, name: str, new: bool) -> None:
        raise AssertionError("nothing is replaced")

    def counts(self) -> dict[str, Counts]:
        return dict(self.total)

    def serve(self) -> None:
        whole = sum(self.serving.values())
        for name, weight in self.serving.items():
            requests = round(400 * weight / whole)
            errors = round(requests * (self.green_errors if name in GREEN else 0.01))
            self.total[name] = self.total.get(name, Counts()) + Counts(requests, errors)
        self.shares.append(sum(self.serving.get(name, 0) for name in GREEN) / whole)


def play(fleet: FakeFleet, rules: BlueGreen | Canary) -> tuple[TrafficShift, list[StateChange], int]:
    """Return the deploy, the changes, and the second of its end."""
    changes: list[StateChange] = []
    deploy = TrafficShift(rules, WEIGHTS, fleet, changes.append)
    for now in range(1000):
        deploy.advance(now)
        if deploy.over:
            return deploy, changes, now
        fleet.serve()
    raise AssertionError("it does not end")


def test_traffic_switches_at_once_and_the_pool_is_never_empty() -> None:
    fleet = FakeFleet()
    deploy, changes, end = play(fleet, BlueGreen(GREEN, settle=10))
    assert deploy.state is RolloutState.DONE
    assert fleet.calls == ["add g1", "add g2", "drain b1", "drain b2"]
    assert fleet.least == 2
    assert fleet.serving == {"g1": 1, "g2": 1}
    assert end == 10
    assert [(c.backend, c.after) for c in changes] == [
        ("g1", "serving"),
        ("g2", "serving"),
        ("b1", "reserve"),
        ("b2", "reserve"),
    ]


def test_a_version_that_fails_is_sent_back_at_the_first_look() -> None:
    fleet = FakeFleet(green_errors=0.2)
    deploy, _, end = play(fleet, BlueGreen(GREEN, settle=10))
    assert deploy.state is RolloutState.ROLLED_BACK
    assert end == 10 / LOOKS
    assert set(fleet.serving) == set(BLUE)
    assert fleet.least == 2


@given(st.sampled_from([0.0, 0.01, 0.03, 0.5]), st.integers(0, 30), st.sampled_from([0.0, 0.01, 0.2]))
def test_it_ends_with_all_of_one_colour(errors: float, settle: int, false_alarms: float) -> None:
    fleet = FakeFleet(errors)
    deploy, _, _ = play(fleet, BlueGreen(GREEN, settle=settle, false_alarms=false_alarms))
    assert set(fleet.serving) == set(GREEN if deploy.state is RolloutState.DONE else BLUE)
    if not false_alarms or errors <= 0.01:
        assert deploy.state is RolloutState.DONE


# -- canary -------------------------------------------------------------------------------------------


def test_traffic_goes_over_in_steps_of_shares() -> None:
    fleet = FakeFleet(green_errors=0.01)
    deploy, changes, end = play(fleet, Canary(GREEN, shares=(0.01, 0.1, 0.5, 1), settle=5))
    assert deploy.state is RolloutState.DONE
    assert fleet.shares == pytest.approx([0.01] * 5 + [0.1] * 5 + [0.5] * 5 + [1] * 5)
    assert end == 20
    assert fleet.serving == {"g1": 1, "g2": 1}
    mine = [(c.at, c.after) for c in changes if c.backend == "g1"]
    assert mine == [(0, "0.01 of traffic"), (5, "0.1 of traffic"), (10, "0.5 of traffic"), (15, "serving")]
    assert [(c.at, c.after) for c in changes if c.backend == "b1"] == [(15, "reserve")]


@given(st.floats(0.001, 0.999), st.floats(0.01, 100), st.floats(0.01, 100))
def test_weights_give_the_share_whatever_the_servers_own_weights_are(
    share: float, old: float, new: float
) -> None:
    fleet = FakeFleet()
    weights = {"b1": old, "b2": old, "g1": new, "g2": 2 * new}
    deploy = TrafficShift(Canary(GREEN, shares=(share, 1)), weights, fleet)
    fleet.serving = {name: weights[name] for name in BLUE}
    deploy.advance(0)
    green = fleet.serving["g1"] + fleet.serving["g2"]
    assert green / sum(fleet.serving.values()) == pytest.approx(share)
    assert fleet.serving["g2"] == pytest.approx(2 * fleet.serving["g1"])


def test_a_canary_that_fails_is_sent_back_before_it_gets_more() -> None:
    fleet = FakeFleet(green_errors=0.5)
    deploy, changes, end = play(fleet, Canary(GREEN, shares=(0.05, 0.5, 1), settle=5))
    assert deploy.state is RolloutState.ROLLED_BACK
    assert end <= 5
    assert max(fleet.shares) == pytest.approx(0.05)
    assert fleet.calls == ["add g1", "add g2", "drain g1", "drain g2"]  # no old server was touched
    assert [(c.before, c.after, c.why) for c in changes][-1] == ("0.05 of traffic", "outside", "rolled back")


def test_the_old_version_is_judged_by_what_it_does_at_the_same_time() -> None:
    """Before, all its requests failed: a new version with 20 % would look good against that."""
    for rules, ends in ((Canary(GREEN, shares=(0.5, 1)), "rolled back"), (BlueGreen(GREEN), "done")):
        fleet = FakeFleet(green_errors=0.2)
        fleet.total = {name: Counts(500, 500) for name in BLUE}
        assert play(fleet, rules)[0].state.value == ends


@given(st.sampled_from([0.0, 0.01, 0.1, 0.5]), st.integers(0, 12), st.sampled_from([0.0, 0.01]))
def test_a_canary_ends_with_all_of_one_version_and_no_step_is_left_out(
    errors: float, settle: int, false_alarms: float
) -> None:
    fleet = FakeFleet(errors)
    rules = Canary(GREEN, shares=(0.02, 0.2, 1), settle=settle, false_alarms=false_alarms)
    deploy, changes, _ = play(fleet, rules)
    assert set(fleet.serving) == set(GREEN if deploy.state is RolloutState.DONE else BLUE)
    assert fleet.least >= 2
    for name in WEIGHTS:
        mine = [c for c in changes if c.backend == name]
        assert [c.before for c in mine[1:]] == [c.after for c in mine[:-1]]
    steps = [c.after for c in changes if c.backend == "g1" and c.why != "rolled back"]
    assert steps == ["0.02 of traffic", "0.2 of traffic", "serving"][: len(steps)]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"green": ()}, "green is \\(\\): use a list of servers' names"),
        ({"green": "g1"}, "green is 'g1': use a list"),
        ({"green": ("g1",), "settle": -1}, "settle is -1: use seconds"),
        ({"green": ("g1",), "false_alarms": 2}, "false_alarms is 2: use a probability"),
    ],
)
def test_rules_that_make_no_sense(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        BlueGreen(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"new": ()}, "new is \\(\\): use a list of servers' names"),
        ({"shares": ()}, "shares is \\(\\): use rising shares up to 1"),
        ({"shares": (0.1, 0.5)}, "shares is .*: use rising shares up to 1"),
        ({"shares": (0.5, 0.1, 1)}, "shares is .*: use rising shares up to 1"),
        ({"shares": (0, 1)}, "shares is .*: use rising shares up to 1"),
        ({"shares": (float("nan"), 1)}, "shares is .*: use rising shares up to 1"),
        ({"settle": float("inf")}, "settle is inf: use seconds"),
        ({"false_alarms": -1}, "false_alarms is -1: use a probability"),
    ],
)
def test_canaries_that_make_no_sense(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Canary(**{"new": ("g1",), **wrong})  # type: ignore[arg-type]
