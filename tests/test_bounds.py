"""Numbers that are too small, too large, or none: an experiment refuses them when it is built, or runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from lbkit import (
    Admission,
    Bimodal,
    Closed,
    Constant,
    ConstantRate,
    Empirical,
    Event,
    Experiment,
    Exponential,
    Failures,
    LogNormal,
    OnOff,
    Pareto,
    Poisson,
    Profile,
    RateLimit,
    Server,
    Sessions,
    Trace,
    Traffic,
    run,
    servers,
)

EXTREME = [0, 1e-320, 1e-9, 0.5, 1e9, 1e300, 10**400, -1, math.nan, math.inf]
BASE = Experiment(servers(2), Traffic(Poisson(50), duration=1))

Make = Callable[[Any], Experiment]


def numbers(cls: type, build: Callable[[dict[str, Any]], Experiment], *without: str) -> dict[str, Make]:
    """Return, for each field of an attrs class, a function from its value to an experiment."""
    found = {}
    for field in attrs.fields(cls):
        if field.name not in without:
            found[f"{cls.__name__}.{field.name}"] = lambda value, name=field.name: build({name: value})
    return found


def limit(**options: Any) -> Experiment:
    return BASE.but(limits=[RateLimit({"kind": "token_bucket", "rate": 10, "burst": 5} | options)])


def event(**values: Any) -> Experiment:
    return BASE.but(events=[Event(**({"at": 0.5, "action": "slow", "server": "s1", "value": 0.5} | values))])


MAKE: dict[str, Make] = {
    **numbers(
        Server,
        lambda field: BASE.but(servers=[Server("a"), Server("b", **field)]),
        *("name", "service", "zone", "discipline"),
    ),
    **numbers(Traffic, lambda field: BASE.but(**field), "arrivals"),
    **numbers(
        Failures, lambda field: BASE.but(failures=Failures(**({"mtbf": 5, "mttr": 5} | field))), "servers"
    ),
    "Profile.rate": lambda value: BASE.but(arrivals=Profile([(0, 10), (1, value)])),
    "Profile.time": lambda value: BASE.but(arrivals=Profile([(0, 10), (value, 10)])),
    "Trace": lambda value: BASE.but(arrivals=Trace([0.1, value])),
    "Empirical": lambda value: BASE.but(servers=servers(2, service=Empirical([value]))),
    "RateLimit.rate": lambda value: limit(rate=value),
    "RateLimit.burst": lambda value: limit(burst=value),
    "Event.at": lambda value: event(at=value),
    "Event.value": lambda value: event(value=value),
    "Event.weight": lambda value: event(value=value, action="set_weight"),
    "seed": lambda value: BASE.but(seed=value),
    "load": lambda value: BASE.at_load(value),
    "retries": lambda value: BASE.but(policy=attrs.evolve(BASE.policy, retries=value)),
    "balancers": lambda value: BASE.but(policy=attrs.evolve(BASE.policy, balancers=value)),
}
for arrivals in (Poisson, ConstantRate, OnOff, Closed, Sessions):
    MAKE |= numbers(arrivals, lambda field, kind=arrivals: BASE.but(arrivals=kind(**field)))
for service in (Exponential, Constant, LogNormal, Pareto, Bimodal):
    MAKE |= numbers(service, lambda field, kind=service: BASE.but(servers=servers(2, service=kind(**field))))
for name in ("rate", "burst", "max_queue", "timeout", "prefix"):
    MAKE[f"Admission.{name}"] = lambda value, name=name: BASE.but(
        admission=Admission(**{"rate": 30, name: value})
    )


def built_or_refused(make: Make, value: object) -> Experiment | str:
    try:
        return make(value)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("name", MAKE)
def test_an_extreme_number_is_refused_when_the_experiment_is_built_or_it_runs(name: str) -> None:
    for value in EXTREME:
        built = built_or_refused(MAKE[name], value)
        if isinstance(built, str):
            assert 10 < len(built) < 300
        else:
            assert run(built).throughput >= 0


@pytest.mark.parametrize("count", [2.5, "3", True, -1, math.nan, 10**9])
def test_the_number_of_servers_is_whole(count: object) -> None:
    with pytest.raises(ValueError, match=r"count is .*: use a whole number of at least 1 and at most 1e\+06"):
        servers(count)
