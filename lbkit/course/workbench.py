"""A workbench for an algorithm of one's own: edit it, run it, and see how it does against the house."""

from __future__ import annotations

import ast
import asyncio
import re
import sys
from collections.abc import Callable
from html import escape
from typing import Any, TypeVar

import ipywidgets as widgets

from lbkit.core import Balancer, algorithms
from lbkit.course import house, leaderboard
from lbkit.course.lab import source_of
from lbkit.course.leaderboard import IMPORTS, Entry
from lbkit.course.own_algorithm import CodeError, algorithm_in, told
from lbkit.course.pick_time import pick_time
from lbkit.policy import Policy
from lbkit.result import Result
from lbkit.run import run
from lbkit.viz.backend_shares import shares
from lbkit.viz.code_box import CodeBox
from lbkit.viz.latency import latency_cdf
from lbkit.viz.scenario import percent
from lbkit.viz.style import FAILED_TEXT, duration, title
from lbkit.viz.widget import BLANK, FigureView, Panel, on_main

NAME = "your code"  # in messages
MANY = 100  # backends: a pick that looks at all of them shows

STARTER = '''class Mine(Balancer):
    """Of two random servers, the emptier."""

    def pick(self, backends, key, now):
        one = self.rng.choice(backends)
        other = self.rng.choice(backends)
        return min(one, other, key=self.cost)

    def cost(self, backend):
        return backend.in_flight

    def done(self, backend, latency, ok, now):
        pass  # its seconds; ok: no failure
'''

T = TypeVar("T")


async def aside(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a thread, so that sliders and buttons work meanwhile; where there are none, here."""
    if sys.platform == "emscripten":
        await asyncio.sleep(0.001)  # let a click through
        return function(*arguments)
    return await asyncio.to_thread(not_interrupted, function, *arguments)


def not_interrupted(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a thread: an interrupt there is the learner's own code, and would end the loop."""
    try:
        return function(*arguments)
    except KeyboardInterrupt:
        raise CodeError(f"{NAME} raised KeyboardInterrupt") from None


def definition_of(cls: type[Balancer]) -> str:
    """Return the source of a class of a notebook: what its cell defines, without what the cell does with it.

    Raises ValueError for a class of the kit, or one without a known source."""
    if cls.__module__.startswith("lbkit."):
        raise ValueError(f"{cls.name} is one of the kit's: give the workbench a class of your own")
    return definitions(source_of(cls)[0], cls.__name__)


def definitions(source: str, name: str) -> str:
    """Return the imports, functions and classes of a source, and the values before the class `name`."""
    lines, kept, past = source.splitlines(), [], False
    for node in ast.parse(source).body:
        value = isinstance(node, ast.Assign | ast.AnnAssign) and not past
        if value or isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef):
            first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
            kept.append("\n".join(lines[first - 1 : node.end_lineno]))
        past = past or getattr(node, "name", "") == name
    return "\n\n\n".join(kept) + "\n"


