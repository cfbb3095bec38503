from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from needs import need_module

need_module("plotly")
need_module("ipywidgets")
need_module("anywidget")

from lbkit import Balancer, algorithms, forget, run, watchdog
from lbkit.table import duration
from lbkit.viz import Playground
from lbkit.viz import playground as playground_module
from lbkit.viz.choice import MAX_POLICIES, STARTERS
from lbkit.viz.playground import LUCK, SEEDS


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
            while playground.pace.moving:
                await asyncio.sleep(0.001)
            seen.append(len(playground.results[0]))
        assert playground.pace.task
        await playground.pace.task
        return seen, len(playground.results[0])

    seen, settled = asyncio.run(drag())
    assert max(seen[1:]) < 1000
    assert settled > 8000


def test_several_seeds_follow_when_nothing_moves() -> None:
    async def wait() -> tuple[Playground, str, str]:
        playground = Playground(run, ["random", "least_connections"])
        first = playground.verdict.value
        await playground.pace.task
        begun = playground.verdict.value
        playground.controls["unequal"].value = 0.8
        await asyncio.sleep(0)  # the callback's turn
        await playground.pace.task
        return playground, first, begun

    playground, first, begun = asyncio.run(wait())
    assert "Least connections is ahead on this seed" in first
    for said in (begun, playground.verdict.value):
        assert "Least connections wins" in said
        assert f"({SEEDS} seeds, 95 % confidence)" in said
    assert begun != playground.verdict.value
    assert list(playground.seeds) == ["random", "least_connections"]
    assert duration(playground.seeds["random"]["p99"]) in playground.table.value


def test_a_slider_ends_the_other_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playground_module, "SETTLED", 1000)

    async def move() -> Playground:
        playground = Playground(run)
        await asyncio.sleep(0)
        playground.controls["load"].value = 0.5
        await asyncio.sleep(0)
        assert playground.pace.moving
        await asyncio.sleep(0.05)
        assert not playground.pace.moving
        assert playground.seeds is None
        await playground.pace.task
        return playground

    playground = asyncio.run(move())
    assert playground.seeds
    assert playground.experiment.load == pytest.approx(0.5)


def asked(answer: Callable[[Playground], None] = lambda _: None, **settings: float) -> Playground:
    """A playground that was asked whether it was luck, and has run all seeds."""

    async def ask() -> Playground:
        playground = Playground(run, **settings)
        playground.luck.value = True
        await asyncio.sleep(0)
        await playground.pace.task
        answer(playground)
        await asyncio.sleep(0)
        await playground.pace.task
        return playground

    return asyncio.run(ask())


def first_title(playground: Playground) -> str:
    text: str = json.loads(playground.latency.spec)["layout"]["title"]["text"]
    return text.replace("<br>", " ").replace("\u00a0", " ")


def test_one_click_says_with_more_seeds_whether_it_was_luck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playground_module, "SETTLED", 2000)

    def look(playground: Playground) -> None:
        assert len(playground.seeds["round_robin"].seeds) == LUCK
        assert f"({LUCK} seeds, 95 % confidence)" in playground.verdict.value
        assert f"{LUCK} seeds" in first_title(playground)
        points = [t for t in json.loads(playground.latency.spec)["data"] if t["mode"] == "markers"]
        assert [len(trace["x"]) for trace in points] == [LUCK] * 3
        playground.luck.value = False

    playground = asked(look)
    assert first_title(playground).startswith("1 in 100 waits longer")


def test_a_slider_asks_again_and_reset_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playground_module, "SETTLED", 1000)

    def move(playground: Playground) -> None:
        playground.controls["load"].value = 0.5

    playground = asked(move)
    assert f"{LUCK} seeds" in first_title(playground)
    assert playground.experiment.load == pytest.approx(0.5)
    playground = asked(lambda playground: playground.reset.click())
    assert not playground.luck.value
    assert "seeds" not in first_title(playground)


