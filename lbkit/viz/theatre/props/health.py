"""What health rules know of each server: its last checks, what is counted, and for how long it is out."""

from __future__ import annotations

from collections import defaultdict, deque
from operator import attrgetter
from typing import Any

from lbkit.core.health.watch import HealthRules
from lbkit.recorded import Panic, Probed, Tally
from lbkit.result import Result
from lbkit.viz.theatre.plain import seconds
from lbkit.viz.theatre.props.thin import MOST, still, with_states
from lbkit.viz.theatre.window import Window

MARKS = 8  # checks of a server that are shown
FIRST_ONLY = "health checks are those of the first of {} balancers"


def health(result: Result, part: Window) -> dict[str, Any] | None:
    """Return the checks, counts and ejections of servers; None without a recording, or without such rules."""
    policy = result.experiment.policy
    rules = policy.health or HealthRules()
    known = any(name in result.extra for name in ("probed", "tallies", "panics"))
    if not known or not (rules.checks or rules.outliers or rules.max_fails or policy.panic):
        return None
    notes = [FIRST_ONLY.format(policy.balancers)] if policy.balancers > 1 else []
    probes = _probes(result, part)
    if len(probes["sent"]) >= MOST:
        notes.append(f"health checks are shown until {probes['sent'][-1]:.3g} s")
    tallies, every = with_states(_tallies(result, part), attrgetter("server"), attrgetter("check", "until"))
    if every > 1:
        notes.append(f"health: one in {every} counts is shown")
    return {
        "kind": "health",
        "title": title(rules, policy.panic),
        "place": "servers",
        "fall": rules.checks.fall if rules.checks else None,
        "rise": rules.checks.rise if rules.checks else None,
        "failures": _failures(rules),
        "probes": probes,
        "tallies": {
            "server": [tally.server for tally in tallies],
            "at": [seconds(tally.at) for tally in tallies],
            "check": [tally.check for tally in tallies],
            "row": [tally.checks for tally in tallies],
            "failures": [tally.failures for tally in tallies],
            "until": [None if tally.until is None else seconds(tally.until) for tally in tallies],
        },
        "panic": _panic(result, part) if policy.panic else None,
        "notes": notes,
    }


def title(rules: HealthRules, panic: float) -> str:
    """Return the rules in a few words."""
    words = []
    if checks := rules.checks:
        words.append(f"a check every {checks.interval:g} s, out after {checks.fall}, in after {checks.rise}")
    if outliers := rules.outliers:
        in_row = f"{outliers.consecutive} failures in a row" if outliers.consecutive else "outliers"
        words.append(f"{in_row}: out for {outliers.base_ejection:g} s")
    if fails := rules.max_fails:
        words.append(f"{fails.max_fails} failed: out for {fails.fail_timeout:g} s")
    if panic:
        words.append(f"panic below {panic:.0%} healthy")
    return "health: " + "; ".join(words)


def _failures(rules: HealthRules) -> int | None:
    """Return how many failures of requests take a server out; None if their number does not."""
    if rules.outliers:
        return rules.outliers.consecutive or None
    return rules.max_fails.max_fails if rules.max_fails else None


def _tallies(result: Result, part: Window) -> list[Tally]:
    """Return the tallies with news about more than breakers."""
    last: dict[int, Tally] = {}
    found = []
    for tally in result.extra.get("tallies", ()):
        plain = tally._replace(breaker=None)
        before = last.get(tally.server)
        if before is None or before[1:] != plain[1:]:
            found.append(plain)
        last[tally.server] = plain
    return still(found, attrgetter("at"), part, attrgetter("server"))


def _probes(result: Result, part: Window) -> dict[str, list[Any]]:
    """Return the probes within the film, and of each server the last ones before it."""
    latest: defaultdict[int, deque[Probed]] = defaultdict(lambda: deque(maxlen=MARKS))
    within = []
    for probe in result.extra.get("probed", ()):
        if probe.ended < part.start:
            latest[probe.server].append(probe)
        elif probe.sent <= part.end:
            within.append(probe)
    before = sorted((probe for probes in latest.values() for probe in probes), key=attrgetter("sent"))
    probed = [*before, *within[:MOST]]
    return {
        "server": [probe.server for probe in probed],
        "sent": [seconds(probe.sent) for probe in probed],
        "ended": [seconds(probe.ended) for probe in probed],
        "fault": [probe.fault for probe in probed],
    }


def _panic(result: Result, part: Window) -> dict[str, Any]:
    panics: list[Panic] = still(result.extra.get("panics", ()), attrgetter("at"), part, lambda panic: "")
    return {
        "threshold": result.experiment.policy.panic,
        "at": [seconds(panic.at) for panic in panics],
        "on": [panic.on for panic in panics],
        "healthy": [panic.healthy for panic in panics],
        "servers": [panic.servers for panic in panics],
    }
