"""A figure of your own with a control for each number that it depends on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lbkit.viz.controls import NO_LABELS, Labels, checked_labels, control
from lbkit.viz.drawing import Figure
from lbkit.viz.widget import ControlPanel


class Explorer(ControlPanel):
    """Calls a function with the values of its controls, and shows the figure that it returns.

    As in `Explorer(draw, load=(0.1, 0.9, 0.7), retries=(0, 4, 3), budget=False)`. An argument is the lowest,
    highest and first value of a slider, which has steps of 1 if all three are whole numbers; True or False, a
    checkbox; or a list of words, a menu that begins with the first. `labels` has, by argument, the name
    to show instead of its own, or (name, tooltip). Raises ValueError for anything else.
    """

    def __init__(self, draw: Callable[..., Figure], *, labels: Labels = NO_LABELS, **arguments: Any) -> None:
        self._draw = draw
        named = checked_labels(labels, arguments)
        super().__init__(
            {name: control(name, what, *named.get(name, ())) for name, what in arguments.items()},
            "lbkit-explorer",
        )

    def draw(self) -> None:
        self.view.show(self._draw(**self.values))
