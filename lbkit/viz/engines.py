"""The choice of an engine; engines that this machine cannot run are grey, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape

import ipywidgets as widgets
import traitlets

from lbkit.needs import why_not
from lbkit.run import ENGINES


class EngineSelector(widgets.VBox):  # type: ignore[misc]
    """A button for each engine. `value` is the chosen engine, `reasons` why the others cannot run.

    >>> where = EngineSelector()
    >>> run(experiment, on=where.value)  # doctest: +SKIP
    """

    value = traitlets.Unicode()

    def __init__(
        self,
        engines: Iterable[str] = tuple(ENGINES),
        value: str | None = None,
        never: dict[str, str] | None = None,
        ask: Callable[[str], str] = why_not,
    ) -> None:
        """`value`: the first choice, if it can run; else the first that can. `never`: engine -> a reason why
        it is not offered here, whatever the machine has. Raises ValueError for an unknown engine."""
        self.reasons = {name: (never or {}).get(name) or ask(name) for name in engines}
        possible = [name for name, reason in self.reasons.items() if not reason]
        self.buttons = {
            name: widgets.ToggleButton(
                description=name,
                disabled=bool(reason),
                tooltip=reason or f"run on {name}",
                layout={"width": "auto"},
            )
            for name, reason in self.reasons.items()
        }
        wrap = widgets.Layout(flex_flow="row wrap", width="100%")
        missing = [escape(reason) for reason in self.reasons.values() if reason]
        notes = widgets.HTML(f"<small style='opacity:.7'>{'<br>'.join(missing)}</small>")
        super().__init__(
            [widgets.Box([widgets.Label("on"), *self.buttons.values()], layout=wrap)]
            + ([notes] if missing else [])
        )
        self.add_class("lbkit-engines")
        for name, button in self.buttons.items():
            button.observe(lambda change, name=name: self._pressed(name, change["new"]), "value")
        self.observe(lambda change: self._show(change["new"]), "value")
        if possible:
            self.value = value if value in possible else possible[0]

    def _pressed(self, name: str, down: bool) -> None:
        if down:
            self.value = name
        elif self.value == name:
            self.buttons[name].value = True  # one is always chosen

    def _show(self, chosen: str) -> None:
        for name, button in self.buttons.items():
            button.value = name == chosen

    def lock(self, locked: bool) -> None:
        """Lock the choice while an experiment runs, or unlock it."""
        for name, button in self.buttons.items():
            button.disabled = locked or bool(self.reasons[name])

    def __repr__(self) -> str:
        return f"<EngineSelector {self.value}>"
