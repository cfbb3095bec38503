"""What the tests do with a page of JupyterLab."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Lab:
    """A running JupyterLab."""

    folder: Path  # of the notebooks it shows
    base: str
    token: str

    def url(self, notebook: str) -> str:
        workspace = Path(notebook).stem
        return f"{self.base}lab/workspaces/{workspace}/tree/notebooks/{notebook}?token={self.token}&reset"


IDLE = '.jp-NotebookPanel .jp-Notebook-ExecutionIndicator[data-status="idle"]'


def open_notebook(page: Any, url: str) -> None:
    """Returns when its kernel is ready."""
    page.goto(url)
    page.wait_for_selector(IDLE)


def run_all(page: Any, timeout: float = 60) -> None:
    """Run all cells, and wait until they have."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator(".lm-Menu-item", has_text="Run All Cells").first.click()
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="busy"]')
    page.wait_for_selector(IDLE, timeout=timeout * 1000)
