from __future__ import annotations

from lbkit import algorithms
from lbkit.viz.style import COLOURS, DASHES, POLICIES, look, policy_look


def test_every_algorithm_has_a_look_of_its_own() -> None:
    assert set(POLICIES) <= set(algorithms())
    looks = [policy_look(name) for name in POLICIES]
    assert len(set(looks)) == len(POLICIES)


def test_a_look_depends_on_the_name_only() -> None:
    assert policy_look("my_own") == policy_look("my_own")
    assert policy_look("my_own") not in {policy_look(name) for name in POLICIES}


def test_looks_repeat_late() -> None:
    total = len(COLOURS) * len(DASHES)
    assert len({look(i) for i in range(total)}) == total
    assert look(total) == look(0)
