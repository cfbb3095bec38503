"""The page of `lbkit monitor` in a real browser: it draws what /data.json says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browser.audit import findings

from lbkit.live.monitor.web import Web
from lbkit.run import EngineError

pytestmark = pytest.mark.browser

START, END, STEP = 1_700_000_000.0, 1_700_000_060.0, 2.0
EVIL = "<img src=x onerror=alert(1)>"
TIMES = [START + STEP * i for i in range(31)]


def line(name: str, values: list[float | None], backend: str = "") -> dict[str, Any]:
    points = [[at, value] for at, value in zip(TIMES, values, strict=True) if value is not None]
    return {"name": name, "backend": backend, "points": points}


def panel(title: str, unit: str, *lines: dict[str, Any]) -> dict[str, Any]:
    return {"title": title, "unit": unit, "group": f"Group of {unit}", "help": "What it is.", "lines": lines}


def notice(firing: bool) -> dict[str, Any]:
    until = None if firing else START + 50
    said = {"summary": "a server is out of service", "severity": "page", "labels": {"backend": EVIL}}
    return {
        "name": "ServerDown",
        "firing": firing,
        "since": START + 20,
        "until": until,
        "received": END,
        **said,
    }


GAP: list[float | None] = [0.25] * 10 + [None] * 10 + [0.5] * 11
DATA: dict[str, Any] = {
    **{"admin": "127.0.0.1:9901", "prometheus": "http://127.0.0.1:9090"},
    **{"start": START, "end": END, "step": STEP, "every": 1.0},
    "rules": [
        {"name": "ServerDown", "state": "firing", "summary": "a server is out of service"},
        {"name": "HighLatency", "state": "pending", "summary": "slow"},
        {"name": "HighErrorRate", "state": "inactive", "summary": "errors"},
    ],
    "notices": [notice(True), notice(False)],
    "panels": [
        panel("Latency", "seconds", line("p50", [0.02] * 31), line("p99", [0.3] * 31)),
        panel("Requests", "per second", line("2xx", [20.0] * 31), line("1xx", [0.0] * 31)),
        panel("Up", "count", line(EVIL, GAP, EVIL), line("s2", [1.0] * 31, "s2")),
        panel("Weight", "count", line("s2", [1.0] * 31, "s2")),
        panel("Utilisation", "share"),
    ],
}


class Source:
    """What the server answers with."""

    def __init__(self) -> None:
        self.fault = ""
        self.minutes = 0.0

    def data(self, minutes: float) -> Any:
        self.minutes = minutes
        if self.fault:
            raise EngineError(self.fault)
        return DATA


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def page(source: Source, new_page: Callable[[], Any]) -> Iterator[Any]:
    web = Web(0, print, source.data)
    page = new_page()
    page.problems = []
    page.asked = set()
    page.on("console", lambda message: page.problems.append(message.text))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("request", lambda request: page.asked.add(request.url.split("/")[2]))
    page.goto(web.url)
    page.locator(".panel").nth(4).wait_for()
    yield page
    assert page.asked == {f"127.0.0.1:{web.port}"}  # nothing from elsewhere
    page.close()
    web.close()


def legend(page: Any, panel: int) -> list[str]:
    items: list[str] = page.locator(".panel").nth(panel).locator(".legend li").all_text_contents()
    return items


def test_each_panel_has_its_lines_and_values_in_its_unit(page: Any) -> None:
    assert page.locator("h2").all_inner_texts()[1:] == [
        f"Group of {u}" for u in ("seconds", "per second", "count", "share")
    ]
    assert legend(page, 0) == ["p5020 ms", "p99300 ms"]
    assert len(legend(page, 1)) == 1  # no answer was ever 1xx
    assert legend(page, 4) == ["no data"]
    assert page.locator(".panel").nth(2).locator(".curve[points]").count() == 3  # one is in two parts
    kinds = [page.locator(".panel").nth(n).locator("polyline").last.get_attribute("class") for n in (2, 3)]
    assert kinds[0] == kinds[1]  # a backend looks alike everywhere
    assert page.problems == []


def test_the_pointer_reads_all_panels_at_its_time(page: Any) -> None:
    up = page.locator(".panel").nth(2)
    box = up.locator("svg").first.bounding_box()
    for part, value in ((0.2, "0.25"), (0.45, "–"), (0.9, "0.5")):
        page.locator(".panel").nth(0).locator("svg").first.hover(
            position={"x": box["width"] * part, "y": box["height"] / 2}
        )
        assert up.locator(".legend b").first.inner_text() == value
    assert page.locator(".cross[visibility=visible]").count() == 5


def test_alerts_are_lamps_marks_and_lines(page: Any) -> None:
    lamps = page.locator("#lamps li")
    assert [lamps.nth(i).get_attribute("class") for i in range(3)] == ["firing", "pending", "inactive"]
    assert "FIRING" in lamps.nth(0).inner_text()
    assert page.locator(".panel").nth(0).locator(".mark").count() == 2
    page.locator("summary").click()
    told = page.locator("#notices li").all_inner_texts()
    assert len(told) == 2
    assert f"ended ServerDown backend={EVIL}: a server is out of service" in told[0]
    assert page.title() == "(1) lbkit monitor"
    assert page.locator("main img").count() == 0  # a backend's name is never markup


def test_the_time_is_chosen_and_a_fault_is_said(page: Any, source: Source) -> None:
    page.locator("#minutes").select_option("60")
    page.wait_for_function(
        "performance.getEntriesByType('resource').some((e) => e.name.endsWith('minutes=60'))"
    )
    assert source.minutes == 60
    source.fault = "Prometheus does not answer"
    page.locator("#notice", has_text="The figures are old: Prometheus does not answer").wait_for()
    source.fault = ""
    page.locator("#notice").wait_for(state="hidden")
    page.problems.clear()  # the browser itself tells of the 503


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_has_no_serious_findings(page: Any, theme: str) -> None:
    page.emulate_media(color_scheme=theme)
    page.locator("summary").click()
    assert findings(page) == []
