"""Traffic for all rules of an experiment: one kind of request for each, at a load that no pool exceeds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from re import _constants as c  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from lbkit.arrivals import Poisson
from lbkit.core.routing import DEFAULT, Answered, RouteTable, Rule, Sample, Split
from lbkit.experiment.experiment import Experiment
from lbkit.mix import METHODS, RequestKind

_SOME = "x1aA-._/+ ~"  # one of these is in most classes of characters
ANSWERED = 0.05  # share of requests that rules answer without a server, where there are such rules


def spread_load(experiment: Experiment, load: float) -> tuple[Experiment, list[str]]:
    """Return a copy whose traffic reaches every rule that it can, and the names of the other rules.

    The busiest pool has `load`; without rules it is `at_load`. Of the requests that a rule sends to a pool
    there are as many as the pool can serve, in equal parts for its rules. A kind of request has paths such as
    /api/7, so a rule for exactly /api gets none, nor does one about a client's address. Raises
    ExperimentError."""
    if not experiment.routing or not experiment.routing.rules:
        return experiment.at_load(load), []
    table = RouteTable(experiment.routing)
    reached: dict[str, tuple[RequestKind, dict[str, float]]] = {}
    missed = []
    for rule in experiment.routing.rules:
        kind = next((kind for kind in _candidates(rule) if _decides(table, kind) == rule.name), None)
        if kind:
            reached[rule.name] = kind, _shares(rule)
        else:
            missed.append(rule.name)
    rest = RequestKind("other", path="/item")
    if not _decides(table, rest) and "other" not in reached:
        reached[""] = rest, {DEFAULT: 1.0}
    if not reached:
        return experiment.at_load(load), missed
    capacity: Counter[str] = Counter()
    for server in experiment.servers:
        if server.weight > 0 and server.name not in experiment.joining:
            capacity[server.pool] += server.capacity  # type: ignore[assignment]
    rules_of = Counter(pool for _, shares in reached.values() for pool in shares)
    total = sum(capacity.values()) or 1.0
    sizes = {
        name: sum(capacity[pool] / rules_of[pool] for pool in shares) or ANSWERED * total
        for name, (_, shares) in reached.items()
    }
    traffic: Counter[str] = Counter()  # of a pool, while the sizes are requests a second
    for name, (_, shares) in reached.items():
        for pool, share in shares.items():
            traffic[pool] += sizes[name] * share  # type: ignore[assignment]
    busiest = max((traffic[pool] / capacity[pool] for pool in traffic if capacity[pool]), default=1.0)
    rate = load * sum(sizes.values()) / busiest
    whole = sum(sizes.values())
    mix = [
        RequestKind(
            kind.name,
            round(sizes[name] / whole, 6),
            kind.path,
            kind.method,
            kind.host,
            kind.query,
            kind.headers,
        )
        for name, (kind, _) in reached.items()
    ]
    return experiment.but(mix=mix, arrivals=Poisson(rate)), missed


def _shares(rule: Rule) -> dict[str, float]:
    """Return the share of a rule's requests that each pool gets; empty if no server gets any."""
    if isinstance(rule.then, Split):
        whole = sum(rule.then.shares.values())
        return {pool: weight / whole for pool, weight in rule.then.shares.items() if weight}
    return dict.fromkeys(rule.then.pools, 1.0)


def _decides(table: RouteTable, kind: RequestKind) -> str:
    """Return the name of the rule that fits requests of this kind; empty if none does."""
    sample = Sample(kind.target(0), kind.method, kind.host or "127.0.0.1", kind.sent())
    way = table.route(sample)
    return way.rule if not isinstance(way, Answered) or way.rule else "\0"


def _candidates(rule: Rule) -> Iterator[RequestKind]:
    """Yield kinds of requests that may fit a rule."""
    when = rule.when
    headers = {name: _text(pattern) for name, pattern in when.header.items() if name.lower() != "host"}
    if when.cookie:
        headers["Cookie"] = "; ".join(f"{name}={_text(value)}" for name, value in when.cookie.items())
    if when.content_type:
        headers["Content-Type"] = when.content_type[0].replace("*", "x")
    named = next((value for name, value in when.header.items() if name.lower() == "host"), "")
    hosts = [host.replace("*", "x") for host in when.host] or [_text(named) if named else ""]
    query = "&".join(f"{name}={_text(value)}" for name, value in when.query.items())
    method = next((one for one in when.method if one in METHODS), "GET")
    paths = [*when.prefix, *when.path, *(_text("~" + one) for one in when.regex)] or ["/item"]
    for path in paths:
        for stem in dict.fromkeys((path.rstrip("/") or "/item", path.rpartition("/")[0] or "/item")):
            try:
                yield RequestKind(rule.name, 1.0, stem, method, hosts[0], query, headers)
            except ValueError:  # not every rule can be met by such traffic
                continue


def _text(pattern: str) -> str:
    """Return a text that fits a pattern, which has stars, or is a regular expression behind a ~."""
    if not pattern.startswith("~"):
        return pattern.replace("*", "x")
    return _example(_parser.parse(pattern[1:], re.DOTALL))


def _example(items: Iterable[Any]) -> str:
    """Return a short text that the parts of a regular expression match one after the other."""
    text = ""
    for operator, argument in items:
        if operator is c.LITERAL:
            text += chr(argument)
        elif operator is c.IN:
            text += next((one for one in _SOME if _in(argument, one)), "")
        elif operator in (c.ANY, c.NOT_LITERAL):
            text += "x" if argument != ord("x") else "y"
        elif operator in (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT):
            low, _, part = argument
            text += _example(part) * min(low, 9)
        elif operator is c.SUBPATTERN:
            text += _example(argument[3])
        elif operator is c.BRANCH:
            text += _example(argument[1][0])
    return text


def _in(items: Iterable[Any], one: str) -> bool:
    """Return whether a class of characters, such as [a-z], has this one."""
    found = negated = False
    for operator, argument in items:
        if operator is c.NEGATE:
            negated = True
        elif operator is c.LITERAL:
            found |= ord(one) == argument
        elif operator is c.RANGE:
            found |= argument[0] <= ord(one) <= argument[1]
        elif operator is c.CATEGORY:
            found |= argument is c.CATEGORY_WORD or (argument is c.CATEGORY_DIGIT and one.isdigit())
    return found != negated
