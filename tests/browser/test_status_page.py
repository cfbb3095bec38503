"""The status page of a running proxy in a real browser."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from administered import TOKEN, Served
from browser.audit import findings
from scripted import Scripted, answers

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="platform: one process on Windows"),
]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EVIL = "<script>document.title='broken'</script><img src=x onerror=alert(1)>/../'\"&"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Scripted(answers(OK)) as one, Scripted(answers(OK)) as two:
        text = "[policy.health.breaker]\nopen_for = 600.0\n"
        for name, port in (("web1", one.port), (EVIL, two.port)):
            text += f"[[backends]]\nname = '''{name}'''\naddress = \"127.0.0.1:{port}\"\n"
        with Served(tmp_path_factory.mktemp("page"), text) as served:
            yield served


@pytest.fixture
def page(proxy: Served, new_page: Callable[[], Any]) -> Iterator[Any]:
    page = new_page()
    page.problems = []
    page.asked = set()
    page.on("console", lambda message: page.problems.append(message.text))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("request", lambda request: page.asked.add(request.url.split("/")[2]))
    page.goto(f"http://127.0.0.1:{proxy.admin}/")
    page.locator("tbody tr").nth(1).wait_for()
    yield page
    page.close()


def test_the_page_shows_what_the_api_says_and_follows_it(proxy: Served, page: Any) -> None:
    rows = page.locator("table.backends tbody tr")
    assert rows.count() == 2
    assert rows.nth(0).locator("th").inner_text().startswith("web1")
    proxy.change("PUT", "/api/backends/web1/breaker", {"state": "open"})
    rows.nth(0).locator(".state.blocked").wait_for()
    assert "by the operator" in rows.nth(0).inner_text()
    proxy.change("PUT", "/api/backends/web1/breaker", {"state": "closed"})
    rows.nth(0).locator(".state.up").wait_for()
    assert page.problems == []
    assert page.asked == {f"127.0.0.1:{proxy.admin}"}  # nothing from elsewhere


def test_a_backends_name_is_never_markup(proxy: Served, page: Any) -> None:
    assert page.locator("tbody th", has_text="<script>").inner_text().startswith(EVIL)
    assert page.locator("main script, main img").count() == 0
    assert "lbkit proxy" in page.title()


def test_scripts_in_the_page_itself_do_not_run(page: Any) -> None:
    """If markup got in after all, the policy of the page would still keep its scripts from running."""
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 1\">')")
    page.wait_for_function("document.body.lastElementChild.complete")
    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in text for text in page.problems)


def test_drain_and_ready_with_the_keyboard_and_the_token(proxy: Served, page: Any) -> None:
    evil = page.locator("table.backends tbody tr").nth(1)
    drain, ready = (evil.get_by_role("button", name=f"{what} {EVIL}") for what in ("Drain", "Ready"))
    drain.press("Enter")
    notice = page.locator("#notice")
    notice.get_by_text("needs the token").wait_for()
    assert page.evaluate("document.activeElement.id") == "token"
    page.keyboard.type("wrong")
    drain.press("Enter")
    notice.get_by_text("a change needs the token").wait_for()
    assert proxy.backend(EVIL)["intent"] == "ready"
    page.locator("#token").fill(TOKEN)
    drain.press("Enter")
    evil.locator(".state.drained").wait_for()
    assert proxy.backend(EVIL)["intent"] == "drain"
    ready.press("Enter")
    evil.locator(".state.up").wait_for()
    assert TOKEN not in page.evaluate(
        "JSON.stringify({...localStorage, ...sessionStorage}) + document.cookie"
    )


def test_a_reload_that_fails_is_explained(proxy: Served, page: Any) -> None:
    before = proxy.path.read_text()
    proxy.path.write_text(before + "\n[limits]\nhead = -1\n")
    page.locator("#token").fill(TOKEN)
    page.get_by_role("button", name="Reload the file").click()
    page.locator("#notice").get_by_text("limits.head is -1: use a whole number").wait_for()
    proxy.path.write_text(before)
    page.get_by_role("button", name="Reload the file").click()
    page.locator("#notice").get_by_text("Done.").wait_for()


def test_the_page_says_when_the_proxy_is_gone(tmp_path: Path, new_page: Callable[[], Any]) -> None:
    page = new_page()
    with Scripted(answers(OK)) as backend:
        with Served(tmp_path, f'[[backends]]\naddress = "127.0.0.1:{backend.port}"') as proxy:
            page.goto(f"http://127.0.0.1:{proxy.admin}/")
            page.locator("tbody tr").first.wait_for()
        page.locator("#notice").get_by_text("No answer from the proxy").wait_for()
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_has_no_serious_findings(page: Any, theme: str) -> None:
    page.emulate_media(
        color_scheme=theme, reduced_motion="reduce"
    )  # what has changed is not lit up for a moment
    assert findings(page) == []
