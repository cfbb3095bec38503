from __future__ import annotations

from typing import Any

import pytest

from lbkit.viz import Explorer, figures
from lbkit.viz.drawing import Figure


def drawn(load: float, retries: int, budget: bool, queue: str) -> Figure:
    return figures.curves(f"{load} {retries} {budget} {queue}", {"one": ([0, load], [0, 1])}, "x", "y")


def panel() -> Explorer:
    return Explorer(drawn, load=(0.1, 0.9, 0.5), retries=(0, 4, 3), budget=False, queue=["fifo", "lifo"])


def test_the_function_gets_the_values_of_the_controls() -> None:
    explorer = panel()
    assert "0.5 3 False fifo" in explorer.view.spec
    for name, value in {"load": 0.9, "retries": 1, "budget": True, "queue": "lifo"}.items():
        explorer.controls[name].value = value
    assert "0.9 1 True lifo" in explorer.view.spec


def test_controls_may_have_plain_names() -> None:
    named = Explorer(
        lambda load: drawn(load, 0, False, ""), load=(0.1, 0.9, 0.5), labels={"load": ("use", "of all")}
    )
    assert (named.controls["load"].description, named.controls["load"].tooltip) == ("use", "of all")
    with pytest.raises(ValueError, match="labels: unknown control retries"):
        Explorer(lambda load: drawn(load, 0, False, ""), load=(0.1, 0.9, 0.5), labels={"retries": "tries"})


def test_each_change_draws_once_and_the_button_puts_the_first_values_back() -> None:
    explorer = panel()
    before = explorer.view.number
    explorer.controls["retries"].value = 2
    assert explorer.view.number == before + 1
    explorer.reset.click()
    assert "0.5 3 False fifo" in explorer.view.spec


@pytest.mark.parametrize(
    "what", [3, (1, 2), (2, 1, 1), (0, 1, 2), (0, 1, True), [], [1], ("a", "b", "c"), None]
)
def test_what_is_no_control_is_refused_by_its_name(what: Any) -> None:
    with pytest.raises(ValueError, match=r"load is .*: use \(lowest, highest, first\)"):
        Explorer(lambda load: drawn(load, 0, False, ""), load=what)
