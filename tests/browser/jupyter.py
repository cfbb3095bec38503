"""What the tests do with a page of JupyterLab."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Lab:
    """A running JupyterLab."""

    folder: Path  # of the notebooks it shows
    base: str
    token: str
    log: Path

    def url(self, notebook: str) -> str:
        workspace = Path(notebook).stem
        return f"{self.base}lab/workspaces/{workspace}/tree/workbook/{notebook}?token={self.token}&reset"


IDLE = '.jp-NotebookPanel .jp-Notebook-ExecutionIndicator[data-status="idle"]'
RUNNING = '.jp-InputPrompt:has-text("[*]")'  # the kernel's own light also goes out for messages of widgets


def open_notebook(page: Any, lab: Lab, notebook: str) -> None:
    """Returns when its kernel is ready.

    The kernel is started first, for JupyterLab to find: left to itself, its page may ask for two at once, and
    go on with the one that is shut down again (jupyterlab #12935)."""
    path = f"workbook/{notebook}"
    session = {"path": path, "name": notebook, "type": "notebook", "kernel": {"name": "python3"}}
    request = urllib.request.Request(
        f"{lab.base}api/sessions",
        json.dumps(session).encode(),
        {"Authorization": f"token {lab.token}", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=60).close()
    from playwright.sync_api import TimeoutError

    for _ in range(3):
        page.goto(lab.url(notebook))
        try:
            page.wait_for_selector(f"{IDLE}, .jp-Dialog", timeout=20_000)
            answer_dialogs(page)
            page.wait_for_selector(IDLE, timeout=20_000)
            return
        except TimeoutError:  # now and then a page does not find its kernel: what a user would do is reload
            print("JupyterLab did not find its kernel")
    raise AssertionError(f"{notebook} never had a kernel")


def answer_dialogs(page: Any) -> None:
    """On a busy machine JupyterLab may ask which kernel to take, before it knows that there is one."""
    for _ in range(10):
        dialogs = page.locator(".jp-Dialog button.jp-mod-accept")
        if not dialogs.count():
            return
        print("JupyterLab asks:", page.locator(".jp-Dialog").all_inner_texts())  # shown if the test fails
        dialogs.last.click(timeout=5000)
        page.wait_for_timeout(1000)


def start_all(page: Any) -> None:
    """Run all cells; returns when they have begun."""
    from playwright.sync_api import TimeoutError

    for _ in range(8):
        answer_dialogs(page)
        try:
            page.wait_for_selector(IDLE, timeout=10_000)
            page.get_by_role("menuitem", name="Run", exact=True).click(timeout=3000)
            page.locator(".lm-Menu-item", has_text="Run All Cells").first.click(timeout=3000)
            page.wait_for_selector(RUNNING, timeout=3000, state="attached")
        except TimeoutError:
            continue  # a dialog came in between, or right after its start the kernel has not heard of it
        return
    raise AssertionError("the kernel does not run any cell")


def run_all(page: Any, timeout: float = 60) -> None:
    """Run all cells; returns when they have ended."""
    start_all(page)
    ended(page, timeout)


def ended(page: Any, timeout: float = 60) -> None:
    """Returns when no cell runs or waits to run."""
    page.locator(RUNNING).first.wait_for(state="detached", timeout=timeout * 1000)
    page.wait_for_selector(IDLE)


def end_kernels(lab: Lab) -> None:
    """Shut down every kernel, as an end of the day does."""
    headers = {"Authorization": f"token {lab.token}"}
    with urllib.request.urlopen(urllib.request.Request(f"{lab.base}api/sessions", headers=headers)) as answer:
        sessions = json.load(answer)
    for session in sessions:
        request = urllib.request.Request(
            f"{lab.base}api/sessions/{session['id']}", headers=headers, method="DELETE"
        )
        urllib.request.urlopen(request, timeout=60).close()
