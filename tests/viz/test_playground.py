from __future__ import annotations

import asyncio
import json

import pytest
from needs import need_module

need_module("plotly")
need_module("ipywidgets")
need_module("anywidget")

from lbkit import Balancer, algorithms, forget, run, watchdog
from lbkit.table import duration
from lbkit.viz import Playground
from lbkit.viz import playground as playground_module
from lbkit.viz.choice import MAX_POLICIES
from lbkit.viz.playground import SEEDS
from lbkit.viz.style import POLICIES


def test_begins_with_a_figure_of_each_algorithm() -> None:
    playground = Playground(run, ["random", "least_connections"], load=0.5)
    assert [r.policy for r in playground.results] == ["random", "least_connections"]
    spec = json.loads(playground.latency.spec)
    assert {trace["name"] for trace in spec["data"]} == {"random", "least connections"}
    assert "least_connections" in playground.table.value
    assert playground.experiment.load == pytest.approx(0.5)
    assert 'name = "playground"' in playground.toml.value


def test_a_slider_redraws_without_a_loop_too() -> None:
    playground = Playground(run)
    before = playground.latency.number
    playground.controls["servers"].value = 7
    assert playground.latency.number == before + 1
    assert len(playground.results[0].backends) == 7


def test_first_look_at_once_and_a_second_when_it_rests() -> None:
    async def drag() -> tuple[list[int], int]:
        playground = Playground(run)
        seen = []
        for load in (0.5, 0.6, 0.7):
            playground.controls["load"].value = load
            await asyncio.sleep(0)  # the callback's turn
            await asyncio.sleep(0)  # the redraw's turn
            seen.append(len(playground.results[0]))
        assert playground._task
        await playground._task
        return seen, len(playground.results[0])

    seen, settled = asyncio.run(drag())
    assert max(seen[1:]) < 1000
    assert settled > 8000


def test_several_seeds_follow_when_nothing_moves() -> None:
    async def wait() -> tuple[Playground, str, str]:
        playground = Playground(run, ["random", "least_connections"])
        first = playground.verdict.value
        await playground._first
        begun = playground.verdict.value
        playground.controls["unequal"].value = 0.8
        await asyncio.sleep(0)  # the callback's turn
        await playground._task
        return playground, first, begun

    playground, first, begun = asyncio.run(wait())
    assert "Least connections is ahead on this seed" in first
    for said in (begun, playground.verdict.value):
        assert "Least connections wins" in said
        assert f"({SEEDS} seeds, 95 % confidence)" in said
    assert begun != playground.verdict.value
    assert list(playground.seeds) == ["random", "least_connections"]
    assert duration(playground.seeds["random"]["p99"]) in playground.table.value


def test_a_slider_ends_the_other_seeds() -> None:
    async def move() -> Playground:
        playground = Playground(run)
        await asyncio.sleep(0.01)
        playground.controls["load"].value = 0.5
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert playground._first.cancelled()
        assert playground.seeds is None
        await playground._task
        return playground

    assert asyncio.run(move()).seeds


def test_what_the_browser_rounds_is_no_change() -> None:
    playground = Playground(run)
    before = playground.latency.number
    playground.controls["load"].value = 0.7999999999999999
    assert playground.latency.number == before


def test_one_more_algorithm_lets_the_oldest_go() -> None:
    playground = Playground(run, ["random", "round_robin", "power_of_two", "least_connections"])
    playground.choice.buttons["ip_hash"].value = True
    assert playground.choice.chosen == ["round_robin", "power_of_two", "least_connections", "ip_hash"]
    assert not playground.choice.buttons["random"].value
    assert [r.policy for r in playground.results] == playground.choice.chosen
    assert len(playground.choice.chosen) == MAX_POLICIES


def test_the_last_algorithm_stays() -> None:
    playground = Playground(run, ["random"])
    playground.choice.buttons["random"].value = False
    assert playground.choice.chosen == ["random"]
    assert playground.choice.buttons["random"].value


def test_an_algorithm_that_raises_is_reported_in_one_line() -> None:
    class BrokenOnPurpose(Balancer):
        """Raises."""

        def pick(self, backends, key, now):  # type: ignore[no-untyped-def]
            raise KeyError("<nobody>")

    playground = Playground(run, [BrokenOnPurpose, "least_connections"])
    assert "broken on purpose failed: " in playground.verdict.value
    assert [r.policy for r in playground.results] == ["least_connections"]  # drawn all the same
    assert "Least connections: 99 % of" in playground.verdict.value
    assert "BrokenOnPurpose.pick raised KeyError: &#x27;&lt;nobody&gt;&#x27;" in playground.verdict.value
    playground.choice.buttons["random"].value = True
    playground.choice.buttons["broken_on_purpose"].value = False
    assert [r.policy for r in playground.results] == ["least_connections", "random"]


