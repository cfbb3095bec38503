"""Algorithms side by side, redrawn while a slider is dragged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import fields
from html import escape
from typing import Any

import ipywidgets as widgets

from lbkit.core import AlgorithmError, Balancer, algorithms
from lbkit.experiment import Experiment, Policy
from lbkit.jobs import measures
from lbkit.replicate import Comparison, Replication
from lbkit.result import Result
from lbkit.table import cautions, table
from lbkit.viz.backend_shares import shares
from lbkit.viz.choice import Choice
from lbkit.viz.latency import latency_cdf
from lbkit.viz.over_time import latency_over_time
from lbkit.viz.scenario import VARIABILITY, Settings, scenario, verdict
from lbkit.viz.style import FAILED, title
from lbkit.viz.widget import FigureView, Panel, after_each_cell, on_main, reset_button

QUICK = 500  # requests a policy while a slider moves
SETTLED = 10_000  # requests a policy when it rests
SEEDS = 8  # of which a policy that rests gets SETTLED requests each
QUIET = 0.3  # seconds without a change until it rests

USUAL = ("round_robin", "power_of_two", "least_connections")

Run = Callable[[Experiment], Result]


def controls(settings: Settings) -> dict[str, Any]:
    """Return a slider for each of the settings, by its name."""
    percent = {"readout_format": ".0%", "step": 0.01}
    number: dict[str, Any] = {
        "servers": widgets.IntSlider(settings.servers, 2, 20),
        "unequal": widgets.FloatSlider(settings.unequal, min=0, max=0.9, **percent),
        "load": widgets.FloatSlider(settings.load, min=0.1, max=0.98, **percent),
        "variability": widgets.SelectionSlider(
            options=list(VARIABILITY), value=settings.variability, style={"description_width": "70px"}
        ),
        "failures": widgets.IntSlider(settings.failures, 0, 3),
        "clients": widgets.IntSlider(settings.clients, 5, 500, 5),
        "seed": widgets.IntSlider(settings.seed, 1, 50),
    }
    tips = {
        "servers": "number of servers",
        "unequal": "how much slower the slowest server is than the fastest",
        "load": "share of the capacity of all servers",
        "variability": "how much service times differ; medium: exponential",
        "failures": "servers that crash after a third of the time and are back after two thirds",
        "clients": "number of clients; matters to hashing algorithms",
        "seed": "other traffic of the same kind",
    }
    for name, control in number.items():
        control.description = name
        control.tooltip = tips[name]
        control.layout.width = "270px"
        control.continuous_update = True
    return number


def name_of(policy: str | type[Balancer]) -> str:
    """Return an algorithm's name, also if making it fails. Raises ValueError for an unknown one."""
    try:
        return Policy.of(policy).algorithm
    except AlgorithmError as error:
        return error.algorithm


