from __future__ import annotations

from array import array

import pytest

from lbkit import Experiment, Result, servers
from lbkit.events import Action
from lbkit.history import Change, Deed
from lbkit.result import COLUMNS


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Change(1, Action.CRASH, "s1"), "crash s1"),
        (Change(1, Action.SLOW, "s1", 0.25), "slow s1 0.25"),
        (Change(1, Action.SET_WEIGHT, "s2", 2.0), "weight s2 2"),
        (Change(1, Action.ADD, "s2"), "add s2"),
        (Change(1, Action.ADD, "s2", 3.0), "add s2 with weight 3"),
        (Change(1, Action.LOSE, "s1", 0.5), "lose 0.5 at s1"),
        (Change(1, Action.DELAY, "s1", 0.2), "delay s1 0.2 s"),
        (Change(1, Action.SWITCH, policy="random"), "switch to random"),
        (Change(1, Action.FAIL_DEPENDENCY, "s1", dependency="disk"), "disk failed s1"),
        (Change(1, Action.RESTORE_DEPENDENCY, dependency="disk"), "disk ok"),
        (Change(1, Deed.TAKE_OUT, "s1"), "take out s1"),
        (Change(1, Deed.SEND, "3", 20), "send 20 of client 3"),
    ],
)
def test_a_change_says_what_it_is(change: Change, said: str) -> None:
    assert change.what == said


def test_a_result_has_the_history_of_its_session() -> None:
    change = Change(1.0, Action.CRASH, "s1")
    experiment, columns = Experiment(servers(1)), {name: array(code) for name, code in COLUMNS.items()}
    assert Result(experiment, "live", columns, {"history": [change]}).history == (change,)
    assert Result(experiment, "sim", columns).history == ()