def test_a_move_sends_the_first_figure_first_and_a_change_at_rest_is_one_message() -> None:
    async def watch() -> tuple[list[set[str]], list[set[str]]]:
        playground = Playground(run, ["random"])
        sent: list[set[str]] = []

        def note(change: dict[str, dict[str, object]]) -> None:
            sent.append({p for p, spec in change["new"].items() if change["old"].get(p) != spec})

        playground.latency.feed.observe(note, "specs")
        playground.controls["load"].value = 0.5
        await asyncio.sleep(0)
        await playground.pace.task
        first = list(sent)
        sent.clear()
        playground.draw()
        return first, sent

    moved, drawn = asyncio.run(watch())
    assert moved == [{"0"}, {"1", "2"}, {"0", "1", "2"}]  # a short look, and a long one
    assert drawn == [{"0", "1", "2"}]


def test_what_the_browser_rounds_is_no_change() -> None:
    playground = Playground(run)
    before = playground.latency.number
    playground.controls["load"].value = 0.7999999999999999
    assert playground.latency.number == before


def test_one_more_algorithm_lets_the_oldest_go() -> None:
    playground = Playground(run, ["random", "round_robin", "power_of_two", "least_connections"])
    playground.choice.press("ip_hash")
    assert playground.choice.chosen == ["round_robin", "power_of_two", "least_connections", "ip_hash"]
    assert [r.policy for r in playground.results] == playground.choice.chosen
    assert len(playground.choice.chosen) == MAX_POLICIES


def test_the_last_algorithm_stays() -> None:
    playground = Playground(run, ["random"])
    playground.choice.press("random")
    assert playground.choice.chosen == ["random"]


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
    playground.choice.press("random")
    playground.choice.press("broken_on_purpose")
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


def test_starters_and_what_is_chosen_have_a_button_and_all_are_offered() -> None:
    playground = Playground(run)
    assert playground.choice.buttons[: len(STARTERS)] == list(STARTERS)
    assert {offer["name"] for offer in playground.choice.offers} == set(algorithms())
    assert "maglev" not in playground.choice.buttons
    playground.choice._press_soon("maglev")
    assert "maglev" in playground.choice.buttons
    assert "maglev" in [r.policy for r in playground.results]


def test_a_class_defined_later_is_offered_and_one_defined_anew_is_drawn_anew() -> None:
    playground = Playground(run, ["random"])

    class LaterBorn(Balancer):
        """Takes the first."""

        def pick(self, backends, key, now):  # type: ignore[no-untyped-def]
            return backends[0]

    playground.refresh()
    assert "later_born" in playground.choice.buttons
    playground.choice.press("later_born")
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
        assert playground.pace.task
        await playground.pace.task
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
    with pytest.raises(ValueError, match=r"load is 2: use a number from 0\.1 to 0\.98"):
        Playground(run, load=2)


def test_reset_puts_the_sliders_and_the_policies_back() -> None:
    playground = Playground(run, ["random", "least_connections"], load=0.5)
    playground.controls["load"].value = 0.9
    playground.controls["variability"].value = "extreme"
    playground.choice.press("round_robin")
    assert [r.policy for r in playground.results] == ["random", "least_connections", "round_robin"]
    playground.reset.click()
    assert (playground.settings.load, playground.settings.variability) == (0.5, "medium")
    assert [r.policy for r in playground.results] == ["random", "least_connections"]
    assert playground.choice.chosen == ["random", "least_connections"]


def test_a_setting_can_be_pasted_into_another_playground() -> None:
    one = Playground(run, ["random", "maglev"], load=0.65, variability="much", servers=6)
    other = Playground(run)
    other.keepsake.text.value = one.keepsake.text.value
    other.keepsake.button.click()
    assert other.settings == one.settings
    assert [r.policy for r in other.results] == ["random", "maglev"]
    assert other.keepsake.message.value == ""
    assert other.keepsake.text.value == one.keepsake.text.value


def test_a_text_that_somebody_changes_is_left_alone_until_the_setting_changes() -> None:
    playground = Playground(run)
    box = playground.keepsake.text
    shown, box.value = box.value, "load = 0.6"
    playground.draw()
    assert box.value == "load = 0.6"
    playground.controls["load"].value = 0.65
    assert "load = 0.65" in box.value
    assert box.value != shown


def test_a_text_that_is_no_setting_changes_nothing_and_says_why() -> None:
    playground = Playground(run)
    before = playground.settings
    playground.keepsake.text.value = "servers = 3\nload = 7\n"
    playground.keepsake.button.click()
    assert "load is 7: use a number from 0.1 to 0.98" in playground.keepsake.message.value
    assert playground.settings == before
