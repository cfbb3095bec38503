"""The scenes of the stage in a real browser: one page with the films of tests/films.py, one clock for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browser.stage_page import opened
from films import result_of

from lbkit.viz.theatre import film

pytestmark = pytest.mark.browser
NAMES = ("health", "sticky", "breakers", "layer4", "layer7", "pools", "stormy")
PLAYER = "document.getElementById('theatre').theatre.player"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, new_page: Callable[[], Any]) -> Iterator[Any]:
    page = opened(
        new_page(), tmp_path_factory.mktemp("scenes"), [film(result_of(name)).to_dict() for name in NAMES]
    )
    yield page
    page.close()


def prop_of(name: str) -> dict[str, Any]:
    return next(prop for prop in film(result_of(name)).props if prop["kind"] in ("health", "breaker"))


def seek(page: Any, t: float) -> None:
    page.evaluate(f"{PLAYER}.seek({t})")


def stage(page: Any, name: str) -> Any:
    return page.locator(".lbt-stage").nth(NAMES.index(name))


def words(page: Any, name: str, kind: str) -> str:
    props = page.locator(".lbt-props").nth(NAMES.index(name))
    text: str = props.locator(f".lbt-prop-{kind} .lbt-prop-words").inner_text()
    return text


def test_every_moment_can_be_drawn_also_on_a_narrow_page(page: Any) -> None:
    size = page.viewport_size
    for width in (420, size["width"]):
        page.set_viewport_size({"width": width, "height": size["height"]})
        page.evaluate(
            f"""() => {{
              const player = {PLAYER};
              const span = player.end - player.begin;
              for (let i = 0; i <= 120; i++) player.seek(player.begin + span * (i / 120));
            }}"""
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.problems == []


def test_health_checks_are_said_in_words(page: Any) -> None:
    table = prop_of("health")["tallies"]
    of_b = [row for row, server in enumerate(table["server"]) if server == 1]
    failing = next(row for row in of_b if table["check"][row] == "failing" and table["row"][row] == 2)
    down = next(row for row in of_b if table["check"][row] == "down")
    for row, said in ((failing, "2 of 3 checks failed"), (down, "checks: down")):
        seek(page, table["at"][row])
        [of_it] = [part for part in words(page, "health", "health").split(" · ") if part.startswith("b: ")]
        assert said in of_it
    seek(page, 10.2)
    assert words(page, "health", "health") == "no server fails its checks"


def test_panic_is_said_first(page: Any) -> None:
    panic = prop_of("health")["panic"]
    seek(page, panic["at"][panic["on"].index(True)])
    assert words(page, "health", "health").startswith("panic: health is ignored · ")
    assert page.evaluate("document.getElementById('theatre').theatre.stages[0].moment.panics") is True
    seek(page, 0.1)
    assert page.evaluate("document.getElementById('theatre').theatre.stages[0].moment.panics") is False


def test_probes_fly_to_servers_and_back_with_their_outcome(page: Any) -> None:
    probes = "document.getElementById('theatre').theatre.stages[0].moment.probes"
    prop = prop_of("health")["probes"]
    refused = next(i for i, fault in enumerate(prop["fault"]) if fault)
    seek(page, prop["sent"][refused] + 0.01)
    going = page.evaluate(probes)
    assert [(probe["server"], probe["outcome"]) for probe in going if probe["server"] == 1] == [(1, "")]
    seek(page, prop["sent"][refused] + 0.04)  # its flight takes 0.03 s each way
    assert (1, "failed") in [(probe["server"], probe["outcome"]) for probe in page.evaluate(probes)]


def test_sessions_say_where_they_moved_and_why(page: Any) -> None:
    seek(page, 2.9)
    assert "0 moved" in words(page, "sticky", "sticky")
    seek(page, 7.3)
    assert "(c drain" in words(page, "sticky", "sticky")


def test_a_breaker_says_when_it_tries_again(page: Any) -> None:
    table = prop_of("breakers")["tallies"]
    opened = next(table["at"][i] for i, state in enumerate(table["state"]) if state == "open")
    seek(page, opened - 0.001)
    assert words(page, "breakers", "breaker").startswith("all breakers are closed")
    seek(page, opened + 0.1)
    assert words(page, "breakers", "breaker").startswith("b: open: a trial in 0.9 s · retries left")


def test_connections_say_to_how_many_servers_they_lead(page: Any) -> None:
    seek(page, 7.0)
    assert (
        words(page, "layer4", "connections") == "5 open connections · the requests on each went to 1 server"
    )
    assert words(page, "layer7", "connections").endswith("the requests on one of them went to 3 servers")


def test_the_caption_has_the_rule_that_chose_the_pool(page: Any) -> None:
    shown = film(result_of("pools"))
    at = next(
        at
        for at, request in zip(shown.attempts["at"], shown.attempts["request"], strict=True)
        if shown.requests["rule"][request] == 0
    )
    seek(page, at)
    said = stage(page, "pools").locator(".lbt-caption").inner_text()
    assert "→ api" in said
    assert ": rule api: pool api; " in said
    here = f"document.getElementById('theatre').theatre.stages[{NAMES.index('pools')}]"
    tops = page.evaluate(f"{here}.layout.boxes.map(box => box.y)")
    assert tops[2] - tops[1] > tops[1] - tops[0]  # the name of the next pool is between them


def test_an_answer_of_the_balancer_itself_has_its_caption(page: Any) -> None:
    shown = film(result_of("pools"))
    gone = shown.requests["rule"].index(1)
    seek(page, shown.requests["answered"][gone])
    said = stage(page, "pools").locator(".lbt-caption").inner_text()
    assert said.endswith("→ answered: rule gone: answer 410")
    assert ". rule gone" in page.locator(".lbt-live").inner_text()


def test_the_legend_has_what_occurs_and_opens(page: Any) -> None:
    legend = page.locator(".lbt-legend")
    assert legend.get_attribute("open") is not None
    signs = legend.locator(".lbt-sign").all_inner_texts()
    for sign in ("retry", "hedge (a second copy)", "denied by a limit", "health check on its way"):
        assert sign in signs
    assert "breaker open: no requests go there" in signs
    assert "faster than usual" not in signs  # nothing is
    legend.locator("summary").click()
    assert not legend.locator(".lbt-sign").first.is_visible()


def test_nothing_goes_wrong(page: Any) -> None:
    assert page.problems == []
