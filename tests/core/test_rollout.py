"""A rolling deploy of a fleet in memory."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.judge import Counts
from lbkit.core.rollout import RollingDeploy, Rollout, RolloutState, Step
from lbkit.core.state_change import StateChange


class FakeFleet:
    """Servers that take a given number of looks to drain and to start."""

    def __init__(self, names: str, drains: int = 2, starts: int = 3, new_errors: float = 0.0) -> None:
        self.calls: list[str] = []
        self.drains, self.starts, self.new_errors = drains, starts, new_errors
        self.new = dict.fromkeys(names, False)
        self.waits: dict[str, int] = {}
        self.out: set[str] = set()
        self.total = dict.fromkeys(names, Counts())
        self.most_out = 0

    def drain(self, name: str) -> None:
        assert name not in self.out, "what is out of the pool never has drained"
        self.calls.append(f"drain {name}")
        self.out.add(name)
        self.waits[name] = self.drains

    def _waited(self, name: str) -> bool:
        self.waits[name] -= 1
        return self.waits[name] <= 0

    drained = serves = _waited

    def replace(self, name: str, new: bool) -> None:
        self.calls.append(f"{'new' if new else 'old'} {name}")
        self.new[name] = new
        self.waits[name] = self.starts
        self.out.add(name)

    def undrain(self, name: str) -> None:
        self.calls.append(f"undrain {name}")
        self.out.discard(name)

    def counts(self) -> dict[str, Counts]:
        return dict(self.total)

    def serve(self) -> None:
        self.most_out = max(self.most_out, len(self.out))
        for name, new in self.new.items():
            if name not in self.out:
                self.total[name] += Counts(100, round(100 * self.new_errors) if new else 0)


def play(fleet: FakeFleet, rules: RollingDeploy) -> tuple[Rollout, list[StateChange]]:
    changes: list[StateChange] = []
    rollout = Rollout(rules, fleet.new, fleet, changes.append)
    for now in range(1000):
        rollout.advance(now)
        if rollout.over:
            return rollout, changes
        fleet.serve()
    raise AssertionError(f"it does not end: {rollout.state}")


def test_one_after_the_other() -> None:
    fleet = FakeFleet("ab")
    rollout, changes = play(fleet, RollingDeploy(settle=5))
    assert rollout.state is RolloutState.DONE
    assert fleet.calls == ["drain a", "new a", "undrain a", "drain b", "new b", "undrain b"]
    assert fleet.most_out == 1
    mine = [change.after for change in changes if change.backend == "a"]
    assert mine == ["draining", "starting", "settling", "serving"]
    assert changes[3].at - changes[2].at == 5
    assert changes[4].at == changes[3].at  # b follows at once


def test_a_plain_restart_takes_no_server_out_of_the_pool() -> None:
    fleet = FakeFleet("ab")
    play(fleet, RollingDeploy(drain=False))
    assert fleet.calls == ["new a", "new b"]


def test_the_canary_is_alone_and_has_longer() -> None:
    fleet = FakeFleet("abcde")
    _, changes = play(fleet, RollingDeploy(settle=2, canary=30, batch=2))
    assert fleet.most_out == 2
    began = [(change.at, change.backend) for change in changes if change.after == "draining"]
    assert [name for at, name in began if at < 30] == ["a"]
    assert began[1][0] == began[2][0]


def test_a_version_that_fails_is_rolled_back_after_the_first_server() -> None:
    fleet = FakeFleet("abcd", new_errors=0.2)
    rollout, changes = play(fleet, RollingDeploy(settle=5))
    assert rollout.state is RolloutState.ROLLED_BACK
    assert fleet.calls == ["drain a", "new a", "undrain a", "drain a", "old a", "undrain a"]
    assert not any(fleet.new.values())
    assert [change.why for change in changes if change.why] == ["new version", "old version"]


def test_a_server_that_only_drains_is_undrained_when_the_others_are_rolled_back() -> None:
    fleet = FakeFleet("abcd", drains=1, new_errors=0.2)
    waited = fleet._waited
    fleet.drained = lambda name: name != "b" and waited(name)
    rollout, _ = play(fleet, RollingDeploy(settle=5, batch=2))
    assert rollout.state is RolloutState.ROLLED_BACK
    assert not any(fleet.new.values())
    assert not fleet.out
    assert "new b" not in fleet.calls


@pytest.mark.parametrize("drain", [True, False])
def test_a_version_that_does_not_start_is_rolled_back(drain: bool) -> None:
    fleet = FakeFleet("abc", starts=1000)
    serves = fleet.serves
    fleet.serves = lambda name: not fleet.new[name] or serves(name)
    rollout, changes = play(fleet, RollingDeploy(drain=drain, batch=2, start_timeout=30))
    assert rollout.state is RolloutState.ROLLED_BACK
    assert set(fleet.new.values()) == {False}
    assert not fleet.out or not drain
    assert [call for call in fleet.calls if "c" in call.split()] == []  # the third was never touched
    timed_out = next(change for change in changes if change.why == "old version")
    assert timed_out.at == 30 + next(change.at for change in changes if change.why == "new version")


def test_an_old_version_that_does_not_start_either_is_waited_for() -> None:
    fleet = FakeFleet("a", starts=10**9)
    rollout = Rollout(RollingDeploy(start_timeout=30), fleet.new, fleet)
    for now in range(1000):
        rollout.advance(now)
    assert rollout.state is RolloutState.ROLLING_BACK
    fleet.waits["a"] = 0
    for now in range(1000, 1010):
        rollout.advance(now)
    assert rollout.state is RolloutState.ROLLED_BACK


def test_a_version_that_is_never_judged_goes_out_whatever_it_does() -> None:
    fleet = FakeFleet("abc", new_errors=1)
    rollout, _ = play(fleet, RollingDeploy(false_alarms=0))
    assert rollout.state is RolloutState.DONE


@given(
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(0, 5),
    st.sampled_from([0.0, 0.01, 0.3]),
    st.booleans(),
    st.integers(0, 20),
)
def test_all_servers_end_with_one_version_and_in_service(
    servers: int, batch: int, waits: int, new_errors: float, drain: bool, canary: int
) -> None:
    fleet = FakeFleet("abcdef"[:servers], waits, waits, new_errors)
    rollout, changes = play(fleet, RollingDeploy(batch=batch, drain=drain, settle=3, canary=canary))
    assert set(fleet.new.values()) == {rollout.state is RolloutState.DONE}
    assert fleet.most_out <= max(batch, 1) or not drain
    if drain:
        assert not fleet.out
    for name in fleet.new:
        chain = ["serving", *(change.after for change in changes if change.backend == name)]
        assert [c.before for c in changes if c.backend == name] == chain[:-1]
        assert chain[-1] == "serving"


class UnevenFleet(FakeFleet):
    """Servers that drain and start in times of their own."""

    def __init__(self, names: str, rng: random.Random) -> None:
        super().__init__(names, new_errors=rng.choice([0.0, 0.01, 0.3, 1.0]))
        self.rng = rng

    def _waited(self, name: str) -> bool:
        return self.rng.random() < 0.2

    drained = serves = _waited


def test_fleets_at_random_reach_every_step_and_every_end_and_none_is_a_trap() -> None:
    steps, ends = set(), set()
    for seed in range(100):
        rng = random.Random(seed)
        fleet = UnevenFleet("abcdef"[: rng.randint(1, 6)], rng)
        rules = RollingDeploy(batch=rng.randint(1, 3), drain=rng.random() < 0.8, settle=rng.randrange(5))
        rollout, changes = play(fleet, rules)  # which ends
        steps |= {change.after for change in changes}
        ends.add(rollout.state)
        assert set(fleet.new.values()) == {rollout.state is RolloutState.DONE}
    assert steps == {step.value for step in Step}
    assert ends == {RolloutState.DONE, RolloutState.ROLLED_BACK}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"batch": 0}, "batch is 0: use a whole number"),
        ({"settle": -1}, "settle is -1: use seconds"),
        ({"false_alarms": 1}, "false_alarms is 1: use a probability"),
        ({"speed": 0}, "speed is 0: use a factor"),
        ({"error_rate": 2}, "error_rate is 2: use a share"),
    ],
)
def test_rules_that_make_no_sense(wrong: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        RollingDeploy(**wrong)  # type: ignore[arg-type]
