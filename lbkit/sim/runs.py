"""Runs an experiment in virtual time, from its beginning to its Result."""

from __future__ import annotations

from lbkit.core.options import number, whole
from lbkit.core.text import shown
from lbkit.experiment import Experiment
from lbkit.result import Result
from lbkit.sim.cached import (
    CachingImpatientRetryingSimulation,
    CachingImpatientSimulation,
    CachingRetryingSimulation,
    CachingSimulation,
)
from lbkit.sim.impatient import ImpatientRetryingSimulation, ImpatientSimulation
from lbkit.sim.recorders import recorded
from lbkit.sim.relaying import RelayingSimulation
from lbkit.sim.retrying import RetryingSimulation
from lbkit.sim.simulation import Simulation
from lbkit.sim.summarising import SummarisingSimulation, expected_requests, needs_rows
from lbkit.sim.tiers import tiered

MOST_ROWS = 5_000_000  # requests: their rows take about 600 MB

# Whether clients have patience, whether the policy has rules for attempts, and whether there is a cache ->
# what simulates that.
KINDS: dict[tuple[bool, bool, bool], type[Simulation]] = {
    (False, False, False): Simulation,
    (True, False, False): ImpatientSimulation,
    (False, True, False): RetryingSimulation,
    (True, True, False): ImpatientRetryingSimulation,
    (False, False, True): CachingSimulation,
    (True, False, True): CachingImpatientSimulation,
    (False, True, True): CachingRetryingSimulation,
    (True, True, True): CachingImpatientRetryingSimulation,
}


def simulation(experiment: Experiment, max_events: int | None = None, record: bool = False) -> Simulation:
    """Return the simulation of an experiment, as its clients and its policy's attempts need it."""
    if experiment.tiers:
        if record:
            raise ValueError("record: runs with tiers are not recorded; leave it out")
        return tiered(_kind, experiment)(experiment, max_events)
    kind = _kind(experiment)
    return (recorded(kind) if record else kind)(experiment, max_events)


def _kind(experiment: Experiment) -> type[Simulation]:
    if experiment.layer4:
        for name, rules in (
            ("traffic.patience", experiment.traffic.patience),
            ("policy.retry", experiment.policy.retry),
            ("policy.sticky", experiment.policy.sticky),
        ):
            if rules:
                raise ValueError(f"{name} at layer 4 is not simulated: remove it, or use another engine")
        return RelayingSimulation
    parts = experiment.traffic.patience, experiment.policy.retry, experiment.cache
    patience, retry, cache = (part is not None for part in parts)
    return KINDS[patience, retry, cache]


def simulate(
    experiment: Experiment,
    grace: float | None = None,
    max_events: int | None = None,
    layer: int = 7,
    record: bool = False,
    keep: str | None = None,
) -> Result:
    """Return the Result of a run in which requests arrive for `duration`, and every one of them is answered.

    With a `grace`, the run ends as many seconds after the last arrivals may come, as on live engines: what is
    not answered by then has status 0. `max_events` is a bound for runs that would never end; by default
    MAX_EVENTS, and as many more as the requests of an open loop can take. `layer`: 4 adds `layer4` to an
    experiment without it, with connections that all clients share. `record`: its `extra` has every attempt,
    and the reasons of the first decisions (`lbkit.recorded`), for a film. `keep`: "all" rows, or a
    "summary" of them in bounded memory (`lbkit.summary`); by default that of more than MOST_ROWS requests,
    where it can be had. Same experiment, same Result, to
    the last bit. Raises AlgorithmError, TooManyEvents, ValueError for a wrong option."""
    experiment = experiment.at_layer(layer)
    if keep not in (None, "all", "summary"):
        raise ValueError(f'keep is {shown(keep)}: use "all" or "summary"')
    if grace is not None:
        number(0, infinite=True, grace=grace)
    if max_events is not None:
        whole(1, max_events=max_events)
    needed = "record" if record else needs_rows(experiment)
    if keep == "summary" and needed:
        raise ValueError(f'keep="summary" does not go with {needed}: use keep="all"')
    many = keep is None and not needed and expected_requests(experiment) > MOST_ROWS
    if keep == "summary" or many:
        result = SummarisingSimulation(experiment, max_events).run(grace)
        if many:
            said = f'of more than {MOST_ROWS:,} requests, a summary is kept: keep="all" keeps their rows'
            result.extra["notes"] = [*result.extra.get("notes", ()), said]
        return result
    return simulation(experiment, max_events, record).run(grace)
