"""JupyterLab as `lbkit lab` starts it, on a copy of the notebooks, and a page of a real Chromium in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from needs import need, need_module

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PRIVATE = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")
PRIVATE_LAB = ("JUPYTERLAB_WORKSPACES_DIR", "JUPYTERLAB_SETTINGS_DIR")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Notebook -> address."""
    need_module("jupyterlab")
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(NOTEBOOKS, home / "notebooks", ignore=shutil.ignore_patterns(".*"))
    (home / "lbkit").symlink_to(NOTEBOOKS.parent / "lbkit")  # what tells a checkout
    own = {name: str(home / name.lower()) for name in (*PRIVATE, *PRIVATE_LAB)}
    settings = home / "jupyterlab_settings_dir" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "lbkit.cli", "lab", "--no-browser"],
            cwd=home,
            env=os.environ | own,
            stdout=log,
            stderr=log,
        )
        try:
            where = running(server, home / "jupyter_runtime_dir", home / "log")
            yield (
                lambda name: (
                    f"{where['url']}lab/workspaces/{Path(name).stem}/tree/notebooks/{name}?token={where['token']}&reset"
                )
            )
        finally:
            server.terminate()
            server.wait(20)


def running(server: subprocess.Popen[bytes], runtime: Path, log: Path) -> dict[str, Any]:
    """What the server says of itself, once it does."""
    for _ in range(300):
        for path in runtime.glob("jpserver-*.json"):
            if text := path.read_text():
                said: dict[str, Any] = json.loads(text)
                return said
        if server.poll() is not None:
            break
        time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    need_module("playwright")
    program = need("chromium")
    from playwright.sync_api import sync_playwright

    off = ["quic", "background-networking", "component-update", "sync", "gpu"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--no-first-run", *(f"--disable-{o}" for o in off)]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


IDLE = '.jp-NotebookPanel .jp-Notebook-ExecutionIndicator[data-status="idle"]'


@pytest.fixture
def open_notebook(lab: Callable[[str], str], page: Any) -> Callable[[str], Any]:
    """Opens a notebook and waits for its kernel; returns the page."""

    def opened(name: str) -> Any:
        page.goto(lab(name))
        page.wait_for_selector(IDLE)
        return page

    return opened


def run_all(page: Any, timeout: float = 60) -> None:
    """Run all cells, and wait until they have."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator(".lm-Menu-item", has_text="Run All Cells").first.click()
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="busy"]')
    page.wait_for_selector(IDLE, timeout=timeout * 1000)
