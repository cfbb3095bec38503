from __future__ import annotations

from typing import Any

import pytest

from lbkit.viz.steps import Step, Steps


def build(load: float = 0.5, servers: int = 1, policy: str = "random") -> tuple[Any, ...]:
    return load, servers, policy


STEPS = Steps(
    build,
    [
        Step("Move the load.", load=(0.1, 0.9, 0.8)),
        Step("Three.", servers=3),
        Step("Who?", policy=["a", "b"]),
    ],
)


def test_arguments_have_their_defaults_until_a_step_brings_them() -> None:
    assert [STEPS.shows(n) for n in (1, 2, 3)] == [(0.8, 1, "random"), (0.8, 3, "random"), (0.8, 3, "a")]


def test_controls_come_with_their_steps_and_stay() -> None:
    assert [STEPS.controls_at(n) for n in (1, 2, 3)] == [{"load": 1}, {"load": 1}, {"load": 1, "policy": 3}]
    assert STEPS.shows(2, {"load": 0.2}) == (0.2, 3, "random")
    assert STEPS.shows(3, {"load": 0.2, "policy": "b"}) == (0.2, 3, "b")


def test_a_value_takes_the_place_of_a_control_and_another_control_that_of_the_value() -> None:
    steps = Steps(build, [Step("A.", load=(0, 9, 1)), Step("B.", load=2), Step("C.", load=(5, 7, 6))])
    assert [steps.controls_at(n) for n in (1, 2, 3)] == [{"load": 1}, {}, {"load": 3}]
    assert [steps.shows(n)[0] for n in (1, 2, 3)] == [1, 2, 6]


def test_a_value_may_change_from_step_to_step() -> None:
    steps = Steps(build, [Step("One.", servers=1), Step("Two.", servers=2)])
    assert [steps.shows(n)[1] for n in (1, 2)] == [1, 2]


def test_one_show_need_not_be_a_pair() -> None:
    assert Steps(lambda load: load, [Step("One.", load=3)]).shows(1) == (3,)
    assert Steps(lambda **all: all, [Step("One.", any=3)]).shows(1) == ({"any": 3},)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([], "a scene needs steps"),
        (["no step"], "a scene needs steps"),
        ([Step("One.", lod=(0.1, 0.9, 0.5))], "step 1: unknown argument of build lod.*mean load"),
    ],
)
def test_steps_that_do_not_fit_are_refused(steps: list[Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Steps(build, steps)


def test_an_argument_that_nothing_sets_is_named() -> None:
    with pytest.raises(ValueError, match="step 1 sets no load: set it there, or give build a default"):
        Steps(lambda load, seed=1: load, [Step("One.", seed=2), Step("Two.", load=3)])


@pytest.mark.parametrize("number", [0, 4, -1])
def test_a_step_that_is_not_there_is_named(number: int) -> None:
    with pytest.raises(IndexError, match=f"step is {number}: the scene has steps 1 to 3"):
        STEPS.shows(number)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"load": (1, 2)}, r"load is \(1, 2\): use \(lowest, highest, first\)"),
        ({"ask": object()}, "ask and outcome go together"),
        ({"outcome": len}, "ask and outcome go together"),
        ({"ask": "why?", "outcome": len}, "ask is 'why\\?': use predict"),
    ],
)
def test_a_wrong_step_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Step("One.", **arguments)


def test_a_step_needs_a_sentence() -> None:
    with pytest.raises(ValueError, match="give each step a sentence"):
        Step(" ")
