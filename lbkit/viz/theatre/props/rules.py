"""The rate limits of a run as a prop shows them: what moves in each, its words, and the busiest keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lbkit.core.limit import (
    GCRA,
    FixedWindow,
    LeakyBucket,
    LeakyQueue,
    Limiter,
    NginxLimit,
    Several,
    SlidingCounter,
    SlidingLog,
    TokenBucket,
)
from lbkit.core.limit.several import limiter_of
from lbkit.core.scope import GLOBAL
from lbkit.edge import RateLimit
from lbkit.result import Result
from lbkit.viz.style import title
from lbkit.viz.theatre.props.visits import Visit, Visits

MOST = 4  # keys that are shown
OWN = "own"  # a limiter that the kit does not know: only its decisions are shown
QUEUE = "queue"  # it holds requests: a shaper
# What a limiter is drawn as. A subclass is drawn as its nearest ancestor here.
SHAPES: Mapping[type[Limiter], str] = {
    TokenBucket: "bucket",  # of tokens: empties by requests
    GCRA: "bucket",
    LeakyBucket: "meter",  # of water: fills by requests
    NginxLimit: "meter",
    LeakyQueue: QUEUE,
    FixedWindow: "window",
    SlidingLog: "log",
    SlidingCounter: "counter",
}


class Cell(NamedTuple):
    """One limiter, for one key."""

    rule: RateLimit
    limiter: Limiter  # a fresh one
    shape: str
    key: str  # as the reader knows it
    visits: list[Visit]


def shape(limiter: Limiter) -> str:
    """Return what a limiter is drawn as."""
    if isinstance(limiter, NginxLimit) and limiter.delay < limiter.burst:
        return QUEUE
    found = next((SHAPES[cls] for cls in type(limiter).__mro__ if cls in SHAPES), OWN)
    # One whose decisions are not made by a step says nothing of the time between them.
    return found if type(limiter).admit is Limiter.admit else OWN


def cells(result: Result, found: Visits, queues: bool) -> tuple[list[Cell], int]:
    """Return the limiters that hold requests (`queues`), or the others, for the busiest keys of `found`;
    and how many keys are not shown. Each rule has one before any has two."""
    limits = result.experiment.limits
    ranked = sorted(found.items(), key=lambda one: (-len(one[1]), one[0]))
    seen: dict[int, int] = {}
    places = []
    for (rule, key), visits in ranked:
        for limiter in _parts(limiter_of(limits[rule].limiter)):
            if (shape(limiter) == QUEUE) is queues:
                place = seen[rule] = seen.get(rule, -1) + 1
                places.append((place, rule, key, limiter, visits))
    places.sort(key=lambda one: one[0])  # the order among equals stays
    named = [
        (rule, Cell(limits[rule], limiter, shape(limiter), _name(result, limits[rule], key, visits), visits))
        for _, rule, key, limiter, visits in places[:MOST]
    ]
    named.sort(key=lambda one: (one[0], len(one[1].key), one[1].key))  # c2 before c10
    return [cell for _, cell in named], len(places) - len(named)


def _parts(limiter: Limiter) -> list[Limiter]:
    return (
        [part for one in limiter.limits for part in _parts(one)]
        if isinstance(limiter, Several)
        else [limiter]
    )


def _name(result: Result, rule: RateLimit, key: str, visits: list[Visit]) -> str:
    """Return a key by the name that it has on the stage."""
    if rule.key == GLOBAL:
        return "all requests"
    return f"c{result.client[visits[0].row]}" if rule.key == "client" else key


def rule_title(rule: RateLimit) -> str:
    """Return a rule in a few words: "token bucket, 10/s, burst 5, for each client"."""
    about = "" if rule.key == GLOBAL else f"for each {rule.key.replace(':', ' ')}"
    where = "" if rule.path == "/" else f"on {rule.path}"
    return ", ".join(part for part in (limiter_title(limiter_of(rule.limiter)), about, where) if part)


def limiter_title(limiter: Limiter) -> str:
    """Return a limiter and its numbers: "token bucket, 10/s, burst 5"."""
    if isinstance(limiter, Several):
        return " and ".join(limiter_title(one) for one in limiter.limits)
    name = "GCRA" if type(limiter) is GCRA else title(type(limiter).name)
    parts = [say(getattr(limiter, option)) for option, say in OPTIONS.items() if hasattr(limiter, option)]
    if hasattr(limiter, "window") and hasattr(limiter, "limit"):
        parts = [f"{limiter.limit:g} in {limiter.window:g} s"]
    return ", ".join([name, *parts])


OPTIONS: Mapping[str, Any] = {
    "rate": lambda value: f"{value:g}/s",
    "burst": lambda value: f"burst {value:g}",
    "capacity": lambda value: f"room for {value:g}",
}
