"""The workbench runs what is in its text area, scores it, and keeps what the learner wants to keep."""

from __future__ import annotations

import asyncio
import json
import linecache
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from needs import need_module

need_module("plotly")
need_module("ipywidgets")
need_module("anywidget")

from lbkit import algorithms
from lbkit.core.balance import RoundRobin
from lbkit.course import house, kept, pick_time, score
from lbkit.course.own_algorithm import CodeError, algorithm_in
from lbkit.course.workbench import STARTER, Workbench, aside, definition_of, definitions

pytestmark = pytest.mark.usefixtures("own_algorithms", "small_house")


STUCK = """class Stuck(Balancer):
    def pick(self, backends, key, now):
        while True: pass
"""


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LBKIT_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.setattr(pick_time, "ROUNDS", 1)


def at_work(act: Callable[[Workbench], Any], **more: Any) -> Workbench:
    """Return a workbench that ran its first code, and then did this."""

    async def play() -> Workbench:
        bench = Workbench(**more)
        await bench._task
        act(bench)
        await asyncio.sleep(0.01)  # clicks come through the loop
        if bench._task and not bench._task.done():
            await bench._task
        return bench

    return asyncio.run(play())


def test_it_runs_the_starter_and_scores_it() -> None:
    bench = at_work(lambda _: None)
    assert bench.error == ""
    assert bench.score == score(algorithm_in(STARTER, "your code"))
    assert "points for mine." in bench.said.value
    assert "times the processor time of round robin" in bench.said.value
    assert bench.scenarios["equal"].description == f"equal: {bench.score.shares['equal']:.2f}"
    assert 'score("random").points' in unescape(bench.board.value)
    assert "put it on your board first" in bench.board.value


def test_the_figures_are_of_the_scenario_that_was_clicked() -> None:
    async def click() -> list[str]:
        bench = Workbench()
        await bench._task
        lost = min(bench.score.shares, key=lambda name: bench.score.shares[name])
        assert bench.scenario == lost
        other = next(name for name in bench.scenarios if name != lost)
        before = bench.latency.number
        bench.scenarios[other].click()
        await asyncio.sleep(0)
        await bench._looking
        assert bench.scenario == other
        assert bench.latency.number == before + 1
        assert f"In the scenario “{other}”, the mean response time" in bench.why.value
        assert "with mine" in bench.why.value
        return [trace["name"] for trace in json.loads(bench.latency.spec)["data"]]

    names = asyncio.run(click())
    assert "mine" in names
    assert set(names) & {name.replace("_", " ") for name in house.HOUSE}


def test_a_click_puts_it_on_the_board_where_its_line_repeats_the_score() -> None:
    bench = at_work(lambda bench: bench.keep.click())
    assert bench.keep.disabled
    assert 'score(kept("mine")).points' in unescape(bench.board.value)
    assert score(kept("mine")) == bench.score
    assert "mine" in dict(bench.begin.options)


def test_nothing_is_kept_without_a_click() -> None:
    at_work(lambda _: None)
    with pytest.raises(ValueError, match="mine"):
        kept("mine")


def test_an_error_is_one_message_and_marks_its_line() -> None:
    broken = STARTER.replace("return min(one, other, key=self.cost)", "return backends[99]")

    def edit(bench: Workbench) -> None:
        bench.code.value = broken
        bench.run.click()

    bench = at_work(edit)
    assert bench.error.startswith("Mine.pick raised IndexError: tuple index out of range; your code, line 7")
    assert bench.error.count("line 7") == 1
    assert bench.code.error_line == 7
    assert bench.keep.disabled
    assert bench.score is None

    def mend(bench: Workbench) -> None:
        bench.code.value = broken
        bench.code.value = STARTER
        bench.start()

    mended = at_work(mend)
    assert (mended.error, mended.code.error_line) == ("", 0)


def test_an_endless_pick_is_interrupted_and_the_loop_goes_on_meanwhile() -> None:
    async def play() -> tuple[int, Workbench]:
        bench = Workbench(
            "class Stuck(Balancer):\n    def pick(self, backends, key, now):\n        while True: pass\n"
        )
        turns = 0
        while not bench._task.done():
            await asyncio.sleep(0.01)
            turns += 1
        return turns, bench

    turns, bench = asyncio.run(play())
    assert "Stuck.pick did not return, and was interrupted; your code, line 3" in bench.error
    assert turns > 1


def test_a_class_that_is_defined_anew_meanwhile_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    scoring = house.scoring

    def interfering(own: Any) -> Any:
        for step in scoring(own):
            algorithm_in(STARTER, "a cell")
            yield step

    monkeypatch.setattr(house, "scoring", interfering)
    assert "mine was defined anew meanwhile" in at_work(lambda _: None).error


def test_code_to_begin_with_replaces_what_is_there() -> None:
    other = STARTER.replace("class Mine", "class Other")

    def change(bench: Workbench) -> None:
        bench.code.value = other
        bench.begin.value = "two random looks"

    bench = at_work(change)
    assert bench.code.value == STARTER
    assert bench.begin.value == ""


def test_a_class_of_a_cell_comes_with_what_its_cell_defines_and_not_with_what_it_does() -> None:
    cell = "from math import sqrt\n\nfrom lbkit import Balancer\nLIMIT = 2\nprint('x')\n\n" + STARTER
    cell += "\nbench = Workbench(Mine)\nbench\n"
    linecache.cache["<cell>"] = (len(cell), None, cell.splitlines(keepends=True), "<cell>")
    names: dict[str, Any] = {"__name__": "__main__", "Workbench": lambda _: None}
    exec(compile(cell, "<cell>", "exec", dont_inherit=True), names)
    source = definition_of(names["Mine"])
    for part in ("from math import sqrt", "LIMIT = 2", STARTER.strip()):
        assert part in source
    assert "print" not in source
    assert "bench" not in source
    bench = at_work(lambda _: None, own=names["Mine"])
    assert bench.score is not None
    assert algorithms()["mine"].__module__ == "solution"


def test_helpers_below_the_class_and_decorators_are_kept() -> None:
    source = "@total\nclass A(Balancer):\n    pass\n\ndef later():\n    return 1\n"
    assert (
        definitions(source, "A") == "@total\nclass A(Balancer):\n    pass\n\n\ndef later():\n    return 1\n"
    )


def test_a_class_of_the_kit_is_refused() -> None:
    with pytest.raises(ValueError, match="round_robin is one of the kit's"):
        Workbench(RoundRobin)


def test_a_plain_script_has_no_loop_and_works_by_hand() -> None:
    bench = Workbench()
    assert "Press Run" in bench.said.value
    asyncio.run(bench.work())
    assert bench.score is not None


def test_an_interrupt_of_the_code_itself_is_an_error_of_the_code() -> None:
    """In a task it would end the loop of the notebook."""

    def interrupting() -> None:
        raise KeyboardInterrupt

    with pytest.raises(CodeError, match="your code raised KeyboardInterrupt"):
        asyncio.run(aside(interrupting))
