"""core, sim and viz where a browser's Python has nothing: no numpy, no sockets, no threads, no processes.

The browser-only edition runs them in Pyodide (tests/browser/test_lite.py); this finds most faults sooner.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from needs import need_feature

ROOT = Path(__file__).parents[1]

BROWSER = """
import sys
for module in ("IPython", "ipywidgets", "anywidget", "plotly.graph_objects", "networkx"):
    __import__(module)  # theirs may look at the platform as it is

import _thread, os, socket, subprocess, threading

# Compiled, or for terminals, or of the live engines: none of them has a place there.
ABSENT = {"numpy", "pandas", "pyarrow", "scipy", "httptools", "uvloop", "psutil", "nbformat", "jsonschema",
          "typer", "pydantic", "fcntl", "resource", "locust", "gevent", "zmq", "uvicorn", "docker", "redis"}

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in [name for name in sys.modules if name.partition(".")[0] in ABSENT]:
    del sys.modules[name]
sys.meta_path.insert(0, Hidden())
sys.platform = "emscripten"

def missing(*arguments, **options):
    raise OSError("a browser does not have this")

def no_thread(*arguments, **options):
    raise RuntimeError("can't start new thread")

socket.socket.__init__ = missing
subprocess.Popen = os.fork = os.posix_spawn = missing
threading.Thread.start = no_thread
"""

IMPORTS = """
import importlib, pkgutil
import lbkit.core, lbkit.sim, lbkit.viz
names = [found.name for package in (lbkit.core, lbkit.sim, lbkit.viz)
         for found in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
for name in names:
    importlib.import_module(name)
assert len(names) > 200, names
print("imported")
"""

RUNS = """
from lbkit import Balancer, Experiment, RateLimit, Traffic, replicate, run, servers, sweep, why_not

class Own(Balancer):
    def pick(self, backends, key, now):
        return min(backends, key=lambda b: b.in_flight)

experiment = Experiment(servers(3), Traffic(duration=5), policy=Own, seed=1).at_load(0.7)
print(run(experiment).counts)
replicate(experiment, 3, ["random", Own])
assert len(sweep(experiment, over={"policy": ["random", "ip_hash"], "seed": range(2)})) == 4
limit = RateLimit({"kind": "token_bucket", "rate": 0.1, "burst": 1})
assert run(experiment.but(limits=[limit])).denied > 0
for feature in ("live", "nginx", "threads"):
    assert "which a browser lacks" in why_not(feature)
assert not why_not("sim") and not why_not("figures")
try:
    run(experiment, on="live")
except Exception as error:
    print(type(error).__name__, error)
"""

FIGURES = """
from unittest.mock import patch
from lbkit import Experiment, Traffic, run, servers
from lbkit.core.limit import TokenBucket, play
from lbkit.course import predict
from lbkit.viz import Explorer, LimiterPanel, Playground, Theatre, figures, limits, topology

experiment = Experiment(servers(3), Traffic(duration=5), seed=1)
results = [run(experiment), run(experiment.but(policy="random"))]
shown = []
with patch("IPython.display.display", lambda data, **_: shown.extend(data)):
    for drawn in (figures.latency_cdf(results), figures.latency_over_time(results), topology(experiment),
                  limits.marks({"bucket": play(TokenBucket(5, 5), [0.0, 0.1])})):
        drawn._ipython_display_()
assert shown.count("application/vnd.jupyter.widget-view+json") == 4
playground = Playground(run, ["random", "round_robin"])
before = playground.results
playground.controls["load"].value = 0.5
assert playground.results is not before
Theatre(run(experiment, record=True))
predict("in-a-browser", "Which?", ["this", "that"])
LimiterPanel()
Explorer(lambda load: figures.latency_cdf([run(experiment.at_load(load))]), load=(0.1, 0.9, 0.5))
print("drawn")
"""


@pytest.mark.parametrize(
    ("code", "said"),
    [(IMPORTS, "imported"), (RUNS, "{'s1': "), (FIGURES, "drawn")],
    ids=["every module is imported", "experiments run", "figures are drawn"],
)
def test_in_a_browser(code: str, said: str) -> None:
    need_feature("figures")
    done = subprocess.run(
        [sys.executable, "-c", BROWSER + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