def test_if_all_fail_the_reasons_are_all_there_is() -> None:
    class AlsoBroken(Balancer):
        """Raises."""

        def pick(self, backends, key, now):  # type: ignore[no-untyped-def]
            raise KeyError

    playground = Playground(run, [AlsoBroken])
    assert playground.results == []
    assert playground.table.value == ""
    assert "also broken failed" in playground.verdict.value


def test_well_known_algorithms_and_your_own_have_a_button_and_all_others_are_in_a_list() -> None:
    playground = Playground(run)
    buttons, listed = set(playground.choice.buttons), {value for _, value in playground.choice.more.options}
    assert set(POLICIES[0]) <= buttons
    assert buttons | listed - {""} == set(algorithms())
    assert not buttons & listed
    playground.choice.more.value = "maglev"
    assert playground.choice.buttons["maglev"].value
    assert "maglev" in [r.policy for r in playground.results]
    assert playground.choice.more.value == ""


def test_a_class_defined_later_is_offered_and_one_defined_anew_is_drawn_anew() -> None:
    playground = Playground(run, ["random"])

    class LaterBorn(Balancer):
        """Takes the first."""

        def pick(self, backends, key, now):  # type: ignore[no-untyped-def]
            return backends[0]

    playground.refresh()
    playground.choice.buttons["later_born"].value = True
    assert playground.results[-1].shares["s1"] == 1

    class LaterBorn(Balancer):  # type: ignore[no-redef]  # noqa: F811
        """Takes the last."""

        def pick(self, backends, key, now):  # type: ignore[no-untyped-def]
            return backends[-1]

    playground.refresh()
    assert playground.results[-1].shares["s4"] == 1
    forget("later_born")
    playground.refresh()
    assert "later_born" not in playground.choice.buttons
    assert [r.policy for r in playground.results] == ["random"]


def test_a_failure_stays_named_when_the_other_seeds_have_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unmade(Balancer):
        """Cannot be made."""

        def __init__(self) -> None:
            raise OSError("no table")

    async def settle() -> str:
        playground = Playground(run, ["round_robin", "random", Unmade])
        assert playground._first
        await playground._first
        assert playground.seeds
        said: str = playground.verdict.value
        return said

    monkeypatch.setattr(playground_module, "SETTLED", 300)
    assert "Unmade.__init__ raised OSError: no table" in asyncio.run(settle())
    forget(Unmade)


def test_an_endless_algorithm_is_run_once_until_it_is_defined_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    class Loops(Balancer):
        """Never returns."""

        def pick(self, backends, key, now):  # type: ignore[no-untyped-def]
            calls.append(now)
            while True:
                pass

    monkeypatch.setattr(watchdog, "PERIOD", 0.03)
    playground = Playground(run, ["random", Loops])
    playground.controls["servers"].value = 7
    assert len(calls) == 1
    assert [r.policy for r in playground.results] == ["random"]
    assert "Loops.pick did not return, and was interrupted" in playground.verdict.value

    class Loops(Balancer):  # type: ignore[no-redef]
        """Mended."""

        def pick(self, backends, key, now):  # type: ignore[no-untyped-def]
            return backends[0]

    playground.refresh()
    assert [r.policy for r in playground.results] == ["random", "loops"]
    assert "failed" not in playground.verdict.value
    forget("loops")


def test_bad_beginnings() -> None:
    with pytest.raises(ValueError, match="rund"):
        Playground(run, ["rund"])
    with pytest.raises(TypeError, match="lod"):
        Playground(run, lod=1)


def test_reset_puts_the_sliders_and_the_policies_back() -> None:
    playground = Playground(run, ["random", "least_connections"], load=0.5)
    playground.controls["load"].value = 0.9
    playground.controls["variability"].value = "extreme"
    playground.choice.choose("round_robin")
    assert [r.policy for r in playground.results] == ["random", "least_connections", "round_robin"]
    playground.reset.click()
    assert (playground.settings.load, playground.settings.variability) == (0.5, "medium")
    assert [r.policy for r in playground.results] == ["random", "least_connections"]
    pressed = {name for name, button in playground.choice.buttons.items() if button.value}
    assert pressed == {"random", "least_connections"}