class Playground(Panel):
    """A panel that compares algorithms in simulation: `Playground(run)`.

    `policies`: names or classes of the first algorithms. `settings`: first values of Settings, such as
    `load=0.9`. `experiment` and `results` have the data on the screen. When the sliders rest, the same runs
    with other seeds follow: `seeds` has them, and the table their confidence intervals.
    """

    def __init__(
        self,
        run: Run,
        policies: Iterable[str | type[Balancer]] = USUAL,
        **settings: Any,
    ) -> None:
        """Raises ValueError for an unknown algorithm, TypeError for an unknown setting."""
        self._run = run
        self._change = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.results: list[Result] = []
        self.controls = controls(Settings(**settings))
        self.choice = Choice(name_of(p) for p in policies)
        self.verdict = widgets.HTML()
        self.latency, self.shares, self.time = (FigureView(flex="1 1 380px", min_width="0") for _ in range(3))
        self.table = widgets.HTML()
        self.toml = widgets.Textarea(layout={"width": "99%", "height": "260px"})
        more = widgets.Accordion([self.toml], titles=("This experiment, to save as .toml",))
        wrap = widgets.Layout(flex_flow="row wrap", width="100%")
        # The first figure stands beside the sliders, so that both are in sight.
        first = list(self.choice.chosen)
        self.reset = reset_button(self.controls.values(), lambda: self.choice.choose_only(first))
        sliders = widgets.VBox([*self.controls.values(), self.reset], layout={"flex": "0 0 280px"})
        top = widgets.Box([sliders, self.latency], layout=wrap)
        below = widgets.Box([self.time, self.shares], layout=wrap)
        super().__init__([self.choice, self.verdict, top, below, self.table, more])
        self.add_class("lbkit-playground")
        self._wanted = (self.settings, *self.choice.chosen)  # of the last redraw
        self.seeds: Comparison | None = None
        self._classes: dict[str, type[Balancer]] = {}
        self._failures: list[str] = []  # of what is shown
        self._endless: dict[type[Balancer], str] = {}  # that had to be interrupted: the failure
        self.draw()
        changed = on_main(self._changed)
        for control in self.controls.values():
            control.observe(changed, "value")
        self.choice.observe_choice(self._changed)
        after_each_cell(self.refresh)
        self._first: asyncio.Task[None] | None = None
        with suppress(RuntimeError):  # a plain script has no loop, and one seed
            self._first = asyncio.get_running_loop().create_task(self._replicate())

    @property
    def settings(self) -> Settings:
        """The values of the sliders, rounded: the browser returns 0.7999999999999999 for 0.8."""
        values: dict[str, Any] = {f.name: self.controls[f.name].value for f in fields(Settings)}
        rounded = {name: round(value, 2) for name, value in values.items() if isinstance(value, float)}
        return Settings(**{**values, **rounded})

    @property
    def experiment(self) -> Experiment:
        return scenario(self.settings, SETTLED).but(policy=self.choice.chosen[0])

    def draw(self, requests: int = SETTLED) -> None:
        """Run and redraw, now."""
        self._classes = {name: algorithms()[name] for name in self.choice.chosen}
        experiment = scenario(self.settings, requests)
        self._show([self._try(experiment, name) for name in self.choice.chosen])

    def refresh(self) -> None:
        """Offer the algorithms that there are now, and draw again if one that is shown was defined anew."""
        self.choice.refresh()
        if self._classes != {name: algorithms()[name] for name in self.choice.chosen}:
            self.draw()

    def _try(self, experiment: Experiment, name: str) -> Result | str:
        """Return the result of an algorithm or, as your own may raise anything, why it failed.

        One that had to be interrupted would hold up every redraw: it runs again when it is defined anew."""
        cls = algorithms()[name]
        if cls in self._endless:
            return self._endless[cls]
        try:
            return self._run(experiment.but(policy=name))
        except AlgorithmError as error:
            failure = f"{title(name)} failed: {error}"
            if error.endless:
                self._endless[cls] = failure
            return failure
        except Exception as error:
            return f"{title(name)} failed: {type(error).__name__}: {error}"

    # -- redrawing in the notebook's loop ------------------------------------------------------

    def _changed(self, *_: Any) -> None:
        wanted = (self.settings, *self.choice.chosen)
        if wanted == self._wanted:
            return
        self._wanted = wanted
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a plain script
            self.draw()
            return
        if self._first:
            self._first.cancel()
        self._change.set()
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._redraw())

    async def _redraw(self) -> None:
        """Draw a short run at once, skipping changes in between; a long one when the slider rests."""
        while self._change.is_set():
            self._change.clear()
            self.draw(QUICK)
            try:
                await asyncio.wait_for(self._change.wait(), QUIET)
            except TimeoutError:
                await self._settle()

    async def _settle(self) -> None:
        experiment = self.experiment
        results = []
        for name in self.choice.chosen:
            results.append(self._try(experiment, name))
            await asyncio.sleep(0.001)  # let a slider event through
            if self._change.is_set():
                return
        self._show(results)
        await self._replicate()

    async def _replicate(self) -> None:
        """Run what is shown with other seeds, too, and say what holds for all of them.

        Ends when a slider moves, or when an algorithm fails."""
        shown = self.results
        if len(shown) < 2:
            return
        measured = {r.policy: {r.experiment.seed: measures(r)} for r in shown}
        for more in range(1, SEEDS):
            for result in shown:
                experiment = result.experiment.but(seed=result.experiment.seed + more)
                outcome = self._try(experiment, result.policy)
                await asyncio.sleep(0.001)  # let a slider event through
                if self._change.is_set() or self.results is not shown or isinstance(outcome, str):
                    return
                measured[result.policy][experiment.seed] = measures(outcome)
        self.seeds = Comparison(Replication(name, by_seed) for name, by_seed in measured.items())
        self._say(verdict(shown, self.seeds))
        self._tabulate(self.seeds.table(cautions(shown)))

    # -- on the screen --------------------------------------------------------------------

    def _show(self, outcomes: list[Result | str]) -> None:
        """Show the results; instead of one that failed, the reason."""
        self.seeds = None
        results = self.results = [o for o in outcomes if isinstance(o, Result)]
        self._failures = [o for o in outcomes if isinstance(o, str)]
        self._say(verdict(results) if results else "")
        self.latency.show(latency_cdf(results))
        self.time.show(latency_over_time(results))
        self.shares.show(shares(results))
        self._tabulate(table(results) if results else "")
        self.toml.value = self.experiment.to_toml()

    def _say(self, text: str) -> None:
        """Show a verdict, and below it why algorithms failed."""
        failures = [f'<div style="color: {FAILED}">{escape(failure)}</div>' for failure in self._failures]
        lines = "".join([f"<b>{escape(text)}</b>" if text else "", *failures])
        self.verdict.value = f'<div style="line-height: 1.4">{lines}</div>'

    def _tabulate(self, html: str) -> None:
        self.table.value = html and f'<div style="overflow-x: auto">{html}</div>'
