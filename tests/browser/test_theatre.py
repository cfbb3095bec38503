"""The stage in a real browser, from a page that `page` saves: no kernel, no JupyterLab."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browser.test_playground import until
from viz.theatre.toy import every_outcome

from lbkit.viz.theatre.page import page as saved

pytestmark = pytest.mark.browser
TIME = "document.getElementById('theatre').theatre.player.t"
COLOURS = """canvas => {
  const pen = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  pen.drawImage(canvas, 0, 0);
  const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size;
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, new_page: Callable[[], Any]) -> Iterator[Any]:
    path = tmp_path_factory.mktemp("theatre") / "x.html"
    path.write_text(saved([every_outcome(), every_outcome("round_robin")]), encoding="utf-8")
    page = new_page()
    page.problems = []
    page.asked = []
    page.on("console", lambda message: page.problems.append(message.text))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(f"file://{path}")
    page.home = page.asked[0]
    yield page
    page.close()


def press(page: Any, key: str) -> None:
    page.locator(".lbkit-theatre").press(key)


def test_it_stands_at_the_beginning(page: Any) -> None:
    assert page.evaluate(TIME) == 0
    assert page.locator(".lbt-stage").count() == 2
    assert page.locator(".lbt-stage strong").first.inner_text() == "A toy with </script> in its title"


def test_a_prop_that_the_stage_does_not_know_is_left_out(page: Any) -> None:
    assert page.locator(".lbt-prop").count() == 0


def test_right_steps_to_the_next_decision_and_says_why(page: Any) -> None:
    press(page, "Home")
    for at in (0.10, 0.12):
        press(page, "ArrowRight")
        until(lambda at=at: page.evaluate(TIME) == at, "the next decision")
    assert page.locator(".lbt-caption").first.inner_text() == "request 2 of c1 → s2: the fewest in flight"
    said = page.locator(".lbt-live").inner_text()
    assert "request 2 of c1 goes to s2. the fewest in flight. 2 in flight" in said
    assert "s1: 1 in service, 0 waiting; s2: 1 in service" in said
    press(page, "ArrowLeft")
    assert page.evaluate(TIME) == 0.10


def test_the_picture_is_not_blank_at_any_time(page: Any) -> None:
    resting, moving = (page.locator(".lbt-picture canvas").nth(i) for i in (0, 1))
    seen = set()
    for i in range(17):
        page.evaluate(f"{TIME.removesuffix('.t')}.seek({i / 10})")
        seen.add(moving.evaluate("canvas => canvas.toDataURL()"))
        assert resting.evaluate(COLOURS) > 20
    assert len(seen) > 12


def test_space_plays_and_pauses(page: Any) -> None:
    press(page, "Home")
    press(page, " ")
    until(lambda: page.evaluate(TIME) > 0.02, "the film runs")
    press(page, " ")
    rests = page.evaluate(TIME)
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate(TIME) == rests


def test_the_bar_scrubs_and_the_film_ends(page: Any) -> None:
    page.get_by_role("slider", name="time").fill("0.5")
    assert page.evaluate(TIME) == pytest.approx(0.8)
    press(page, "End")
    assert page.evaluate(TIME) == 1.6
    assert "1 in flight" in page.locator(".lbt-counts").first.inner_text()


def test_states_are_said_in_words(page: Any) -> None:
    press(page, "End")
    said = page.locator(".lbt-live").inner_text()
    assert "balancer: maglev" in said
    for words in ("s1, draining", "slow ×0.3", "s3, breaker half open", "strange"):
        assert words in said


def test_up_and_down_change_the_speed(page: Any) -> None:
    slider = page.get_by_role("slider", name="playback speed")
    press(page, "ArrowDown")
    assert slider.get_attribute("aria-valuetext") == "1/1×" or slider.input_value() == "-0.1"
    press(page, "ArrowUp")
    assert slider.get_attribute("aria-valuetext") == "1×"


def test_with_reduced_motion_it_only_steps(page: Any) -> None:
    page.emulate_media(reduced_motion="reduce")
    press(page, "Home")
    press(page, " ")
    assert page.evaluate(TIME) == 0.10
    press(page, "ArrowRight")
    assert page.evaluate(TIME) == 0.12
    page.emulate_media(reduced_motion="no-preference")


def test_no_two_signs_look_alike_even_without_colours(page: Any) -> None:
    """At least 15 of their pixels differ clearly in brightness."""
    alike = page.evaluate(
        """() => {
          const signs = [...document.querySelectorAll(".lbt-sign")].map((sign) => {
            const pen = new OffscreenCanvas(30, 24).getContext("2d", { willReadFrequently: true });
            pen.fillStyle = "#fff";
            pen.fillRect(0, 0, 30, 24);
            const canvas = sign.querySelector("canvas");
            pen.drawImage(canvas, (30 - parseFloat(canvas.style.width)) / 2, 0);
            const { data } = pen.getImageData(0, 0, 30, 24);
            const grey = (i) => 0.3 * data[i] + 0.6 * data[i + 1] + 0.1 * data[i + 2];
            return [sign.innerText, Array.from({ length: 720 }, (_, i) => grey(4 * i))];
          });
          const differ = (one, other) => one.filter((grey, i) => Math.abs(grey - other[i]) > 60).length;
          const pairs = signs.flatMap(([a, one], i) =>
            signs.slice(i + 1).map(([b, other]) => [a, b, differ(one, other)])
          );
          return [signs.length, pairs.filter(([, , count]) => count < 15)];
        }"""
    )
    assert alike[0] > 12
    assert alike[1] == []


