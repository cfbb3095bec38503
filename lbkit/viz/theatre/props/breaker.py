"""Circuit breakers: what each has counted, how long it stays open, its trials; and the retry budget."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from lbkit.core.health.breaker import BreakerRules
from lbkit.recorded import Budget, Tally
from lbkit.result import Result
from lbkit.viz.theatre.plain import seconds
from lbkit.viz.theatre.props.thin import still, with_states
from lbkit.viz.theatre.window import Window


def breaker(result: Result, part: Window) -> dict[str, Any] | None:
    """Return the breakers and the retry budget; None without a recording, or without both rules."""
    policy = result.experiment.policy
    rules = policy.health.breaker if policy.health else None
    budget = still(result.extra.get("budget", ()), attrgetter("at"), part, lambda budget: "")
    if not budget and not (rules and "tallies" in result.extra):
        return None
    tallies, every = with_states(_tallies(result, part) if rules else [], attrgetter("server"), _state)
    left, fewer = with_states(budget, lambda budget: "", lambda budget: "")
    notes = [f"breakers: one in {every} counts is shown"] if every > 1 else []
    return {
        "kind": "breaker",
        "title": title(rules, bool(budget)),
        "place": "servers",
        "rules": _rules(rules) if rules else None,
        "tallies": _columns(tallies),
        "budget": _budget(left) if left else None,
        "notes": notes + ([f"retry budget: one in {fewer} values is shown"] if fewer > 1 else []),
    }


def title(rules: BreakerRules | None, budget: bool) -> str:
    """Return what opens the breakers, in a few words."""
    if rules is None:
        return "retry budget"
    seen = f"the last {rules.calls}" if rules.calls else f"the last {rules.window:g} s"
    words = []
    if rules.consecutive:
        words.append(f"{rules.consecutive} failures in a row")
    if rules.failure_rate:
        words.append(f"{rules.failure_rate:.0%} of {seen} failed (at least {rules.minimum})")
    if rules.slow_rate:
        words.append(f"{rules.slow_rate:.0%} took over {rules.slow_after:g} s")
    opens = " or ".join(words)
    return f"breakers: {opens} open it for {rules.open_for:g} s" + ("; retry budget" if budget else "")


def _rules(rules: BreakerRules) -> dict[str, Any]:
    names = ("failure_rate", "minimum", "consecutive", "slow_rate", "probes")
    return {name: getattr(rules, name) for name in names}


def _state(tally: Tally) -> object:
    return tally.breaker and tally.breaker.state


def _tallies(result: Result, part: Window) -> list[Tally]:
    """Return the tallies with news about breakers."""
    last: dict[int, Any] = {}
    found = []
    for tally in result.extra["tallies"]:
        if tally.breaker and last.get(tally.server) != tally.breaker:
            found.append(tally)
        last[tally.server] = tally.breaker
    return still(found, attrgetter("at"), part, attrgetter("server"))


def _columns(tallies: list[Tally]) -> dict[str, list[Any]]:
    counts = [tally.breaker for tally in tallies if tally.breaker]
    return {
        "server": [tally.server for tally in tallies],
        "at": [seconds(tally.at) for tally in tallies],
        "state": [count.state.value for count in counts],
        "outcomes": [count.outcomes for count in counts],
        "failed": [count.failed for count in counts],
        "slow": [count.slow for count in counts],
        "row": [count.in_row for count in counts],
        "until": [None if count.until is None else seconds(count.until) for count in counts],
        "running": [count.running for count in counts],
        "passed": [count.passed for count in counts],
    }


def _budget(left: list[Budget]) -> dict[str, list[Any]]:
    return {"at": [seconds(one.at) for one in left], "left": [round(one.left, 2) for one in left]}
