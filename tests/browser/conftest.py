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
from browser.jupyter import Lab
from needs import need, need_module

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PRIVATE = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")
PRIVATE_LAB = ("JUPYTERLAB_WORKSPACES_DIR", "JUPYTERLAB_SETTINGS_DIR")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A test that fails shows what JupyterLab said."""
    report = yield
    lab = getattr(item, "funcargs", {}).get("lab")
    if report.failed and lab:
        report.sections.append(("JupyterLab", lab.log.read_text()[-5000:]))
    return report


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    need_module("jupyterlab")
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(NOTEBOOKS, home / "notebooks", ignore=shutil.ignore_patterns(".*"))
    (home / "lbkit").symlink_to(NOTEBOOKS.parent / "lbkit")  # what tells a checkout
    own = {name: str(home / name.lower()) for name in (*PRIVATE, *PRIVATE_LAB)}
    own["LBKIT_PROGRESS"] = str(home / "progress.json")
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
            yield Lab(home / "workbook", where["url"], where["token"], home / "log")
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


@pytest.fixture(scope="module")  # longer, and other tests would meet Playwright's running loop
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


@pytest.fixture(scope="module")
def new_page(chromium: Any) -> Iterator[Callable[[], Any]]:
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(60_000)
    yield context.new_page
    context.close()
