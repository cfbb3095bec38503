"""Drills: what fails when servers fail, on the simulator, lbkit's proxy, HAProxy and nginx.

`python -m benchmarks.drills` prints one table, `--json` one object. All engines get the same Experiments:
each fault with a measure against it, and without. Where a program has none, or lbkit does not configure it,
the table has a dash, and the reason below. Times are in seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from attrs import evolve

from benchmarks.harness import options, report
from lbkit import (
    AttemptTimeouts,
    Constant,
    Event,
    Experiment,
    Exponential,
    Patience,
    Policy,
    Result,
    Retry,
    RetryBudgetRules,
    RollingDeploy,
    run,
    servers,
)
from lbkit.core.health import BreakerRules, CheckRules, HealthRules, Probe
from lbkit.events import Action
from lbkit.needs import why_not

ENGINES = ("sim", "live", "haproxy", "nginx")
CHECKS = CheckRules(interval=0.5, timeout=0.3, fall=2, rise=1)
Figures = Mapping[str, float | str | None]


@dataclass(frozen=True)
class Drill:
    """A fault, the experiments that meet it, by the measure against it, and what is measured of each."""

    name: str
    experiments: Mapping[str, Experiment]
    measure: Callable[[Result], Figures]


def failed(result: Result) -> dict[str, int]:
    """Return how many of the requests got no good answer."""
    return {"requests": len(result), "failed": len(result) - sum(result.ok)}


# -- kill -9 -----------------------------------------------------------------------------------------

RESTART = 0.2  # seconds until a supervisor starts a process again
KILLS = tuple(
    event
    for number, second in enumerate(range(1, 12, 2))
    for event in (
        Event(second, "crash", f"s{number % 3 + 1}"),
        Event(second + RESTART, "recover", f"s{number % 3 + 1}"),
    )
)


def killed(retries: int, checks: CheckRules | None = None) -> Experiment:
    """One of three servers is killed every two seconds, and started again at once; all are GETs."""
    fleet = servers(3, service=Exponential(0.02), workers=4, boot=0.5)
    policy = Policy("round_robin", retries=retries, health=HealthRules(checks=checks) if checks else None)
    return Experiment(fleet, policy=policy, events=KILLS).at_load(0.1).but(duration=13)


Spans = list[tuple[float, float]]  # from and to; inf: never again


def downtimes(result: Result) -> dict[str, Spans]:
    """Return when each server was down, by name.

    A process starts within half a second, and later on a busy machine: a live result has the moments."""
    history = result.extra.get("history")
    if history is None:
        boot = {server.name: server.boot for server in result.experiment.servers}
        moments = [(e.at, e.server, e.action is Action.CRASH) for e in result.experiment.timeline]
        changes = [(at if crash else at + boot[name], name, crash) for at, name, crash in moments]
    else:
        words = [(change.at, *change.what.split()) for change in history]
        changes = [(at, name, what == "crash") for at, what, name in words]
    found: dict[str, Spans] = {name: [] for name in result.backends}
    since: dict[str, float] = {}
    for at, name, crash in sorted(changes):
        if crash:
            since[name] = at
        elif name in since:
            found[name].append((since.pop(name), at))
    for name, at in since.items():
        found[name].append((at, inf))
    return found


def all_down(down: Mapping[str, Spans]) -> Spans:
    """Return when no server was up."""
    first, *others = down.values()
    common = first
    for spans in others:
        both = [(max(a, c), min(b, d)) for a, b in common for c, d in spans]
        common = [(start, stop) for start, stop in both if start < stop]
    return common


MARGIN = 0.2  # seconds around a downtime


def failed_of_kills(result: Result) -> Figures:
    """Return how many requests failed, and how many of them although some server was up all the while.

    Tries come one after the other: if every server was down at some moment of a request, retries may have met
    each of them then. That happens where processes take a second to start."""
    down = downtimes(result)
    end = result.experiment.traffic.duration
    unlucky = sum(
        all(
            any(start - MARGIN <= done and arrival <= stop + MARGIN for start, stop in spans)
            for spans in down.values()
        )
        for arrival, done, ok in zip(result.arrival, result.end, result.ok, strict=True)
        if not ok
    )
    counted = failed(result)
    return {
        **counted,
        "no server up": sum(min(stop, end) - start for start, stop in all_down(down)),
        "failed otherwise": counted["failed"] - unlucky,
    }


# -- deploys -----------------------------------------------------------------------------------------


def deployed(drain: bool) -> Experiment:
    """Three servers at 70 % load get a new version; without any retry, as if nothing were idempotent."""
    fleet = servers(3, service=Exponential(0.1), workers=6, boot=0.5)
    deploy = RollingDeploy(at=1, settle=0.3, drain=drain)
    policy = Policy("least_connections", retries=0)
    return Experiment(fleet, policy=policy, deploy=deploy).at_load(0.7).but(duration=16)


def failed_in_deploy(result: Result) -> Figures:
    return {**failed(result), "deploy": result.extra.get("deploy")}


# -- a server that hangs -------------------------------------------------------------------------------

HUNG_AT, HUNG_UNTIL = 2, 6
DEADLINE = 2.0


def hung(checks: CheckRules | None, retry: Retry | None) -> Experiment:
    """One of three servers is stopped (SIGSTOP) for four seconds."""
    events = [Event(HUNG_AT, "hang", "s2"), Event(HUNG_UNTIL, "recover", "s2")]
    health = HealthRules(checks=checks) if checks else None
    policy = Policy("round_robin", retries=1, retry=retry, health=health)
    fleet = servers(3, service=Exponential(0.02), workers=4)
    return Experiment(fleet, policy=policy, events=events).at_load(0.2).but(duration=9)


def found(result: Result) -> Figures:
    """Return when the server was found to hang, and how long the slowest request took."""
    down = (change.at - HUNG_AT for change in result.changes if change.after == "down")
    during = result.where(arrival=lambda at: at < HUNG_UNTIL)
    return {**failed(result), "found after": next(down, None), "slowest": max(during.latency)}


# -- checks that flap ----------------------------------------------------------------------------------

CHECK_EVERY = 0.5
FLAPS = 2


def flapping(fall: int) -> Experiment:
    """Of one server one check in ten fails: what its health page needs is down for each tenth interval."""
    events = []
    for number in range(FLAPS):
        at = (4 + 10 * number) * CHECK_EVERY
        events.append(Event(at, "fail_dependency", "s2", dependency="statistics"))
        events.append(Event(at + CHECK_EVERY, "restore_dependency", "s2", dependency="statistics"))
    probe = Probe(path="/health/detail")
    checks = CheckRules(interval=CHECK_EVERY, timeout=CHECK_EVERY, fall=fall, rise=1, probe=probe)
    fleet = servers(3, service=Exponential(0.02), workers=4, dependencies={"statistics": 0.0})
    policy = Policy("round_robin", health=HealthRules(checks=checks))
    duration = (4 + 10 * FLAPS) * CHECK_EVERY
    return Experiment(fleet, policy=policy, events=events).at_load(0.2).but(duration=duration)


def taken_out(result: Result) -> Figures:
    failing = sum(change.kind == "check" and change.before == "up" for change in result.changes)
    out = sum(change.kind == "check" and change.after == "down" for change in result.changes)
    return {**failed(result), "failed checks": failing, "taken out": out}


# -- the retry storm -----------------------------------------------------------------------------------

SLOW_AT, SLOW_UNTIL = 4, 7
TRIES = Patience(timeout=0.5, retries=3)
FEW_RETRIES = Retry(
    timeouts=AttemptTimeouts(first_byte=0.4), budget=RetryBudgetRules(ratio=0.1, window=10.0, minimum=0.0)
)
BREAKER = BreakerRules(failure_rate=0.5, minimum=10, window=2.0, open_for=1.0, probes=3)


def storm(guarded: bool, load: float = 0.35, duration: float = 20) -> Experiment:
    """All servers are ten times slower for three seconds; clients wait half a second and try four times."""
    fleet = servers(4, service=Constant(0.05), workers=2)
    slow = [Event(SLOW_AT, "slow", server.name, 0.1) for server in fleet]
    mended = [Event(SLOW_UNTIL, "recover", server.name) for server in fleet]
    policy = Policy("least_connections", retries=0)
    if guarded:
        policy = evolve(policy, retries=1, retry=FEW_RETRIES, health=HealthRules(breaker=BREAKER))
    experiment = Experiment(fleet, policy=policy, events=[*slow, *mended]).at_load(load)
    return experiment.but(duration=duration, patience=TRIES)


def good_share(result: Result, start: float, stop: float) -> float:
    """Return the share of requests of this time that got a good answer while the client waited."""
    rows = [ok for at, ok in zip(result.arrival, result.ok, strict=True) if start <= at < stop]
    return sum(rows) / len(rows)


def recovered(result: Result) -> Figures:
    """Return the share of good answers long after the fault, and when it was over for the clients."""
    last = int(result.experiment.traffic.duration)
    seconds = range(SLOW_UNTIL, last)
    bad = [second for second in seconds if good_share(result, second, second + 1) < 0.95]
    recovery = bad[-1] + 1 - SLOW_UNTIL if bad else 0
    return {
        "good before, %": 100 * good_share(result, 0, SLOW_AT - 0.5),
        "good at the end, %": 100 * good_share(result, last - 5, last),
        "recovered after": None if bad and bad[-1] == last - 1 else recovery,
    }


def storm_begins(loads: Sequence[float], seeds: int = 3) -> float | None:
    """Return the lowest of the loads at which a storm outlives its cause by a minute, by simulation."""
    for load in loads:
        for seed in range(seeds):
            experiment = storm(False, load, duration=SLOW_UNTIL + 65).but(seed=seed)
            if recovered(run(experiment))["recovered after"] is None:
                return load
    return None


LOADS = (0.1, 0.15, 0.2, 0.225, 0.25, 0.275, 0.3, 0.4)
DRILLS = {
    "kill": Drill(
        "kill -9 one in three every 2 s",
        {"2 retries": killed(2), "2 retries, checks": killed(2, CHECKS), "no retries": killed(0)},
        failed_of_kills,
    ),
    "deploy": Drill(
        "deploy of all at 70 % load",
        {"rolling": deployed(drain=True), "plain restart": deployed(drain=False)},
        failed_in_deploy,
    ),
    "hang": Drill(
        "a server hangs for 4 s",
        {
            f"checks, deadline {DEADLINE:g} s": hung(
                CHECKS, Retry(deadline=DEADLINE, timeouts=AttemptTimeouts(first_byte=0.5))
            ),
            "checks": hung(CHECKS, None),
            "neither": hung(None, None),
        },
        found,
    ),
    "flap": Drill(
        "one check in ten fails",
        {"fall = 3": flapping(3), "fall = 1": flapping(1)},
        taken_out,
    ),
    "storm": Drill(
        "retry storm, load 0.35",
        {"breaker, budget": storm(True), "neither": storm(False)},
        recovered,
    ),
}


def refusal(experiment: Experiment, engine: str) -> str:
    """Return why an engine does not run the experiment; empty if it does."""
    if reason := why_not(engine):
        return reason
    if engine in ("sim", "live"):
        return ""
    from lbkit.live import PeerError, render

    try:
        render(experiment, engine)
    except PeerError as error:
        return str(error)
    return ""


def measure(drills: Sequence[str], engines: Sequence[str]) -> dict[str, Any]:
    """Return the figures by drill, measure and engine, and why there are none; takes real time."""
    figures: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for name in drills:
        drill = DRILLS[name]
        for how, experiment in drill.experiments.items():
            row = figures.setdefault(name, {}).setdefault(how, {})
            for engine in engines:
                if reason := refusal(experiment, engine):
                    refused.setdefault(reason, f"{engine}: {drill.name}, {how}")
                    continue
                print(f"{drill.name}, {how}, on {engine}", file=sys.stderr)
                result = run(experiment, on=engine)
                if result.faults:
                    sys.exit(f"{drill.name}, {how}, on {engine}: {'; '.join(result.faults)}")
                row[engine] = drill.measure(result)
    found = {"engines": list(engines), "figures": figures, "refused": refused}
    if "storm" in drills:
        found["storm_begins_at_load"] = storm_begins(LOADS)
    return found


def write(value: float | str | None) -> str:
    if value is None:
        return "never"
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)


def cell(figures: Figures | None, name: str) -> str:
    if figures is None:
        return "-"
    of = f"/{figures['requests']}" if name == "failed" else ""
    return write(figures[name]) + of


def table(found: dict[str, Any]) -> str:
    """Return the figures as a table: a line for each figure, a column for each engine."""
    engines = found["engines"]
    lines = [" " * 74 + "".join(f"{engine:>10}" for engine in engines)]
    for name, rows in found["figures"].items():
        for how, row in rows.items():
            if not row:
                continue
            for figure in next(iter(row.values())):
                if figure != "requests":  # which are beside those that failed
                    cells = "".join(f"{cell(row.get(engine), figure):>10}" for engine in engines)
                    lines.append(f"{DRILLS[name].name:32}{how:22}{figure:20}{cells}")
    lines += [f"- {where}: {reason}" for reason, where in found["refused"].items()]
    if "storm_begins_at_load" in found:
        begins, tries = write(found["storm_begins_at_load"]), TRIES.retries + 1
        lines.append(f"The storm outlives its cause from load {begins} on; in theory from 1/{tries} on.")
    return "\n".join(lines)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--engines", nargs="+", default=ENGINES, choices=ENGINES)
    parser.add_argument("--drills", nargs="+", default=list(DRILLS), choices=DRILLS)
    report(parser, measure, lambda found: print(table(found)))


if __name__ == "__main__":
    main()
