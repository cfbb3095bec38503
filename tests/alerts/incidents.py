"""Runs in which something goes wrong, or nothing, for tests of alerts."""

from __future__ import annotations

from functools import cache

from lbkit import Event, Experiment, Policy, Result, run, servers
from lbkit.core.health import CheckRules, HealthRules
from lbkit.metrics import Store, metrics_of

BAD_FROM, BAD_UNTIL, END = 200.0, 320.0, 600.0


def experiment(*events: Event, load: float = 0.5) -> Experiment:
    policy = Policy("least_connections", health=HealthRules(checks=CheckRules(interval=2.0)))
    return Experiment(servers(4), policy=policy, events=events, seed=1).at_load(load).but(duration=END)


def during(action: str, server: str, *values: float) -> tuple[Event, Event]:
    return Event(BAD_FROM, action, server, *values), Event(BAD_UNTIL, "recover", server)


INCIDENTS = {
    "quiet": experiment(),
    "a crash": experiment(*during("crash", "s1")),
    "errors": experiment(*during("fail", "s2", 0.5)),
    "slow": experiment(*during("slow", "s1", 0.1), *during("slow", "s2", 0.1), *during("slow", "s3", 0.1)),
    "too much": experiment(load=0.97),
}


@cache
def result_of(name: str) -> Result:
    return run(INCIDENTS[name])


@cache
def store_of(name: str) -> Store:
    return metrics_of(result_of(name), every=5.0)
