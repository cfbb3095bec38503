"""Broken algorithms as a learner meets them: in the cells of a kernel, and in a LivePanel on real sockets."""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from needs import need_module

need_module("nbconvert")
need_module("ipykernel")
need_module("ipywidgets")
need_module("anywidget")

from lbkit import Balancer, Constant, Experiment, Traffic, forget, servers, watchdog

ENV = os.environ | {"PYTHONPATH": str(Path(watchdog.__file__).parent.parent)}

SETUP = """
from lbkit import *
from lbkit import watchdog
from lbkit.viz import Playground
watchdog.PERIOD = 0.05
experiment = Experiment(servers(2), Traffic(duration=1))
"""
CLASS = """class {name}(Balancer):
    def pick(self, backends, key, now):
        {body}
"""
PICKS = {  # name -> the body of its pick, and what is said of it
    "Forgetful": ("min(backends, key=lambda b: b.in_flight)", "returned None"),
    "Strange": ("return 's1'", "returned 's1'"),
    "Unlucky": ("return backends[7]", "raised IndexError"),
    "Endless": ("while True: pass", "did not return, and was interrupted"),
}
PLAYGROUND = """
playground = Playground(run, ["round_robin", Endless])
print([r.policy for r in playground.results], playground.verdict.value)
"""


@pytest.fixture(scope="module")
def outputs() -> list[list[dict[str, Any]]]:
    """The outputs of cells: a set-up, then a class, a run of it and a good run each, and a Playground."""
    cells = [SETUP]
    for name, (body, _) in PICKS.items():
        cells += [
            CLASS.format(name=name, body=body),
            f"run(experiment.but(policy={name}))",
            "print(run(experiment).error_rate)",
        ]
    cells.append(PLAYGROUND)
    code = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    book = {
        "cells": [code | {"id": f"c{i}", "source": source.strip()} for i, source in enumerate(cells)],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--allow-errors"]
    done = subprocess.run(
        [*command, "--stdin", "--stdout"],
        input=json.dumps(book),
        capture_output=True,
        text=True,
        timeout=180,
        env=ENV,
    )
    assert done.returncode == 0, done.stderr
    return [cell["outputs"] for cell in json.loads(done.stdout)["cells"]]


@pytest.mark.notebook
@pytest.mark.parametrize("name", PICKS)
def test_an_error_in_a_notebook_has_five_lines_and_names_the_cell(
    outputs: list[list[dict[str, Any]]], name: str
) -> None:
    body, what = PICKS[name]
    number = 3 * list(PICKS).index(name) + 1  # of the class; the set-up is 0
    defined, (failed,), (after,) = outputs[number : number + 3]
    lines = "\n".join(failed["traceback"]).splitlines()
    assert defined == []
    assert lines[0].startswith(f"AlgorithmError: {name}.pick {what}")
    assert [line.strip() for line in lines[1:3]] == [f"Cell In[{number + 1}], line 3", body]
    assert len(lines) <= 5
    assert "".join(after["text"]) == "0.0\n"  # the kernel goes on


@pytest.mark.notebook
def test_a_pick_that_never_ends_blanks_no_playground(outputs: list[list[dict[str, Any]]]) -> None:
    said = "".join(outputs[-1][0]["text"])
    assert said.startswith("['round_robin']")
    assert "Endless.pick did not return, and was interrupted; Cell In[" in said


@pytest.mark.live
def test_an_endless_pick_is_named_on_the_live_panel_which_keeps_working(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    need_module("locust")
    need_module("uvicorn")
    from lbkit.live import LiveSession
    from lbkit.viz import EngineSelector, LivePanel, live

    class StuckOnThePanel(Balancer):  # a name of its own: the panel knows algorithms by name
        def pick(self, backends, key, now):  # type: ignore[no-untyped-def]
            while True:
                pass

    monkeypatch.setattr(watchdog, "PERIOD", 0.05)
    monkeypatch.setattr(
        live, "EngineSelector", lambda **more: EngineSelector(("live",), ask=lambda _: "", **more)
    )
    experiment = Experiment(servers(2, service=Constant(0.01)), Traffic(duration=60)).at_load(0.2)

    panel: Any = None

    async def until(true: Any) -> None:
        end = monotonic() + 60
        while not true():
            if monotonic() > end:
                faulthandler.dump_traceback(sys.__stderr__)
                pytest.fail(f"the panel says {panel.message.value!r} {panel.reason.value!r}")
            await asyncio.sleep(0.05)

    async def play() -> None:
        nonlocal panel
        panel = LivePanel(LiveSession, experiment.but(policy=StuckOnThePanel))
        running = panel.start()
        await until(lambda: "StuckOnThePanel.pick did not return, and was interrupted" in panel.reason.value)
        panel.policy.value = "round_robin"
        await until(lambda: panel.session.policy == "round_robin")
        session, now = panel.session, panel.session.elapsed
        await until(lambda: session.elapsed > now + 1.0)
        assert session.result(last=0.5).error_rate == 0
        panel.stop()
        await running
        assert "Nothing is running" in panel.message.value

    try:
        asyncio.run(play())
    finally:
        forget(StuckOnThePanel)
