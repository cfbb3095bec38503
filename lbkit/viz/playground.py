"""Algorithms side by side, redrawn while a slider is dragged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import fields
from html import escape
from typing import Any

import ipywidgets as widgets

from lbkit.core import Balancer, algorithms
from lbkit.experiment import Experiment, Policy
from lbkit.result import Result
from lbkit.table import table
from lbkit.viz import figures
from lbkit.viz.scenario import VARIABILITY, Settings, scenario, verdict
from lbkit.viz.style import title
from lbkit.viz.widget import FigureView, on_main

QUICK = 500  # requests a policy while a slider moves
SETTLED = 10_000  # requests a policy when it rests
QUIET = 0.3  # seconds without a change until it rests
MAX_POLICIES = 4  # side by side

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
        control.layout.width = "280px"
        control.continuous_update = True
    return number


class Choice(widgets.Box):  # type: ignore[misc]
    """A choice of up to MAX_POLICIES algorithms; one more drops the oldest."""

    def __init__(self, chosen: Iterable[str]) -> None:
        self.chosen = list(chosen)[:MAX_POLICIES]
        self.buttons = {
            name: widgets.ToggleButton(
                description=title(name),
                value=name in self.chosen,
                tooltip=(cls.__doc__ or name).strip().partition("\n")[0],
                layout={"width": "auto"},
            )
            for name, cls in algorithms().items()
        }
        super().__init__(list(self.buttons.values()), layout={"flex_flow": "row wrap", "width": "100%"})

    def observe_choice(self, on_change: Callable[[], object]) -> None:
        """Call `on_change` whenever another set of algorithms is chosen."""

        def pressed(name: str, on: bool) -> None:
            if on == (name in self.chosen):
                return  # set below, not by the user
            if on:
                self.chosen.append(name)
                dropped = self.chosen.pop(0) if len(self.chosen) > MAX_POLICIES else None
            elif len(self.chosen) > 1:
                self.chosen.remove(name)
                dropped = None
            else:
                self.buttons[name].value = True  # the last one stays
                return
            if dropped:
                self.buttons[dropped].value = False
            on_change()

        for name, button in self.buttons.items():
            button.observe(on_main(lambda change, name=name: pressed(name, change["new"])), "value")


class Playground(widgets.VBox):  # type: ignore[misc]
    """A panel that compares algorithms in simulation: `Playground(run)`.

    `policies`: names or classes of the first algorithms. `settings`: first values of Settings, such as
    `load=0.9`. `experiment` and `results` have the data on the screen.
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
        self.choice = Choice(Policy.of(p).algorithm for p in policies)
        self.verdict = widgets.HTML()
        self.latency, self.shares, self.time = (FigureView(flex="1 1 380px", min_width="0") for _ in range(3))
        self.table = widgets.HTML()
        self.toml = widgets.Textarea(layout={"width": "99%", "height": "260px"})
        more = widgets.Accordion([self.toml], titles=("This experiment, to save as .toml",))
        wrap = widgets.Layout(flex_flow="row wrap", width="100%")
        figures_row = widgets.Box([self.latency, self.time, self.shares], layout=wrap)
        sliders = widgets.Box(list(self.controls.values()), layout=wrap)
        super().__init__([self.choice, sliders, self.verdict, figures_row, self.table, more])
        self.add_class("lbkit-playground")
        self._wanted = (self.settings, *self.choice.chosen)  # of the last redraw
        self.draw()
        changed = on_main(self._changed)
        for control in self.controls.values():
            control.observe(changed, "value")
        self.choice.observe_choice(self._changed)

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
        try:
            experiment = scenario(self.settings, requests)
            self._show([self._run(experiment.but(policy=name)) for name in self.choice.chosen])
        except Exception as error:
            self._complain(error)

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
            try:
                results.append(self._run(experiment.but(policy=name)))
            except Exception as error:
                self._complain(error)
                return
            await asyncio.sleep(0.001)  # let a slider event through
            if self._change.is_set():
                return
        self._show(results)

    # -- on the screen --------------------------------------------------------------------

    def _show(self, results: list[Result]) -> None:
        self.results = results
        self.latency.show(figures.latency_cdf(results))
        self.time.show(figures.latency_over_time(results))
        self.shares.show(figures.shares(results))
        self.verdict.value = f"<b>{escape(verdict(results))}</b>"
        self.table.value = table(results)
        self.toml.value = self.experiment.to_toml()

    def _complain(self, error: Exception) -> None:
        """Show an error in one line: your own algorithm may raise anything."""
        self.verdict.value = (
            f'<b style="color: #b5463c">{escape(type(error).__name__)}: {escape(str(error))}</b>'
        )
