"""A figure of your own with a control for each number that it depends on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import floor, log10
from typing import Any

import ipywidgets as widgets

from lbkit.viz.drawing import Figure
from lbkit.viz.style import title
from lbkit.viz.widget import ControlPanel


class Explorer(ControlPanel):
    """Calls a function with the values of its controls, and shows the figure that it returns.

    As in `Explorer(draw, load=(0.1, 0.9, 0.7), retries=(0, 4, 3), budget=False)`. An argument is the lowest,
    highest and first value of a slider, which has steps of 1 if all three are whole numbers; True or False, a
    checkbox; or a list of words, a menu that begins with the first. Raises ValueError for anything else.
    """

    def __init__(self, draw: Callable[..., Figure], **arguments: Any) -> None:
        self._draw = draw
        super().__init__({name: control(name, what) for name, what in arguments.items()}, "lbkit-explorer")

    def draw(self) -> None:
        self.view.show(self._draw(**self.values))


STEPS = 50  # of a slider of fractions, at most


def control(name: str, what: Any) -> Any:
    """Return the control of an argument. Raises ValueError."""
    label = title(name)
    if isinstance(what, bool):
        return widgets.Checkbox(what, description=label, indent=False, layout={"width": "auto"})
    if isinstance(what, list) and what and all(isinstance(word, str) for word in what):
        return widgets.Dropdown(options=what, description=label)
    if isinstance(what, tuple) and is_range(what):
        lowest, highest, first = what
        if all(isinstance(value, int) for value in what):
            return widgets.IntSlider(first, lowest, highest, description=label)
        step = meeting(first - lowest, round_step((highest - lowest) / STEPS))
        return widgets.FloatSlider(first, min=lowest, max=highest, step=step, description=label)
    raise ValueError(f"{name} is {what!r}: use (lowest, highest, first), True, False or a list of words")


def meeting(distance: float, step: float) -> float:
    """Return a step, or a part of it, so that a slider can stand at the first value."""
    parts = (step / part for part in (1, 2, 4, 5, 10))
    return next((p for p in parts if abs(distance / p - round(distance / p)) < 1e-6), step)


def round_step(least: float) -> float:
    """Return the first of 1, 2 and 5, and their tenths, hundredths and so on, that is not below `least`."""
    power = 10.0 ** floor(log10(least))
    return float(f"{next(n for n in (1, 2, 5, 10) if n * power >= least * 0.999) * power:.3g}")


def is_range(what: Sequence[Any]) -> bool:
    """Return whether these are three numbers, the third one between the others."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in what)
    return len(what) == 3 and numbers and what[0] < what[1] and what[0] <= what[2] <= what[1]
