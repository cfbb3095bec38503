"""A running session on the stage: a page that is told what comes, and JupyterLab with a real session."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import nbformat
import pytest
from browser.jupyter import RUNNING, Lab, ended, open_notebook, start_all
from browser.test_playground import until
from needs import need_feature
from viz.theatre.toy import KINDS, OUTCOMES, every_outcome

from lbkit.viz.theatre.page import page as saved

pytestmark = pytest.mark.browser
THEATRE = "document.getElementById('theatre').theatre"
MOST = 50
LIVE = {"delay": 0.5, "most": MOST, "pace": 0.05, "flight": 0.015}
FINISHED, UNFINISHED = OUTCOMES.index("ok"), OUTCOMES.index("unfinished")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, new_page: Callable[[], Any]) -> Iterator[Any]:
    """A page with an empty film, to which a test adds requests."""
    film = every_outcome() | {
        "start": 0.0,
        "end": 0.0,
        "pace": 1.0,
        "flight": 0.15,
        "states": [],
        "captions": [],
    }
    for columns in ("requests", "attempts"):
        film[columns] = {name: [] for name in film[columns]}
    hands = {"policies": ["random", "round_robin"], "undo": False}
    html = saved([film]).replace('"hands":null', f'"hands":{json.dumps(hands)},"live":{json.dumps(LIVE)}')
    html = html.replace("off() {}", "off() {}, send(said) { (window.sent ??= []).push(said); }")
    path = tmp_path_factory.mktemp("live") / "x.html"
    path.write_text(html, encoding="utf-8")
    page = new_page()
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.goto(f"file://{path}")
    yield page
    page.close()


def tell(page: Any, now: float, *rows: Any, **more: Any) -> None:
    page.evaluate(f"more => {THEATRE}.told({{ more }})", {"now": now, "requests": list(rows), **more})


def row(number: int, sent: float, answered: float | None = None, server: int = 0) -> list[Any]:
    end = None if answered is None else answered - 0.01
    how = UNFINISHED if answered is None else FINISHED
    return [number, sent, answered, 0, 1.0, 200, how, [[server, sent, sent, end, KINDS.index("first"), how]]]


def of(page: Any, what: str) -> Any:
    return page.evaluate(f"{THEATRE}.{what}")


def test_it_follows_half_a_second_behind_what_it_is_told(stage: Any) -> None:
    assert of(stage, "player.playing")
    tell(stage, 10.0, *(row(i, 9 + i / 20, 9.04 + i / 20) for i in range(20)), notes=["live"], states=[])
    until(lambda: of(stage, "player.t") > 9.4, "the clock is near the present")
    assert of(stage, "player.t") <= 10.0
    assert of(stage, "indexes[0].count") == 20
    assert stage.locator(".lbt-notes li").all_inner_texts() == ["live"]
    assert stage.locator(".lbt-present").inner_text() == "● live"
    assert "answered" in stage.locator(".lbt-counts").inner_text()


def test_it_never_runs_beyond_what_it_knows(stage: Any) -> None:
    tell(stage, 10.3)
    until(lambda: of(stage, "player.t") >= 10.29, "the clock stands at the end")
    stage.wait_for_timeout(100)
    assert of(stage, "player.t") == pytest.approx(10.3)


def test_a_request_that_comes_further_takes_the_place_of_what_was_known_and_keeps_its_slot(
    stage: Any,
) -> None:
    tell(stage, 11.0, row(20, 10.6), row(21, 10.7), row(22, 10.8))
    slots = of(stage, "indexes[0].slots.slice(-3).join()")
    assert slots == "0,1,2"
    tell(stage, 11.1, row(20, 10.6, 10.65), row(22, 10.8, 11.0))
    assert of(stage, "indexes[0].count") == 23
    assert of(stage, "indexes[0].slots.slice(-3).join()") == slots
    assert of(stage, "indexes[0].requests.answered.slice(-3)") == [10.65, None, 11.0]


def test_states_are_on_the_stage_when_their_time_comes(stage: Any) -> None:
    down = {"at": 11.2, "server": 0, "kind": "server", "state": "down", "value": None, "why": "by hand"}
    tell(stage, 11.4, states=[down])
    until(lambda: of(stage, "stages[0].moment.servers[0].states.length") == 1, "the server is down")
    tell(stage, 11.5, states=[down, down | {"at": 11.45, "state": "up"}])
    until(lambda: of(stage, "stages[0].moment.servers[0].states.length") == 0, "the server is up")


def test_hands_send_at_once_and_the_clock_does_not_wait(stage: Any) -> None:
    stage.get_by_role("button", name="server s1").click()
    stage.get_by_role("menuitem", name="kill", exact=True).click()
    stage.get_by_role("button", name="balancer").click()
    assert stage.get_by_role("menuitem", name="undo").count() == 0
    stage.keyboard.press("Escape")
    stage.get_by_role("button", name="client c1").press("Enter")
    sent = stage.evaluate("window.sent.filter((said) => said.do)")
    assert [one["do"] for one in sent] == ["kill", "send"]
    assert of(stage, "player.waits") is False
    stage.evaluate(f"{THEATRE}.told({{ fault: 'haproxy cannot do this' }})")
    assert stage.locator(".lbt-fault").inner_text() == "haproxy cannot do this"
    stage.evaluate(f"{THEATRE}.told({{ fault: '' }})")


def test_a_pause_keeps_the_picture_which_plays_in_slow_motion_until_one_goes_back(stage: Any) -> None:
    stage.locator(".lbkit-theatre").press(" ")
    assert stage.locator(".lbt-present").inner_text() == "go to live"
    rests, count = of(stage, "player.t"), of(stage, "indexes[0].count")
    tell(stage, 14.0, row(30, 13.5, 13.6), row(31, 13.7, 13.8))
    assert (of(stage, "player.t"), of(stage, "indexes[0].count")) == (rests, count)
    assert of(stage, "player.pace") == 0.05
    for at in range(10):  # no moment of it breaks the picture
        stage.evaluate(f"{THEATRE}.player.seek({9 + at / 4})")
    stage.locator(".lbt-present").click()
    until(lambda: of(stage, "player.t") > 13.4, "the present")
    assert of(stage, "indexes[0].count") == count + 2
    assert of(stage, "player.pace") == 1.0


def test_only_the_last_requests_are_kept(stage: Any) -> None:
    for batch in range(3):
        first = 100 + 30 * batch
        tell(stage, 15.0 + batch, *(row(first + i, 14.5 + batch + i / 100) for i in range(30)))
    assert of(stage, "running.reel.rows.size") == MOST
    tell(stage, 18.0, row(100, 14.5, 17.9))  # one of those that were dropped
    assert of(stage, "running.reel.rows.size") == MOST
    assert of(stage, "indexes[0].requests.row.includes(100)") is False


def test_at_its_end_it_is_a_film_that_rests(stage: Any) -> None:
    film = every_outcome() | {"end": 20.0}
    stage.evaluate(
        f"""film => {{
          const theatre = {THEATRE};
          theatre.model.get = () => JSON.stringify({{ films: [film], colours: {{}}, hands: null }});
          theatre.renew();
        }}""",
        film,
    )
    assert of(stage, "player.playing") is False
    assert stage.locator(".lbt-hand, .lbt-present").count() == 0
    stage.locator(".lbkit-theatre").press("Home")
    assert of(stage, "player.t") == 0
    assert stage.problems == []


CELLS = (
    "import asyncio\nfrom lbkit import *\nfrom lbkit.live import LiveSession\nfrom lbkit.viz import Theatre\n"
    "many = Experiment(servers(3, service=Constant(0.02)), Traffic(duration=90)).at_load(0.3)",
    "with LiveSession(many) as session:\n"
    "    theatre = Theatre(session)\n"
    "    display(theatre)\n"
    "    while session.running and not session.history: await asyncio.sleep(0.05)\n"
    "    alive = [server['alive'] for server in session.state()]\n"
    "print('by hand:', [change.what for change in session.history], alive)",
)
SHOWN = "document.querySelector('.lbkit-figure').theatre"


def test_a_click_in_a_notebook_kills_a_real_process_while_the_cell_awaits(
    lab: Lab, new_page: Callable[[], Any]
) -> None:
    need_feature("live")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    book.metadata = nbformat.read(lab.folder / "00-playground.ipynb", 4).metadata  # says which kernel
    nbformat.write(book, lab.folder / "live.ipynb")
    page = new_page()
    open_notebook(page, lab, "live.ipynb")
    start_all(page)
    hand = page.get_by_role("button", name="server s1")
    hand.wait_for()
    until(lambda: page.evaluate(f"{SHOWN}.indexes[0].count") > 5, "requests on the stage", 60)
    before = page.evaluate(f"{SHOWN}.player.t")
    until(lambda: page.evaluate(f"{SHOWN}.player.t") > before, "the clock goes on")
    assert page.locator(RUNNING).count()
    hand.click()
    page.get_by_role("menuitem", name="kill", exact=True).click()
    ended(page)
    said = page.locator(".jp-OutputArea-output:has-text('by hand:')").first.inner_text()
    assert "['crash s1'] [False, True, True]" in said
    until(lambda: page.locator(".lbt-present").count() == 0, "the film of the whole")
    assert page.locator(".lbt-hand").count() == 0
    states = page.evaluate(f"{SHOWN}.indexes[0].film.states.filter((state) => state.why === 'by hand')")
    assert [(state["server"], state["state"]) for state in states] == [(0, "down")]
    page.close()
