"""The choice of algorithms that are compared side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from lbkit.core import Balancer, algorithms
from lbkit.viz.families import FAMILIES, family, one_line
from lbkit.viz.late import OpenedLate
from lbkit.viz.style import LOOKS, policy_look, title
from lbkit.viz.widget import on_main

MAX_POLICIES = 4  # side by side
STARTERS = (
    *("round_robin", "weighted_round_robin", "random"),
    *("power_of_two", "least_connections", "consistent_hash"),
)


class Choice(OpenedLate, anywidget.AnyWidget):
    """A choice of up to MAX_POLICIES algorithms; one more drops the oldest.

    The STARTERS, your own, and those that are chosen have a button in their colour; all are in a menu that
    can be searched. The browser sends what was pressed, and Python decides what is chosen then."""

    _esm = Path(__file__).with_name("choice.js")
    _css = Path(__file__).with_name("choice.css")
    offers: Any = traitlets.List().tag(sync=True)  # a dict for each algorithm, by family
    buttons: Any = traitlets.List().tag(sync=True)  # names, from left to right
    chosen: Any = traitlets.List().tag(sync=True)  # names, the oldest first

    def __init__(self, chosen: Iterable[str]) -> None:
        super().__init__(chosen=list(dict.fromkeys(chosen))[:MAX_POLICIES])
        self._on_change: Callable[[], object] = lambda: None
        self._press_soon: Callable[..., None] = self.press
        self.on_msg(self._received)
        self.refresh()

    def _received(self, _: object, content: Any, __: object) -> None:
        match content:
            case {"press": str(name)} if name in algorithms():
                self._press_soon(name)

    def observe_choice(self, on_change: Callable[[], object]) -> None:
        """Call `on_change` whenever another set of algorithms is chosen."""
        self._on_change = on_change
        self._press_soon = on_main(self.press)  # in the loop that runs now

    def refresh(self) -> None:
        """Offer the algorithms that there are now: classes may have been defined since, or forgotten."""
        known = algorithms()
        self.chosen = [name for name in self.chosen if name in known] or [STARTERS[0]]
        order = list(FAMILIES)
        self.offers = sorted(
            (offer(name, cls) for name, cls in known.items()),
            key=lambda o: (order.index(o["family"]), o["title"]),
        )
        self._line_up()

    def _line_up(self) -> None:
        own = [o["name"] for o in self.offers if o["name"] not in LOOKS]
        self.buttons = list(dict.fromkeys((*STARTERS, *own, *self.chosen)))

    def press(self, name: str) -> None:
        """Choose one more, or one less; the last one stays."""
        if name not in self.chosen:
            self.choose_only([*self.chosen, name][-MAX_POLICIES:])
        elif len(self.chosen) > 1:
            self.choose_only(other for other in self.chosen if other != name)

    def choose_only(self, names: Iterable[str]) -> None:
        """Choose these and no others; of names that there are no longer, none."""
        known, names = algorithms(), dict.fromkeys(names)
        before, self.chosen = self.chosen, [name for name in names if name in known][:MAX_POLICIES]
        if self.chosen != before:
            self._line_up()
            self._on_change()


def offer(name: str, algorithm: type[Balancer]) -> dict[str, Any]:
    """Return what the browser shows of an algorithm."""
    look = policy_look(name)
    return {
        "name": name,
        "title": title(name),
        "line": one_line(algorithm),
        "family": family(algorithm),
        "colour": look.colour,
        "dash": look.dash,
    }
