"""Requests at the rate limits: when they came, and what the run's own rules decide, played once more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import takewhile
from math import inf
from typing import NamedTuple

from lbkit.core.limit import Decision
from lbkit.core.limit.several import tightest
from lbkit.core.routing.actions import Reply
from lbkit.edge import TOO_MANY, Rules
from lbkit.experiment import RequestKind
from lbkit.recorded import LIMITS
from lbkit.result import Result
from lbkit.workload import SimRequest, client_name


class Visit(NamedTuple):
    """A request at one rule's limiter."""

    at: float
    row: int
    allowed: bool
    delay: float  # that it is held


Visits = dict[tuple[int, str], list[Visit]]  # by the number of the rule, and the key


def visits(result: Result, end: float = inf) -> tuple[Visits, list[str]]:
    """Return the visits of each rule and key until `end`, in order of time, and a note where decisions differ
    from the run's: those of a proxy, whose clock is not the clients'.

    A request that another rule denied is no visit: it uses nothing up."""
    rules = Rules(result.experiment.limits)
    number_of = {id(limiter): number for number, (_, limiter, _) in enumerate(rules.rules)}
    found: Visits = defaultdict(list)
    verdicts: dict[int, bool] = {}
    for at, row in takewhile(lambda arrival: arrival[0] <= end, _arrivals(result)):
        about = rules.about(_view(result, row))
        if not about:
            continue
        decisions = rules.decide(about, at)
        decided = tightest(decisions)
        verdicts[row] = decided.allowed
        allowed = _as_it_was(result, row, decisions, decided)
        for (_, limiter, key), passed in zip(about, allowed, strict=True):
            if passed is all(allowed):
                found[number_of[id(limiter)], key].append(Visit(at, row, passed, decided.delay))
    return found, _differences(result, verdicts, end)


def _as_it_was(result: Result, row: int, decisions: list[Decision], decided: Decision) -> list[bool]:
    """Return which rules admitted a request: what is decided here, unless the run has decided otherwise."""
    status = result.status[row]
    passed = status != TOO_MANY if status and "passages" not in result.extra else decided.allowed
    if passed:
        return [True] * len(decisions)
    if decided.allowed:  # it was the one with the least left
        least = min(decision.remaining for decision in decisions)
        return [decision.remaining > least for decision in decisions]
    return [decision.allowed for decision in decisions]


def _arrivals(result: Result) -> Iterator[tuple[float, int]]:
    """Yield when each request came to the limits, and its row; a client's later tries, too, if recorded."""
    passages = result.extra.get("passages")
    if passages is not None:
        yield from ((p.at, p.request) for p in passages if p.what == LIMITS)
        return
    for row in sorted(range(len(result)), key=lambda row: (result.arrival[row], row)):
        if not _answered_before(result, row):
            yield result.arrival[row], row


def _answered_before(result: Result, row: int) -> bool:
    """Return whether the firewall or a rule of `routing` has answered a request: it never came here."""
    firewall, routing = result.experiment.firewall, result.experiment.routing
    if firewall and firewall.mode == "block" and "firewall" in result.columns and result.firewall[row]:
        return True
    if routing and "rule" in result.columns and result.rule[row] >= 0:
        return isinstance(routing.rules[result.rule[row]].action, Reply)
    return False


def _view(result: Result, row: int) -> SimRequest:
    mix = result.experiment.traffic.mix
    kind = mix[result.kind[row]] if mix and "kind" in result.columns else RequestKind("item")
    target = kind.target(result.path[row]).encode()
    return SimRequest(client_name(result.client[row]), target, f"tcp {row}", kind)


def _differences(result: Result, verdicts: dict[int, bool], end: float) -> list[str]:
    """`verdicts`: the last one on each row; a client may have tried again after `end`."""
    known = {row: v for row, v in verdicts.items() if result.status[row] and result.end[row] <= end}
    differ = sum(allowed == (result.status[row] == TOO_MANY) for row, allowed in known.items())
    if not differ:
        return []
    return [
        f"limits are played on the requests as clients sent them: {differ} of {len(known)} decisions differ"
    ]
