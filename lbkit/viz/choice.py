"""The choice of algorithms that are compared side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import ipywidgets as widgets

from lbkit.core import algorithms
from lbkit.viz.style import LOOKS, POLICIES, title
from lbkit.viz.widget import on_main

MAX_POLICIES = 4  # side by side
MORE = "more ..."


class Choice(widgets.Box):  # type: ignore[misc]
    """A choice of up to MAX_POLICIES algorithms; one more drops the oldest.

    The well-known ones, your own, and those that are chosen have a button; the others are in a list."""

    def __init__(self, chosen: Iterable[str]) -> None:
        self.chosen = list(chosen)[:MAX_POLICIES]
        self.buttons: dict[str, Any] = {}
        self.more = widgets.Dropdown(layout={"width": "200px"})
        self._on_change: Callable[[], object] = lambda: None
        super().__init__(layout={"flex_flow": "row wrap", "width": "100%"})
        self.refresh()

    def observe_choice(self, on_change: Callable[[], object]) -> None:
        """Call `on_change` whenever another set of algorithms is chosen."""
        self._on_change = on_change
        self._pressed_soon = on_main(self._pressed)  # in the loop that runs now
        self.more.observe(on_main(lambda change: self.choose(change["new"])), "value")
        for name, button in self.buttons.items():
            self._observe(name, button)

    def refresh(self) -> None:
        """Offer the algorithms that there are now: classes may have been defined since, or forgotten."""
        known = algorithms()
        self.chosen = [name for name in self.chosen if name in known] or [POLICIES[0][0]]
        own = [name for name in known if name not in LOOKS]
        buttons = dict.fromkeys((*POLICIES[0], *own, *self.chosen))
        for name in buttons:
            if name not in self.buttons:
                self.buttons[name] = widgets.ToggleButton(
                    description=title(name),
                    value=name in self.chosen,
                    tooltip=(known[name].__doc__ or name).strip().partition("\n")[0],
                    layout={"width": "auto"},
                )
                if hasattr(self, "_pressed_soon"):
                    self._observe(name, self.buttons[name])
        self.buttons = {name: self.buttons[name] for name in buttons}
        rest = [(title(name), name) for name in sorted(known) if name not in self.buttons]
        self.more.options = [(MORE, ""), *rest]
        self.more.value = ""
        self.children = [*self.buttons.values(), self.more]

    def choose(self, name: str) -> None:
        """Choose one more."""
        if not name or name in self.chosen:
            return
        self.chosen.append(name)
        dropped = self.chosen.pop(0) if len(self.chosen) > MAX_POLICIES else ""
        self.refresh()
        self.buttons[name].value = True
        if dropped in self.buttons:
            self.buttons[dropped].value = False
        self._on_change()

    def choose_only(self, names: Iterable[str]) -> None:
        """Choose these and no others."""
        known = algorithms()
        before, self.chosen = self.chosen, [name for name in names if name in known][:MAX_POLICIES]
        self.refresh()
        for name, button in self.buttons.items():
            button.value = name in self.chosen
        if self.chosen != before:
            self._on_change()

    def _observe(self, name: str, button: Any) -> None:
        button.observe(lambda change: self._pressed_soon(name, change["new"]), "value")

    def _pressed(self, name: str, on: bool) -> None:
        if on == (name in self.chosen):
            return  # set by `choose`, not by the user
        if on:
            self.choose(name)
        elif len(self.chosen) > 1:
            self.chosen.remove(name)
            self._on_change()
        else:
            self.buttons[name].value = True  # the last one stays
