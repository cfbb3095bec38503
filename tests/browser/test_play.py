"""`lbkit play`: the playground without code, in a browser without a network."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser.offline import forbid_others
from browser.test_playground import curve, drawn, move, until
from needs import need_feature

from lbkit.cli.play import free_port

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
FIGURE = ".lbkit-playground .lbkit-figure"
PATIENCE = 180_000  # ms, on a busy machine


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    need_feature("play")
    port = free_port()
    command = [sys.executable, "-m", "lbkit", "play", "--no-browser", "--port", str(port)]
    own = {name: str(tmp_path_factory.mktemp("play")) for name in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    environment = os.environ | own | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said = server.stdout.readline()
        assert f"http://127.0.0.1:{port}/" in said
        until(lambda: answers(f"http://127.0.0.1:{port}/voila/static/voila.js"), "a server", seconds=60)
        yield f"http://127.0.0.1:{port}/"
        server.terminate()


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError as error:
        return hasattr(error, "status")  # any answer will do
    return True


def test_it_opens_a_setting_without_code_and_without_a_network(
    address: str, new_page: Callable[[], Any]
) -> None:
    page = new_page()
    outside = forbid_others(page, address)
    page.goto(f"{address}?policies=random,ip_hash&load=0.5", timeout=PATIENCE)
    figure = page.locator(FIGURE).first
    figure.locator(".scatterlayer .trace").first.wait_for(timeout=PATIENCE)
    load = page.locator(".lbkit-playground .widget-hslider:has-text('load')").first
    until(lambda: "50%" in load.inner_text(), "the load of the link")
    assert page.title() == "lbkit: the playground"
    assert page.locator(".jp-InputArea").count() == 0
    assert "from lbkit" not in page.locator("body").inner_text()
    before, line = drawn(figure), curve(figure)
    move(page, "load", "ArrowLeft")
    until(lambda: drawn(figure) > before and curve(figure) != line, "another curve")
    assert outside == []
    page.close()
