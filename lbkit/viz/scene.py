"""A story on the stage: one idea at a time, each with the control that matters."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets

from lbkit.experiment import Experiment
from lbkit.result import Result
from lbkit.run import run
from lbkit.table import duration
from lbkit.viz.controls import NO_LABELS, Labels, checked_labels, control
from lbkit.viz.narrator import Narrator
from lbkit.viz.pace import Pace
from lbkit.viz.steps import Step, Steps
from lbkit.viz.style import FAILED_TEXT, title
from lbkit.viz.theatre.film import headline
from lbkit.viz.theatre.widget import Theatre
from lbkit.viz.widget import Panel, on_main

MOST_WORDS = 5  # side by side; more are a menu

__all__ = ["Scene", "Step"]


class Scene(Panel):
    """A theatre that tells a story in steps, a sentence and a control each: `Scene(build, Step(...), ...)`.

    The stage shows what `build` returns for the values of the controls: an experiment, or two on the same
    clock. Each move of a control simulates it anew, so keep it small: a few hundred requests take some 20 ms.
    Until a step sets an argument, it has its default in `build`. `say(*results)` returns the text above the
    stage, instead of the usual one. `labels` has, by argument, the name to show on its control, or
    (name, tooltip). For example:

        def build(load=0.5, policy="random"):
            return Experiment(servers(2), Traffic(duration=20), policy=policy, seed=1).at_load(load)

        Scene(build, Step("Move the load.", load=(0.1, 0.95, 0.5)),
            Step("Who decides?", policy=["random", "round_robin"]), labels={"policy": "algorithm"})
    """

    def __init__(
        self,
        build: Callable[..., Any],
        *steps: Step,
        say: Callable[..., str] | None = None,
        labels: Labels = NO_LABELS,
    ) -> None:
        """Raises ValueError for steps or labels that do not fit; also what `build` raises, in any step."""
        self.steps = Steps(build, steps)
        named = checked_labels(labels, [name for step in steps for name in step.controls])
        for number in range(1, len(steps) + 1):  # what is wrong later should not be left for a reader to find
            self.steps.shows(number)
        self.step = 1  # the one on the screen
        self._say = say or usual
        self._skipped: set[int] = set()  # steps that are shown without a prediction
        self._drawn: tuple[Any, ...] = ()  # the step and the values on the screen
        self._told = 0  # the number of the film that `said` is about
        self._controls = {
            (name, number): control_of(name, what, *named.get(name, ()))
            for number, step in enumerate(steps, 1)
            for name, what in step.controls.items()
        }
        super().__init__(self._parts())
        self.add_class("lbkit-scene")
        self.go(1)
        self._observe()

    def _parts(self) -> list[Any]:
        """Make all that is on the panel; return it from top to bottom."""
        self.narrator = Narrator(len(self.steps))
        self.row = widgets.Box(layout={"flex_flow": "row wrap", "align_items": "center", "margin": "0 6px"})
        self.question = widgets.VBox()
        self.theatre = Theatre(*self.steps.shows(1))
        self.said = widgets.HTML(layout={"margin": "0 8px"})
        return [self.narrator, self.question, self.row, self.said, self.theatre]

    def _observe(self) -> None:
        async def nothing() -> None: ...

        self._pace = Pace(self._glance, nothing)
        self.narrator.on_button(on_main(self._press))
        moved, guessed = on_main(self._moved), on_main(self._guessed)
        self.theatre.observe(on_main(self._interfered), "number")
        for each in self._controls.values():
            each.observe(moved, "value")
        for step in self.steps:
            if step.ask is not None:
                step.ask.observe(guessed, "guess")

    def _ipython_display_(self) -> None:
        super()._ipython_display_()
        self._leave()  # the texts, where no browser takes a picture

    def results(self, step: int = 1) -> list[Result]:
        """Return the results of a step as it begins, wherever the controls are now. Raises IndexError."""
        return [run(show) if isinstance(show, Experiment) else show for show in self.steps.shows(step)]

    @property
    def asking(self) -> bool:
        """Whether the step waits for a prediction."""
        ask = self.steps[self.step].ask
        return ask is not None and ask.guess is None and self.step not in self._skipped

    # -- steps ---------------------------------------------------------------------------------

    def go(self, step: int) -> None:
        """Show a step from its beginning. Raises IndexError."""
        here = self.steps[step]
        self.step = step
        if step == 1 or here.ask is not None:  # a question is about the first values
            for (name, since), made in self._controls.items():
                if since <= step:
                    made.value = self.steps[since].first[name]
        self.question.children = [] if here.ask is None else [here.ask]
        self._begin()

    def _begin(self) -> None:
        """Show the film of this step, or wait for the prediction."""
        asking, last = self.asking, self.step == len(self.steps)
        self._line_up(asking)
        # It keeps its place while it is hidden: what stands below would tell the answer.
        self.theatre.layout.visibility = "hidden" if asking else None
        self.theatre.blank = asking
        self.theatre.picture = ""  # it shows the step before
        if asking:
            self.said.value = ""
            self._drawn = (self.step, self.values)
        else:
            self._draw(begins=True)
        again = "start again" if self.step > 1 else ""
        button = "show without a guess" if asking else again if last else "next"
        # Last, as it leaves the sentence in the saved notebook with what is said now.
        self.narrator.say(self.steps[self.step].text, self.step, button)

    def _line_up(self, asking: bool) -> None:
        """Show the controls so far; those of the step that asks would tell too much."""
        shown = []
        for name, since in self.steps.controls_at(self.step).items():
            made = self._controls[name, since]
            new = since == self.step
            (made.add_class if new and self.step > 1 else made.remove_class)("lbkit-new")
            shown += [] if new and asking else [made]
        self.row.children = shown

    def _press(self, way: int) -> None:
        if way > 0 and self.asking:
            self._skipped.add(self.step)
            self.go(self.step)
        elif way > 0:
            self.go(self.step % len(self.steps) + 1)
        else:
            self.go(max(1, self.step - 1))

    def _guessed(self, _: object) -> None:
        """Show what the question was about."""
        ask = self.steps[self.step].ask
        if ask is not None and ask.guess is not None and self.theatre.blank:
            self.go(self.step)

    # -- drawing -------------------------------------------------------------------------------

    @property
    def controls(self) -> dict[str, Any]:
        """The controls of this step, by the argument that they set."""
        return {
            name: self._controls[name, since] for name, since in self.steps.controls_at(self.step).items()
        }

    @property
    def values(self) -> dict[str, Any]:
        return {name: made.value for name, made in self.controls.items()}

    def _moved(self, _: object) -> None:
        if (self.step, self.values) == self._drawn:
            return
        try:
            self._pace.move()
        except RuntimeError:  # a plain script
            self._draw()

    async def _glance(self) -> None:
        if not self.asking:
            self._draw()

    def _draw(self, begins: bool = False) -> None:
        """Simulate and show; if it cannot be, say why. The text of an error would be lost in a callback."""
        self._drawn = (self.step, self.values)
        try:
            self.theatre.show(*self.steps.shows(self.step, self.values), again=begins and self.step > 1)
            self._tell()
            if begins:
                self._reveal()
        except Exception as error:  # of a learner's own code, too
            self.said.value = boxed(f"{type(error).__name__}: {error}", FAILED_TEXT)

    def _tell(self) -> None:
        """Say what is on the stage."""
        self._told = self.theatre.number
        self.said.value = boxed(self._say(*self.theatre.results))

    def _interfered(self, _: object) -> None:
        """Say what is on the stage after the viewer has taken a hand in it."""
        if self._told != self.theatre.number and not self.theatre.blank:
            self._tell()

    def _reveal(self) -> None:
        step = self.steps[self.step]
        if step.ask is not None and step.outcome is not None:
            told = step.ask.reveal(step.outcome(*self.theatre.results))
            self.question.children = [step.ask if step.ask.guess is None else told]


def control_of(name: str, what: Any, *label: str) -> Any:
    """Return the control of an argument; words to choose from are side by side, if they are few."""
    made = control(name, what, *label)
    if isinstance(made, widgets.Dropdown):
        options = [(title(word), word) for word in what]
        look = {"options": options, "description": made.description, "tooltip": made.tooltip}
        if len(options) <= MOST_WORDS:
            made = widgets.RadioButtons(orientation="horizontal", layout={"width": "auto"}, **look)
        else:
            made = widgets.Dropdown(**look)
        made.style.description_width = "auto"
    return made


def usual(*results: Result) -> str:
    """Return how long requests took, a line for each result."""
    return "\n".join(f"{headline(r) + ':' if len(results) > 1 else 'Requests'} {took(r)}." for r in results)


def took(result: Result) -> str:
    """Return how long the requests of a result took, and how many had no good answer."""
    times = result.latencies()
    if not times:
        return "had no answer"
    lost = f"; {result.error_rate:.1%} had no good answer" if result.error_rate else ""
    return f"took {duration(result.mean)} on average, the slowest {duration(max(times))}{lost}"


def boxed(text: str, colour: str = "inherit") -> str:
    lines = "<br>".join(escape(line) for line in text.splitlines())
    return f'<div style="line-height: 1.5; color: {colour}">{lines}</div>'
