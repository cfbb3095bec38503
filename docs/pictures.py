"""Make the pictures of README anew, from the code as it is: `make pictures`. Needs Chromium."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lbkit import Experiment, Exponential, Poisson, Traffic, run, servers
from lbkit.cli.play import free_port
from lbkit.needs import PROGRAMS, find_program
from lbkit.viz import Theatre

HERE = Path(__file__).parent
PATIENCE = 120_000  # ms


def theatre() -> Path:
    crowd = Traffic(Poisson(12), duration=10, clients=6)
    unequal = servers(3, speed=[1, 1, 0.25], service=Exponential(0.1))
    policies = "round_robin", "least_connections"
    results = [run(Experiment(unequal, crowd, policy, seed=1), record=True) for policy in policies]
    return Theatre(*results).save(HERE / "theatre.gif", start=2.5, seconds=8, fps=10, width=1000)


def playground() -> Path:
    """Take the playground as `lbkit play` shows it, when all its seeds have run."""
    from playwright.sync_api import sync_playwright

    path = HERE / "playground.png"
    program = find_program(PROGRAMS["chromium"].names)
    with playing() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.goto(address, timeout=PATIENCE)
        page.get_by_text("(8 seeds").first.wait_for(timeout=PATIENCE)
        page.locator(".lbkit-figure .js-line").nth(8).wait_for(state="attached", timeout=PATIENCE)
        page.screenshot(path=path)
        browser.close()
    return path


@contextmanager
def playing() -> Iterator[str]:
    """Run `lbkit play`; the value is its address."""
    port = free_port()
    command = [sys.executable, "-m", "lbkit", "play", "--no-browser", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            wait_for(port, server)
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.terminate()


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Return when something listens there. Raises RuntimeError when the server has ended instead."""
    while server.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            return
        time.sleep(0.1)
    raise RuntimeError("lbkit play has ended, as it says above")


if __name__ == "__main__":
    print(theatre())
    print(playground())