class Workbench(Panel):
    """A panel with code of your own, its score against the house, and your board: `Workbench()`.

    `own`: a class of a cell, or source, to begin with. A first score is there after a run of each scenario;
    the other seeds follow. `score` is the last one; `error` says what is wrong with the code.
    """

    def __init__(self, own: type[Balancer] | str = STARTER) -> None:
        """Raises ValueError for a class without a known source."""
        self.code = CodeBox(value=own if isinstance(own, str) else definition_of(own))
        self.score: house.Score | None = None
        self.error = ""
        self.scenario = ""  # whose figures are shown
        self._own: type[Balancer] | None = None  # what was run last, and its source
        self._source = ""
        self._house: dict[str, Entry] = {}
        self._results: dict[str, list[Result]] = {}  # of each scenario: your own, the best of the house
        self._task: asyncio.Task[None] | None = None
        self._make_controls()
        self._lay_out()
        self._show_board()
        try:
            self.start()
        except RuntimeError:  # a plain script has no loop: there it is `await bench.work()`
            self._say("Press Run.")

    def _make_controls(self) -> None:
        auto = {"width": "auto"}
        self.run = widgets.Button(description="Run", icon="play", button_style="primary", layout=auto)
        self.run.tooltip = "or Ctrl+Enter in the code"
        self.keep = widgets.Button(
            description="Put it on my board", icon="trophy", disabled=True, layout=auto
        )
        self.begin = widgets.Dropdown(layout={"width": "190px"}, tooltip="Replaces the code on the left")
        self.said, self.why, self.board = (widgets.HTML() for _ in range(3))
        self.latency, self.shares = (FigureView(flex="1 1 380px", min_width="0") for _ in range(2))
        self.scenarios = {name: widgets.Button(description=name, layout=auto) for name in house.SCENARIOS}
        self.run.on_click(on_main(lambda _: self.start()))
        self.code.on_run(self.start)
        self.keep.on_click(on_main(lambda _: self._keep()))
        self.begin.observe(on_main(self._begin), "value")
        for name, button in self.scenarios.items():
            button.on_click(on_main(lambda _, name=name: self.look_at(name)))
        self._offer()

    def _lay_out(self) -> None:
        wrap = widgets.Layout(flex_flow="row wrap", width="100%")
        self.code.layout = widgets.Layout(flex="1 1 420px", min_width="0")
        buttons = widgets.Box([self.run, self.keep, self.begin], layout=wrap)
        looks = widgets.Box([*self.scenarios.values()], layout=wrap)
        right = widgets.VBox(
            [buttons, self.said, looks, self.why], layout={"flex": "1 1 420px", "min_width": "0"}
        )
        figures = widgets.Box([self.latency, self.shares], layout=wrap)
        super().__init__([widgets.Box([self.code, right], layout=wrap), figures, self.board])
        self.add_class("lbkit-workbench")

    # -- a run ----------------------------------------------------------------------------

    def start(self) -> None:
        """Run the code as it is now, in place of a run under way. Raises RuntimeError without a loop."""
        loop = asyncio.get_running_loop()
        if self._task:
            self._task.cancel()
        self._task = loop.create_task(self.work())

    async def work(self) -> None:
        """Run the code: its score after each run, and at last the time of a pick."""
        source = self._source = self.code.value
        self.score, self.error, self._results = None, "", {}
        self.keep.disabled, self.code.error_line = True, 0
        self._say("Running ...")
        try:
            own = self._own = await aside(algorithm_in, source, NAME)
            await self._score(own)
            self._house = await aside(leaderboard.of_the_house)
            times = [await aside(pick_time, Policy.of(own), backends) for backends in (8, MANY)]
        except Exception as error:
            self._fail(str(error) if isinstance(error, CodeError) else told(error, NAME))
            return
        self.keep.disabled = False
        self._show_score(
            f"A decision takes {times[0]:.1f} times the processor time of round robin's with 8 servers, "
            f"{times[1]:.1f} times with {MANY}."
        )
        self._show_board()

    async def _score(self, own: type[Balancer]) -> None:
        """Show the score after each run; after one of each scenario, the scenario where it loses most."""
        steps = house.scoring(own)
        while (score := await aside(next, steps, None)) is not None:
            if algorithms().get(own.name) is not own:
                raise CodeError(f"{own.name} was defined anew meanwhile, so runs are of both: run it again")
            self.score = score
            self._show_score()
            if score.runs == len(house.SCENARIOS):
                await self._look_at(min(score.shares, key=lambda name: score.shares[name]))

    def look_at(self, scenario: str) -> None:
        """Show the figures of a scenario, when they are computed."""
        self._looking = asyncio.get_running_loop().create_task(self._look_at(scenario))

    async def _look_at(self, scenario: str) -> None:
        own = self._own
        if own is None or self.error:
            return
        self.scenario = scenario
        for name, button in self.scenarios.items():
            button.button_style = "info" if name == scenario else ""
        if scenario not in self._results:
            self._results[scenario] = await aside(compared, scenario, own)
        if self.scenario == scenario and self._own is own:
            results = self._results[scenario]
            self.latency.show(latency_cdf(results))
            self.shares.show(shares(results))
            self.why.value = f'<div style="line-height: 1.4">{escape(reasons(scenario, *results))}</div>'

    # -- the board ------------------------------------------------------------------------

    def _keep(self) -> None:
        if self.score and self.score.final:
            leaderboard.enter(self.score, self._source)
            self.keep.disabled = True
            self._show_board()
            self._offer()

    def _offer(self) -> None:
        """Offer code to begin with: the starter, what is on the board, and the learner's labs."""
        kept = {title(name): entry.source for name, entry in leaderboard.board().items()}
        labs = {f"lab {name}": source for name, source in leaderboard.lab_solutions().items()}
        self._sources = {"two random looks": STARTER, **kept, **labs}
        self.begin.options = [("begin with ...", ""), *((name, name) for name in self._sources)]
        self.begin.value = ""

    def _begin(self, change: Any) -> None:
        if source := self._sources.get(change["new"]):
            self.code.value = source
            self.begin.value = ""
            self.start()

    # -- on the screen --------------------------------------------------------------------

    def _show_score(self, more: str = "") -> None:
        score = self.score
        if score is None:
            return
        for name, share in score.shares.items():
            self.scenarios[name].description = f"{name}: {share:.2f}"
        every = len(house.SCENARIOS) * len(house.SEEDS)
        far = "" if score.final else f" so far, after {score.runs} of {every} runs"
        beats = " <b>It beats the house.</b>" if score.final and score.points > 100 else ""
        points = f'<span style="font-size: 28px">{score.points:.1f}</span> points'
        self._say(
            f"{points} for {escape(title(score.algorithm))}{far}.{beats}<br>100 are for one that is as good "
            "as the best of the house in every scenario. Here is your share of that; click a scenario to "
            f"see why.<br>{more}"
        )

    def _fail(self, error: str) -> None:
        self.error = error
        line = re.search(r"\bline (\d+)", error)
        self.code.error_line = int(line[1]) if line else 0
        self.said.value = (
            f'<div role="alert" style="color: {FAILED_TEXT}; line-height: 1.4">{escape(error)}</div>'
        )
        for name, button in self.scenarios.items():
            button.description, button.button_style = name, ""
        for view in (self.latency, self.shares):
            view.show(BLANK)
        self.why.value = ""

    def _say(self, text: str) -> None:
        self.said.value = f'<div style="line-height: 1.4">{text}</div>'

    def _show_board(self) -> None:
        entries = self._house | leaderboard.board()
        if self.score and self.score.final and not self.keep.disabled:
            entries[self.score.algorithm] = Entry(self.score.shares)
        if entries:
            table = f'<div style="overflow-x: auto">{leaderboard.board_table(entries)}</div>'
            self.board.value = f"{table}<div>Each line repeats its score, after <code>{IMPORTS}</code>.</div>"


def compared(scenario: str, own: type[Balancer]) -> list[Result]:
    """Return a result of your own algorithm in a scenario, and one of the best of the house there."""
    policies = (Policy.of(own), Policy(house.best_of_the_house(scenario)))
    return [run(house.sample(scenario, policy)) for policy in policies]


def reasons(scenario: str, own: Result, best: Result) -> str:
    """Return what the cost of a request consists of, yours beside that of the best of the house."""
    mine, theirs = (f"{duration(each.mean)} and {percent(each.error_rate)}" for each in (own, best))
    return (
        f"In the scenario “{scenario}”, the mean response time and the share of failed requests are {mine} "
        f"with {title(own.policy)}, {theirs} with {title(best.policy)}, the best of the house there."
    )
