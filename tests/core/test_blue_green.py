"""A blue-green deploy, before a fleet in memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.blue_green import LOOKS, BlueGreen, Switchover
from lbkit.core.canary import Counts
from lbkit.core.rollout import RolloutState
from lbkit.core.state_change import StateChange

BLUE, GREEN = ("b1", "b2"), ("g1", "g2")


class FakeFleet:
    """Blue servers serve at first; each that serves answers a hundred requests a second."""

    def __init__(self, green_errors: float = 0.0) -> None:
        self.told: list[str] = []
        self.serving = set(BLUE)
        self.least = len(BLUE)
        self.green_errors = green_errors
        self.total = {name: Counts(500, 5) for name in BLUE}

    def add(self, name: str) -> None:
        self.told.append(f"add {name}")
        self.serving.add(name)

    def drain(self, name: str) -> None:
        self.told.append(f"drain {name}")
        self.serving.remove(name)
        self.least = min(self.least, len(self.serving))

    def undrain(self, name: str) -> None:
        self.told.append(f"undrain {name}")
        self.serving.add(name)

    def drained(self, name: str) -> bool:
        return True

    def serves(self, name: str) -> bool:
        return True

    def replace(self, name: str, new: bool) -> None:
        raise AssertionError("nothing is replaced")

    def counts(self) -> dict[str, Counts]:
        return dict(self.total)

    def serve(self) -> None:
        for name in self.serving:
            errors = round(100 * self.green_errors) if name in GREEN else 1
            self.total[name] = self.total.get(name, Counts()) + Counts(100, errors)


def play(fleet: FakeFleet, rules: BlueGreen) -> tuple[Switchover, list[StateChange], int]:
    """Return the deploy, the changes, and the second of its end."""
    changes: list[StateChange] = []
    deploy = Switchover(rules, BLUE, fleet, changes.append)
    for now in range(1000):
        deploy.advance(now)
        if deploy.over:
            return deploy, changes, now
        fleet.serve()
    raise AssertionError("it does not end")


def test_traffic_goes_over_at_once_and_some_server_is_there_at_any_time() -> None:
    fleet = FakeFleet()
    deploy, changes, end = play(fleet, BlueGreen(GREEN, settle=10))
    assert deploy.state is RolloutState.DONE
    assert fleet.told == ["add g1", "add g2", "drain b1", "drain b2"]
    assert fleet.least == 2
    assert fleet.serving == set(GREEN)
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
    assert fleet.serving == set(BLUE)
    assert fleet.least == 2


@given(st.sampled_from([0.0, 0.01, 0.03, 0.5]), st.integers(0, 30), st.sampled_from([0.0, 0.01, 0.2]))
def test_it_ends_with_all_of_one_colour(errors: float, settle: int, false_alarms: float) -> None:
    fleet = FakeFleet(errors)
    deploy, _, _ = play(fleet, BlueGreen(GREEN, settle=settle, false_alarms=false_alarms))
    assert fleet.serving == set(GREEN if deploy.state is RolloutState.DONE else BLUE)
    if not false_alarms or errors <= 0.01:
        assert deploy.state is RolloutState.DONE


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
