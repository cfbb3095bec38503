"""The rules of content switching in a film, and its pools of servers."""

from __future__ import annotations

from lbkit.core.routing import Action, Fixed, Maintenance, Redirect, Split, ToPool
from lbkit.experiment import Experiment
from lbkit.result import Result


def rules(experiment: Experiment) -> list[dict[str, str]]:
    """Return each rule's name, and what it does."""
    routing = experiment.routing
    return [{"name": rule.name, "says": _says(rule.then)} for rule in routing.rules] if routing else []


def pools(experiment: Experiment) -> list[dict[str, str]]:
    """Return the pools of servers with their labels; none where there is only one."""
    names = experiment.pools
    if len(names) < 2:
        return []
    return [{"name": name, "label": _label(experiment, name)} for name in names]


def rule_of(result: Result, rows: list[int]) -> dict[str, list[int]]:
    """Return the column of the rules that decided about requests; -1: none did."""
    if "rule" not in result.columns:
        return {}
    rule = result.rule
    return {"rule": [rule[row] for row in rows]}


def _says(then: Action) -> str:
    match then:
        case ToPool():
            return f"pool {then.pool}"
        case Split():
            return ", ".join(f"{name} {share:.3g} %" for name, share in _shares(then).items())
        case Redirect():
            return f"redirect to {then.to}"
        case Fixed():
            return f"answer {then.status}"
        case Maintenance():
            return "maintenance page"
    raise AssertionError(f"unknown action {then}")


def _shares(split: Split) -> dict[str, float]:
    """Return the share of each pool in percent."""
    total = sum(split.shares.values())
    return {name: 100 * share / total for name, share in split.shares.items()}


def _label(experiment: Experiment, name: str) -> str:
    """Return a pool's name, with its share of what a rule splits."""
    for rule in experiment.routing.rules if experiment.routing else ():
        if isinstance(rule.then, Split) and name in rule.then.shares:
            return f"pool {name}: {_shares(rule.then)[name]:.3g} %"
    return f"pool {name}"
