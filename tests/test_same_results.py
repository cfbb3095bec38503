"""Compiled and readable lbkit give the same results of fifty random experiments, bit for bit, on each Python.

`python tests/test_same_results.py` writes the digests anew, after a change that is meant to change results.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest

import lbkit

SEEDS = range(50)
KEPT = Path(__file__).with_suffix(".json")
# A logarithm may differ in its last bit between libraries of C.
SAME_LIBRARY = platform.libc_ver()[0] == "glibc" and platform.machine() == "x86_64"

# What an experiment may have besides; each is drawn apart, and left out where it does not go with the others.
POLICY = [
    {"balancers": 3},
    {"health": lbkit.HealthRules(checks=lbkit.CheckRules(interval=0.5, timeout=0.2))},
    {"health": lbkit.HealthRules(breaker=lbkit.BreakerRules(consecutive=3, open_for=0.5))},
    {"health": lbkit.HealthRules(outliers=lbkit.OutlierRules(consecutive=3, base_ejection=1.0))},
    {"retries": 2, "retry": lbkit.Retry(budget=lbkit.RetryBudgetRules(), hedge=lbkit.Hedge(after=0.1))},
    {"slow_start": lbkit.SlowStart(2.0)},
    {"sticky": lbkit.Sticky(secret="a secret of thirty-two characters")},
]
REST = [
    {"admission": lbkit.Admission(limit={"kind": "concurrency_limit", "limit": 6}, queue="fair")},
    {"arrivals": lbkit.Closed(users=20, think=0.2)},
    {"arrivals": lbkit.OnOff(peak=100.0)},
    {"arrivals": lbkit.Sessions(rate=4.0, requests=5.0, think=0.2)},
    {"cache": lbkit.Caching(control="max-age=1")},
    {"events": [lbkit.Event(2.0, "crash", "s1"), lbkit.Event(3.0, "recover", "s1")]},
    {"failures": lbkit.Failures(mtbf=4.0, mttr=0.5)},
    {"limits": [lbkit.RateLimit({"kind": "gcra", "rate": 5, "burst": 3}, key="client")]},
    {"limits": [lbkit.RateLimit({"kind": "fixed_window", "limit": 9, "window": 1}, key="client")]},
    {"limits": [lbkit.RateLimit({"kind": "token_bucket", "rate": 5, "burst": 3}, key="path")]},
    {"patience": lbkit.Patience(timeout=0.3, retries=1)},
]
CANNOT = (lbkit.ExperimentError, ValueError)


def random_experiment(seed: int) -> lbkit.Experiment:
    draw = Random(seed)
    names = sorted(name for name, cls in lbkit.algorithms().items() if cls.__module__.startswith("lbkit."))
    fleet = [
        lbkit.Server(
            f"s{i}",
            workers=draw.choice([1, 1, 2]),
            speed=draw.choice([0.5, 1.0, 2.0]),
            service=draw.choice([lbkit.Exponential(0.05), lbkit.Constant(0.05), lbkit.Pareto(0.05)]),
            weight=draw.choice([1.0, 1.0, 3.0]),
            delay=draw.choice([0.0, 0.0, 0.002]),
            zone=draw.choice("ab"),
            priority=draw.choice([0, 0, 1]),
            discipline=draw.choice(["fifo", "processor_sharing"]),
        )
        for i in range(draw.randint(2, 8))
    ]
    traffic = lbkit.Traffic(duration=6.0, clients=draw.choice([3, 100]), path_skew=draw.choice([0.0, 1.0]))
    found = lbkit.Experiment(fleet, traffic, seed=seed).at_load(draw.choice([0.5, 0.8, 1.1]))
    settings: dict[str, Any] = {}
    for setting in [{"algorithm": draw.choice(names)}, *(part for part in POLICY if draw.random() < 0.25)]:
        with suppress(*CANNOT):
            found = found.but(policy=lbkit.Policy(**{"algorithm": "random"} | settings | setting))
            settings |= setting
    for change in [part for part in REST if draw.random() < 0.2]:
        with suppress(*CANNOT):
            found = found.but(**change)
    return found


def own_algorithm() -> lbkit.Experiment:
    """Return an experiment with a learner's five lines, as in a cell of a notebook."""

    class SameResultsShortest(lbkit.Balancer):
        def pick(self, backends, key, now):  # type: ignore[no-untyped-def]
            return min(backends, key=lambda backend: (backend.in_flight, self.rng.random()))

    policy = lbkit.Policy(SameResultsShortest.name)
    return lbkit.Experiment(lbkit.servers(4), lbkit.Traffic(duration=10), policy).at_load(0.8)


def digest(experiment: lbkit.Experiment) -> str:
    """Return a hash of all columns that a run returns."""
    result = lbkit.run(experiment)
    found = sha256()
    for name, column in sorted(result.columns.items()):
        found.update(f"{name} {column.typecode} ".encode() + column.tobytes())
    return found.hexdigest()[:16]


def digests() -> dict[str, str]:
    found = {str(seed): digest(random_experiment(seed)) for seed in SEEDS}
    own = own_algorithm()
    found["own"] = digest(own)
    lbkit.forget(own.policy.algorithm)
    return found


def of_a_child(pure: str) -> dict[str, str]:
    """Return the digests of another process, with lbkit as readable Python or as it comes."""
    command = [sys.executable, __file__, "--print"]
    environment = {**os.environ, "LBKIT_PURE": pure}
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(child.stdout)
    return found


def test_the_experiments_differ_and_have_requests() -> None:
    experiments = [random_experiment(seed) for seed in SEEDS]
    assert len({e.policy.algorithm for e in experiments}) > 20
    assert len(set(digests().values())) == len(SEEDS) + 1


def test_readable_and_compiled_give_the_same() -> None:
    assert digests() == of_a_child("1" if lbkit.compiled() else "0")


@pytest.mark.skipif(not SAME_LIBRARY, reason="the digests are those of glibc on x86_64")
def test_each_python_gives_the_same() -> None:
    assert digests() == json.loads(KEPT.read_text())


if __name__ == "__main__":
    if "--print" in sys.argv:
        print(json.dumps(digests()))
    else:
        KEPT.write_text(json.dumps(digests(), indent=1) + "\n")
