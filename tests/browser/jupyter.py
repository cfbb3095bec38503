"""JupyterLab on a copy of the notebooks, and what the tests do with a page of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PRIVATE = (
    *("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"),
    *("JUPYTERLAB_WORKSPACES_DIR", "JUPYTERLAB_SETTINGS_DIR"),
)
OFF = ("quic", "background-networking", "component-update", "sync", "gpu")
SWITCHES = ["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in OFF)]  # of Chromium


# What a kernel does when it is asked by a signal: print where each of its threads is.
TELLS = """import faulthandler, signal
faulthandler.register(signal.SIGUSR1, all_threads=True)
"""


@dataclass
class Lab:
    """A running JupyterLab."""

    folder: Path  # of the notebooks it shows
    base: str
    token: str
    log: Path
    pid: int

    def url(self, notebook: str) -> str:
        workspace = Path(notebook).stem
        return f"{self.base}lab/workspaces/{workspace}/tree/workbook/{notebook}?token={self.token}&reset"


@contextmanager
def serving(home: Path, root: Path) -> Iterator[Lab]:
    """JupyterLab as `lbkit lab` starts it in the checkout `root`; all its files are in the folder `home`."""
    shutil.copytree(root / "notebooks", home / "notebooks", ignore=shutil.ignore_patterns(".*"))
    (home / "lbkit").symlink_to(root / "lbkit")  # what tells a checkout
    startup = home / "ipythondir/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "tells.py").write_text(TELLS)
    own = {name: str(home / name.lower()) for name in PRIVATE}
    settings = home / "jupyter_config_dir" / "jupyter_lab_config.json"
    settings.parent.mkdir()
    settings.write_text('{"LabApp": {"expose_app_in_browser": true}}')  # as jupyterapp, for `command`
    own |= {"LBKIT_PROGRESS": str(home / "progress.json"), "PYTHONPATH": str(root)}
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "lbkit", "lab", "--no-browser"],
            cwd=home,
            env=os.environ | own,
            stdout=log,
            stderr=log,
        )
        try:
            where = running(server, home / "jupyter_runtime_dir", home / "log")
            yield Lab(home / "workbook", where["url"], where["token"], home / "log", server.pid)
        finally:
            server.terminate()
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:  # it waits for a kernel that does not end
                server.kill()
                server.wait()


def running(server: subprocess.Popen[bytes], runtime: Path, log: Path) -> dict[str, Any]:
    """What the server says of itself, once it does: within two minutes, as the machine may be busy."""
    for _ in range(1200):
        for path in runtime.glob("jpserver-*.json"):
            if text := path.read_text():
                said: dict[str, Any] = json.loads(text)
                return said
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start: {log.read_text()[-2000:]}")


IDLE = '.jp-NotebookPanel .jp-Notebook-ExecutionIndicator[data-status="idle"]'
RUNNING = '.jp-InputPrompt:has-text("[*]")'  # the kernel's own light also goes out for messages of widgets


def start_kernel(lab: Lab, notebook: str) -> None:
    """Start a new kernel of a notebook, as the old one may be at work for a test that failed."""
    path = f"workbook/{notebook}"
    end_kernels(lab, path)
    session = {"path": path, "name": notebook, "type": "notebook", "kernel": {"name": "python3"}}
    asked(lab, "sessions", "POST", session)


def open_notebook(page: Any, lab: Lab, notebook: str) -> None:
    """Returns when its kernel, a new one, is ready.

    The kernel is started first, for JupyterLab to find: left to itself, its page may ask for two at once, and
    go on with the one that is shut down again (jupyterlab #12935)."""
    start_kernel(lab, notebook)
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
    raise AssertionError(f"{notebook} never had a kernel: {asked(lab, 'kernels')}")


def command(page: Any, name: str, **options: Any) -> None:
    """Do what an entry of JupyterLab's menus does."""
    page.evaluate("([name, options]) => jupyterapp.commands.execute(name, options)", [name, options])


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
            page.wait_for_selector(f"{IDLE}, {RUNNING}", timeout=10_000, state="attached")
            if page.locator(RUNNING).count():
                return  # on a busy machine it had begun, and the page was late to say so
            page.get_by_role("menuitem", name="Run", exact=True).click(timeout=3000)
            page.locator(".lm-Menu-item", has_text="Run All Cells").first.click(timeout=3000)
            page.wait_for_selector(RUNNING, timeout=10_000, state="attached")
        except TimeoutError:
            continue  # a dialog came in between, or right after its start the kernel has not heard of it
        return
    raise AssertionError("the kernel does not run any cell")


def run_all(page: Any, timeout: float = 240) -> None:
    """Run all cells; returns when they have ended."""
    start_all(page)
    ended(page, timeout)


def ended(page: Any, timeout: float = 240) -> None:
    """Returns when no cell runs or waits to run."""
    page.locator(RUNNING).first.wait_for(state="detached", timeout=timeout * 1000)
    page.wait_for_selector(IDLE)


def end_kernels(lab: Lab, path: str = "") -> None:
    """Shut down the kernel of the notebook at `path`, or every kernel, as an end of the day does."""
    for session in asked(lab, "sessions"):
        if path in ("", session["path"]):
            asked(lab, f"sessions/{session['id']}", "DELETE")


def asked(lab: Lab, what: str, method: str = "GET", content: object = None) -> Any:
    """What the server's API answers."""
    request = urllib.request.Request(
        f"{lab.base}api/{what}",
        None if content is None else json.dumps(content).encode(),
        {"Authorization": f"token {lab.token}", "Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or "null")


def tell_stacks(lab: Lab) -> None:
    """Have all kernels print to the server's log where they are, for a test that fails while one hangs."""
    import psutil

    for process in psutil.Process(lab.pid).children(recursive=True):
        if "ipykernel_launcher" in process.cmdline():
            process.send_signal(signal.SIGUSR1)
    time.sleep(0.5)
