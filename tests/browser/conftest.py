"""JupyterLab as `lbkit lab` starts it, on a copy of the notebooks, and a page of a real Chromium in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser.jupyter import SWITCHES, Lab, serving, tell_stacks
from needs import need, need_module

ROOT = Path(__file__).parents[2]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A test that fails shows what JupyterLab said, and where its kernels are."""
    report = yield
    lab = getattr(item, "funcargs", {}).get("lab")
    if report.failed and lab:
        tell_stacks(lab)
        report.sections.append(("JupyterLab", lab.log.read_text()[-10000:]))
    return report


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    need_module("jupyterlab")
    with serving(tmp_path_factory.mktemp("lab"), ROOT) as lab:
        yield lab


@pytest.fixture(scope="module")  # longer, and other tests would meet Playwright's running loop
def chromium() -> Iterator[Any]:
    need_module("playwright")
    program = need("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def new_page(chromium: Any) -> Iterator[Callable[[], Any]]:
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(60_000)
    yield context.new_page
    context.close()