def test_it_turns_dark_with_the_page(page: Any) -> None:
    ground = "getComputedStyle(document.querySelector('.lbkit-theatre')).backgroundColor"
    light = page.evaluate(ground)
    page.emulate_media(color_scheme="dark")
    until(lambda: page.evaluate(ground) != light, "a dark page")
    page.emulate_media(color_scheme="light")
    until(lambda: page.evaluate(ground) == light, "a light page")


def test_a_narrow_page_has_the_stages_below_each_other(page: Any) -> None:
    size = page.viewport_size
    page.set_viewport_size({"width": 420, "height": 900})
    canvas = page.locator(".lbt-picture canvas[role=img]").first
    until(lambda: canvas.bounding_box()["width"] < 420, "a smaller picture")
    one, other = (page.locator(".lbt-stage").nth(i).bounding_box() for i in (0, 1))
    assert other["y"] >= one["y"] + one["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    page.set_viewport_size(size)


def test_without_python_there_are_no_hands(page: Any) -> None:
    assert page.locator(".lbt-hand").count() == 0


def test_nothing_is_asked_of_any_server_and_nothing_goes_wrong(page: Any) -> None:
    assert page.asked == [page.home]
    assert page.problems == []


# With a director the stage has hands; here, they send to the page itself.
TOY = every_outcome()


@pytest.fixture(scope="module")
def handled(tmp_path_factory: pytest.TempPathFactory, new_page: Callable[[], Any]) -> Iterator[Any]:
    path = tmp_path_factory.mktemp("hands") / "x.html"
    html = saved([TOY]).replace('"hands":null', '"hands":{"policies":["random","round_robin"]}')
    path.write_text(
        html.replace("off() {}", "off() {}, send(said) { (window.sent ??= []).push(said); }"), "utf-8"
    )
    page = new_page()
    page.goto(f"file://{path}")
    yield page
    page.close()


def sent(page: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate("(window.sent ?? []).filter((said) => said.do)")
    page.evaluate("window.sent = []")
    return found


@pytest.mark.parametrize(
    ("hand", "item", "message"),
    [
        ("server s1", "kill", {"do": "kill", "server": "s1"}),
        ("server s3", "revive", {"do": "revive", "server": "s3"}),  # it is down by then
        ("server s2", "drain", {"do": "drain", "server": "s2"}),
        ("balancer", "round robin", {"do": "switch", "policy": "round_robin"}),
    ],
)
def test_a_menu_says_what_can_be_done(handled: Any, hand: str, item: str, message: dict[str, Any]) -> None:
    handled.evaluate(f"{TIME.removesuffix('.t')}.seek(0.5)")
    handled.get_by_role("button", name=hand).click()
    handled.get_by_role("menuitem", name=item, exact=True).click()
    assert sent(handled) == [message | {"at": 0.5, "stage": 0}]
    assert handled.locator(".lbt-menu").count() == 0


def test_a_menu_is_used_with_keys_alone(handled: Any) -> None:
    handled.evaluate(f"{TIME.removesuffix('.t')}.seek(0.5)")
    handled.get_by_role("button", name="server s1").focus()
    for key in ("Enter", "ArrowDown", "ArrowDown", "ArrowDown"):  # to its weight
        handled.keyboard.press(key)
    handled.get_by_role("slider", name="weight", exact=True).fill("7")
    handled.keyboard.press("Escape")
    weight = {"do": "weight", "server": "s1", "weight": 7, "at": 0.5, "stage": 0}
    assert sent(handled) == [weight]


def turned(page: Any, name: str) -> Any:
    page.evaluate(f"{TIME.removesuffix('.t')}.seek(0.5)")
    return page.get_by_role("slider", name=name, exact=True)


@pytest.mark.parametrize(
    ("knob", "pixels", "message"),
    [
        ("speed of s1", -48, {"do": "slow", "server": "s1", "factor": 2.0}),  # up: twice as fast
        ("speed of s1", 24, {"do": "slow", "server": "s1", "factor": 0.71}),
        ("weight of s3", -36, {"do": "weight", "server": "s3", "weight": 5}),  # it was 2
        ("weight of s2", 200, {"do": "weight", "server": "s2", "weight": 0}),
    ],
)
def test_a_knob_is_dragged_and_says_its_value(
    handled: Any, knob: str, pixels: int, message: dict[str, Any]
) -> None:
    slider = turned(handled, knob)
    box = slider.bounding_box()
    handled.mouse.move(x := box["x"] + 20, y := box["y"] + 8)
    handled.mouse.down()
    handled.mouse.move(x, y + pixels, steps=3)
    shown = str(message.get("factor", message.get("weight"))).removesuffix(".0")
    assert slider.inner_text().endswith(f" {shown}")
    handled.mouse.up()
    assert sent(handled)[-1] == message | {"at": 0.5, "stage": 0}
    handled.evaluate("document.getElementById('theatre').theatre.told({ fault: 'no' })")
    assert not slider.inner_text().endswith(f" {shown}")  # what was refused is not so


def test_what_is_done_now_is_in_the_film_no_later_than_now(handled: Any) -> None:
    for t in (0.29, 0.7999999999, 0.12345678):
        handled.evaluate(f"{TIME.removesuffix('.t')}.seek({t})")
        handled.get_by_role("button", name="client c1").press("Enter")
        (said,) = sent(handled)
        assert t - 1.1e-6 < said["at"] <= t
        assert said["at"] == round(said["at"], 6)


def test_a_knob_is_turned_with_keys_and_one_message_says_where_it_ended(handled: Any) -> None:
    slider = turned(handled, "speed of s1")
    sent(handled)
    handled.evaluate(
        """() => {
          const knob = document.querySelector("[aria-label='speed of s1']");
          for (const key of ["ArrowUp", "ArrowUp", "PageDown", "ArrowDown"])
            knob.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
        }"""
    )
    assert slider.get_attribute("aria-valuetext") == "0.59"
    until(lambda: handled.evaluate("(window.sent ?? []).some((said) => said.do)"), "it settles")
    assert sent(handled) == [{"do": "slow", "server": "s1", "factor": 0.59, "at": 0.5, "stage": 0}]
    assert handled.evaluate(TIME) == 0.5  # the keys are the knob's


def test_a_click_on_a_client_sends_a_request_and_a_held_one_floods(handled: Any) -> None:
    hand = handled.get_by_role("button", name="client c1")
    hand.press("Enter")
    assert [(said["client"], said["requests"]) for said in sent(handled)] == [("c1", 1)]
    hand.hover()
    handled.mouse.down()
    until(lambda: handled.evaluate("(window.sent ?? []).filter((said) => said.do).length >= 3"), "a flood")
    handled.mouse.up()
    counts = [said["requests"] for said in sent(handled)]
    assert counts == sorted(counts)
    assert counts[-1] > 1


def test_at_rest_it_leaves_a_picture_for_the_saved_notebook(handled: Any) -> None:
    handled.evaluate(f"{TIME.removesuffix('.t')}.seek(0.6)")
    until(lambda: handled.evaluate("(window.sent ?? []).some((said) => said.still)"), "a picture")
    stills = handled.evaluate("window.sent.filter((said) => said.still)")
    assert stills[-1]["still"].startswith("data:image/webp")
    assert stills[-1]["width"] > 300
    assert 5_000 < len(stills[-1]["still"]) < 200_000


def test_the_next_film_goes_on_at_the_same_moment(handled: Any) -> None:
    handled.evaluate(f"{TIME.removesuffix('.t')}.seek(0.7)")
    handled.evaluate(
        """() => {
          const { theatre } = document.getElementById("theatre");
          const spec = JSON.parse(theatre.model.get("spec"));
          spec.films[0].title = "the next film";
          theatre.model.get = () => JSON.stringify(spec);
          document.querySelector("[aria-label='weight of s2']").focus();
          theatre.renew();
        }"""
    )
    assert handled.evaluate("document.activeElement.getAttribute('aria-label')") == "weight of s2"
    assert handled.evaluate(TIME) == 0.7
    assert handled.locator(".lbt-stage strong").inner_text() == "the next film"
    assert handled.locator(".lbt-hand").count() == 7


def test_it_prints_one_still_picture_on_a_white_page(page: Any) -> None:
    page.emulate_media(color_scheme="dark", media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")  # as a browser does
    shown = page.evaluate(
        """() => {
          const { theatre } = document.getElementById("theatre");
          const colour = (element) => getComputedStyle(element).backgroundColor;
          const seen = (name) => [...document.querySelectorAll(name)].some((one) => one.offsetParent);
          return {
            theme: theatre.theme.dark,
            still: !theatre.player.playing,
            ground: colour(theatre.root),
            page: colour(document.documentElement),
            seen: [".lbt-button", ".lbt-track", ".lbt-cover", ".lbt-time", ".lbt-caption"].map(seen),
          };
        }"""
    )
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(color_scheme="light", media="null")
    assert shown == {
        "theme": False,
        "still": True,
        "ground": "rgb(255, 255, 255)",
        "page": "rgb(255, 255, 255)",
        "seen": [False, False, False, True, True],
    }


def test_the_print_is_one_sheet_with_the_pictures_on_it(page: Any) -> None:
    page.evaluate(f"{TIME.removesuffix('.t')}.seek(0.5)")
    pdf = page.pdf(format="A4")
    assert re.findall(rb"/Count (\d+)", pdf) == [b"1"]
    assert b"/SMask" not in pdf  # a canvas that was cleared, as a mask that hides what is drawn later
