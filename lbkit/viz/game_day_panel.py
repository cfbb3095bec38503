"""Choose the parts of a design, play its game day, and see which reference designs it beats."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import ipywidgets as widgets

from lbkit.caching import Caching
from lbkit.core import algorithms
from lbkit.core.health import HealthRules
from lbkit.core.options import whole
from lbkit.core.text import shown
from lbkit.gameday import Company, Design, Scorecard, references, scorecard
from lbkit.gameday.design import ANYWHERE, NEAREST
from lbkit.gameday.reference import BREAKER, CAREFUL, CHECKS, FAIR_SHARE
from lbkit.viz.game_day import game_day
from lbkit.viz.widget import FigureView, Panel, on_main, reset_button

MOST = 10  # servers of a region
OFFERED = (
    *("round_robin", "random", "power_of_two", "least_connections", "least_response_time"),
    *("ip_hash", "consistent_hash"),
)
YOURS = "yours"
# Parts that are on or off -> what they are called.
SWITCHES = {
    "checks": "health checks",
    "breaker": "circuit breakers",
    "retries": "a retry, with a budget",
    "limit": "a limit for each client",
    "cache": "a cache",
}


class GameDayPanel(Panel):
    """Controls for the parts of a design, and a button that plays its game day, beside reference designs.

    `design` is the one that is chosen, `card` the scorecard of the last game days. The references are played
    once. Raises ValueError for what is no company, no table of designs, or fewer than one seed."""

    def __init__(self, company: Company, designs: Mapping[str, Design] | None = None, seeds: int = 3) -> None:
        """`designs`: to compare with, by name; the kit's references by default."""
        if not isinstance(company, Company):
            raise ValueError(f"company is {shown(company)}: use a Company")
        whole(1, 20, seeds=seeds)
        self.company, self.seeds = company, seeds
        self.others = scorecard(company, references() if designs is None else designs, seeds)
        self.controls = self._controls()
        self.view, self.summary = FigureView(), widgets.HTML()
        button = widgets.Button(
            description="Play the game day", button_style="primary", icon="play", layout={"width": "auto"}
        )
        button.on_click(on_main(lambda _: self.play()))
        self.button, self.reset = button, reset_button(self.controls.values())
        self.bill = widgets.HTML()
        row = {"flex_flow": "row wrap", "align_items": "center"}
        super().__init__(
            [
                widgets.Box([*self.controls.values()], layout=row),
                widgets.Box([button, self.reset, self.bill], layout=row),
                self.view,
                self.summary,
            ]
        )
        self.add_class("lbkit-game-day")
        changed = on_main(lambda _: self._price())
        for control in self.controls.values():
            control.observe(changed, "value")
        self.play()

    def _controls(self) -> dict[str, Any]:
        wide: dict[str, Any] = {"style": {"description_width": "auto"}}
        regions = list(self.company.regions)
        controls: dict[str, Any] = {
            region: widgets.IntSlider(
                3 if region == regions[0] else 0, 0, MOST, description=f"servers in {region}", **wide
            )
            for region in regions
        }
        own = [name for name, cls in algorithms().items() if not cls.__module__.startswith("lbkit.")]
        names = [(name.replace("_", " "), name) for name in (*OFFERED, *own)]
        controls["across"] = widgets.Dropdown(
            options=[("the nearest region", NEAREST), ("any region", ANYWHERE)], value=ANYWHERE,
            description="customers go to", **wide,
        )  # fmt: skip
        controls["algorithm"] = widgets.Dropdown(options=names, description="algorithm", **wide)
        look: dict[str, Any] = {"indent": False, "layout": {"width": "auto"}}
        return controls | {
            name: widgets.Checkbox(False, description=said, **look) for name, said in SWITCHES.items()
        }

    @property
    def design(self) -> Design:
        """The design that is chosen. Raises ValueError if it has no servers."""
        values = {name: control.value for name, control in self.controls.items()}
        checks, breaker, retries = values["checks"], values["breaker"], values["retries"]
        health = HealthRules(CHECKS if checks else None, breaker=BREAKER if breaker else None)
        return Design(
            {region: values[region] for region in self.company.regions},
            values["across"],
            values["algorithm"],
            health=health if checks or breaker else None,
            retries=int(retries),
            retry=CAREFUL if retries else None,
            limits=FAIR_SHARE if values["limit"] else (),
            cache=Caching("max-age=60") if values["cache"] else None,
        )

    def play(self) -> None:
        """Play the game day of the chosen design, and show how it compares."""
        self._price()
        try:
            mine = scorecard(self.company, {YOURS: self.design}, self.seeds)
        except ValueError as fault:  # such as no servers: the learner's to mend
            self.summary.value = f"<p>{escape(str(fault))}</p>"
            return
        self.card = Scorecard(self.company, {**mine.days, **self.others.days})
        self.view.show(game_day({YOURS: mine.days[YOURS][0]}))
        lines = "<br>".join(map(escape, self.card.verdict(YOURS).splitlines()))
        self.summary.value = f"{self.card._repr_html_()}<p>{lines}</p>"

    def _price(self) -> None:
        """Say what the design costs, before it is played."""
        try:
            cost = self.design.cost(self.company)
        except ValueError as fault:
            self.bill.value = escape(str(fault))
            return
        budget = self.company.promises.get("cost")
        within = "" if budget is None else f" of {budget:g}"
        over = ": over the budget" if budget is not None and cost > budget else ""
        self.bill.value = f"<b>{cost:g}{within} € an hour{over}</b>"
