"""Algorithms side by side, redrawn while a slider is dragged."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, fields
from html import escape
from typing import Any

import ipywidgets as widgets

from lbkit.core import AlgorithmError, Balancer, algorithms
from lbkit.experiment import Experiment, Policy
from lbkit.jobs import measures
from lbkit.replicate import Comparison, Replication
from lbkit.result import Result
from lbkit.table import cautions, table
from lbkit.viz.backend_shares import shares_sketch
from lbkit.viz.choice import Choice
from lbkit.viz.drawing import Figure
from lbkit.viz.keepsake import Keepsake
from lbkit.viz.latency import latency_sketch
from lbkit.viz.luck import luck
from lbkit.viz.over_time import latency_over_time_sketch
from lbkit.viz.pace import Pace, breathe
from lbkit.viz.projector import Projector
from lbkit.viz.scenario import Settings, scenario, verdict
from lbkit.viz.setting import checked, read
from lbkit.viz.sketch import Sketch
from lbkit.viz.sliders import controls, grouped
from lbkit.viz.style import FAILED_TEXT, title
from lbkit.viz.widget import Feed, FigureView, Panel, after_each_cell, on_main, reset_button

QUICK = 500  # requests a policy while a slider moves
SETTLED = 10_000  # requests a policy when it rests
SEEDS = 8  # of which a policy that rests gets SETTLED requests each
LUCK = 20  # seeds for the question whether it was luck
FEW = 3  # seeds of which a figure says nothing yet

USUAL = ("round_robin", "power_of_two", "least_connections")

Run = Callable[[Experiment], Result]


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
    with other seeds follow: `seeds` has them, and the table their confidence intervals. `restore` sets what a
    text of `keepsake` says.
    """

    def __init__(
        self,
        run: Run,
        policies: Iterable[str | type[Balancer]] = USUAL,
        **settings: Any,
    ) -> None:
        """Raises ValueError for an unknown algorithm or a bad value, TypeError for an unknown setting."""
        self._run = run
        self.results: list[Result] = []
        self.seeds: Comparison | None = None
        self._measured: dict[str, dict[int, Any]] = {}  # policy -> seed -> measures, of what is shown
        self._settled = False  # what is shown are the long runs
        self._classes: dict[str, type[Balancer]] = {}
        self._failures: list[str] = []  # of what is shown
        self._endless: dict[type[Balancer], str] = {}  # that had to be interrupted: the failure
        first = asdict(Settings(**settings))
        self.controls = controls(Settings(**{name: checked(name, value) for name, value in first.items()}))
        self.choice = Choice(name_of(p) for p in policies)
        super().__init__(self._parts())
        self.add_class("lbkit-playground")
        self.pace = Pace(self._glance, self._rest)
        self._wanted = (self.settings, *self.choice.chosen)  # of the last redraw
        self.draw()
        self._observe()

    def _parts(self) -> list[Any]:
        """Make all that is on the panel; return it from top to bottom."""
        feed = Feed()
        self.latency, self.shares, self.time = (
            FigureView(feed=feed, flex="1 1 380px", min_width="0") for _ in range(3)
        )
        self.verdict = widgets.HTML(layout={"min_height": "62px", "margin": "4px 2px 0"})  # three lines
        self.table = widgets.HTML()
        names = ("Keep this setting, or restore one", "This experiment, to save as .toml")
        self.toml = widgets.Textarea(layout={"width": "99%", "height": "260px"}, tooltip=names[1])
        self.keepsake = Keepsake(self.restore)
        more = widgets.Accordion([self.keepsake, self.toml], titles=names)
        first = list(self.choice.chosen)
        self.reset = reset_button(self.controls.values(), lambda: self._restart(first))
        self.luck = widgets.ToggleButton(
            description="Was it luck?",
            icon="random",
            tooltip=f"the same with {LUCK} seeds: a point for each, and intervals; again: the latencies",
        )
        for button in (self.reset, self.luck):
            button.layout = {"width": "auto", "flex": "1"}
        buttons = widgets.HBox([self.luck, self.reset], layout={"margin": "6px 0 0"})
        wrap = widgets.Layout(flex_flow="row wrap", width="100%")
        # The first figure stands beside the sliders, so that both are in sight.
        top = widgets.Box([grouped(self.controls, buttons), self.latency], layout=wrap)
        below = widgets.Box([self.time, self.shares], layout=wrap)
        return [self.choice, self.verdict, top, below, self.table, more, Projector()]

    def _observe(self) -> None:
        """Follow the controls, new algorithms in cells and, if there is a loop, what is left to do."""
        changed = on_main(self._changed)
        for control in self.controls.values():
            control.observe(changed, "value")
        self.choice.observe_choice(self._changed)
        self.luck.observe(on_main(self._ask), "value")
        after_each_cell(self.refresh)
        with suppress(RuntimeError):  # a plain script has no loop, and one seed
            self.pace.rest()

    @property
    def settings(self) -> Settings:
        """The values of the sliders, rounded: the browser returns 0.7999999999999999 for 0.8."""
        values: dict[str, Any] = {f.name: self.controls[f.name].value for f in fields(Settings)}
        rounded = {name: round(value, 2) for name, value in values.items() if isinstance(value, float)}
        return Settings(**{**values, **rounded})

    @property
    def experiment(self) -> Experiment:
        return scenario(self.settings, SETTLED).but(policy=self.choice.chosen[0])

    def draw(self) -> None:
        """Run and redraw, now."""
        experiment = self._begin(SETTLED)
        self._show([self._try(experiment, name) for name in self.choice.chosen])

    def restore(self, text: str) -> None:
        """Set the sliders and policies as a text of `keepsake`, or a link, says. Raises ValueError."""
        settings, policies = read(text)
        for name, control in self.controls.items():
            control.value = getattr(settings, name)
        if policies:
            self.choice.choose_only(policies)

    def refresh(self) -> None:
        """Offer the algorithms that there are now, and draw again if one that is shown was defined anew."""
        self.choice.refresh()
        if self._classes != {name: algorithms()[name] for name in self.choice.chosen}:
            self.draw()
            with suppress(RuntimeError):
                self.pace.rest()

    # -- running ---------------------------------------------------------------------------

    def _begin(self, requests: int) -> Experiment:
        self.keepsake.show(self.settings, self.choice.chosen)  # now: later, somebody may be typing there
        self._classes = {name: algorithms()[name] for name in self.choice.chosen}
        return scenario(self.settings, requests)

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

    def _changed(self, *_: Any) -> None:
        wanted = (self.settings, *self.choice.chosen)
        if wanted == self._wanted:
            return
        self._wanted = wanted
        try:
            self.pace.move()
        except RuntimeError:  # a plain script
            self.draw()

    async def _glance(self) -> None:
        """Draw short runs: first the figure beside the sliders, then the others in one message."""
        experiment = self._begin(QUICK)
        self._take([self._try(experiment, name) for name in self.choice.chosen])
        feed = self.latency.feed
        feed.show({self.latency: latency_sketch(self.results, marks=False)})
        feed.show(self._other_figures())
        self._judge()

    async def _rest(self) -> None:
        """Draw long runs, if they are not shown yet, and then run other seeds; end when a slider moves."""
        if not self._settled:
            experiment, outcomes = self._begin(SETTLED), []
            for name in self.choice.chosen:
                outcomes.append(self._try(experiment, name))
                await breathe()
                if self.pace.moving:
                    return
            self._show(outcomes)
        await self._replicate()

    async def _replicate(self) -> None:
        """Run what is shown with other seeds, too, and say what holds for all of them.

        Ends when a slider moves, or when an algorithm fails."""
        shown = self.results
        while len(shown) > 1 and (more := len(self._measured[shown[0].policy])) < self._seeds_wanted:
            row: dict[str, Any] = {}
            for result in shown:
                experiment = result.experiment.but(seed=result.experiment.seed + more)
                outcome = self._try(experiment, result.policy)
                await breathe()
                if self.pace.moving or self.results is not shown or isinstance(outcome, str):
                    return
                row[result.policy] = measures(outcome)
            for policy, measured in row.items():
                self._measured[policy][shown[0].experiment.seed + more] = measured
            self._show_seeds()

    @property
    def _seeds_wanted(self) -> int:
        return LUCK if self.luck.value else SEEDS

    def _ask(self, *_: Any) -> None:
        """Answer whether it was luck, or show the latencies again."""
        self.latency.show(self._first_figure())
        with suppress(RuntimeError):
            self.pace.rest()

    def _restart(self, policies: list[str]) -> None:
        self.luck.value = False
        self.choice.choose_only(policies)

    # -- on the screen --------------------------------------------------------------------

    def _take(self, outcomes: list[Result | str]) -> None:
        """Take the results, which are of short runs until `_show`; instead of one that failed, the reason."""
        self.seeds, self._settled = None, False
        self.results = [o for o in outcomes if isinstance(o, Result)]
        self._failures = [o for o in outcomes if isinstance(o, str)]

    def _judge(self) -> None:
        """Say what one seed says."""
        self._say(verdict(self.results) if self.results else "")

    def _show(self, outcomes: list[Result | str]) -> None:
        """Show the results of long runs."""
        self._take(outcomes)
        self._settled = True
        self._measured = {r.policy: {r.experiment.seed: measures(r)} for r in self.results}
        self.latency.feed.show({self.latency: self._first_figure()} | self._other_figures())
        self._judge()
        self._tabulate(table(self.results) if self.results else "")
        self.toml.value = self.experiment.to_toml()

    def _first_figure(self) -> Figure | Sketch:
        """Return the first figure: latencies, or those of many seeds."""
        if self.luck.value and self.seeds is not None:
            return luck(self.seeds)
        return latency_sketch(self.results)

    def _other_figures(self) -> dict[FigureView, Figure | Sketch]:
        return {self.time: latency_over_time_sketch(self.results), self.shares: shares_sketch(self.results)}

    def _show_seeds(self) -> None:
        """Show the seeds run so far: in a figure as they come, in words when they are complete."""
        found = Comparison(Replication(name, by_seed) for name, by_seed in self._measured.items())
        done = len(next(iter(self._measured.values())))
        if done >= FEW and (self.luck.value or done == SEEDS):
            self.seeds = found
        if self.luck.value and done >= FEW:
            self.latency.show(luck(found))
        if done in (SEEDS, LUCK):
            self._say(verdict(self.results, found))
            # Unsettled runs are counted over all seeds: the first alone may look so by chance.
            alone = {result.unsettled for result in self.results}
            self._tabulate(found.table(cautions(self.results, but=alone)))

    def _say(self, text: str) -> None:
        """Show a verdict, and below it why algorithms failed."""
        failures = [
            f'<div style="color: {FAILED_TEXT}">{escape(failure)}</div>' for failure in self._failures
        ]
        lines = "".join([f"<b>{escape(text)}</b>" if text else "", *failures])
        self.verdict.value = f'<div style="line-height: 1.4">{lines}</div>'

    def _tabulate(self, html: str) -> None:
        self.table.value = html and f'<div style="overflow-x: auto">{html}</div>'
