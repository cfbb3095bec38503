"""The same experiment with more traffic, and with another number of servers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from math import floor
from typing import Any

import attrs

from lbkit.arrivals import Arrivals, Burst, Closed, ConstantRate, OnOff, Poisson, Profile, Sessions, Trace
from lbkit.core.options import number, whole
from lbkit.experiment import Experiment, Server

STRETCHES = 20  # of a trace: within each, the requests of a copy come at other moments


def scaled(experiment: Experiment, scale: float = 2.0) -> Experiment:
    """Return the experiment with `scale` times its traffic, from as many times its clients.

    Rates and users are multiplied. Of a trace, as a log has it, there are `scale` copies on top of each
    other; of a fraction, that share of the requests. In each of its stretches, a twentieth of the time, a
    copy goes round by a random part (drawn from the seed): what bursts it has it keeps, and so the ups and
    downs of the day, but two copies do not have their bursts at the same moment. Service times of a trace
    are drawn anew from the servers' distribution.

    Raises ValueError for a scale that is not above 0."""
    number(0, 1e6, above=True, scale=scale)
    traffic = experiment.traffic
    arrivals = traffic.arrivals
    clients = max(1, round(traffic.clients * scale))
    if isinstance(arrivals, Trace):
        arrivals, clients = _copies(experiment, arrivals, scale)
    else:
        arrivals = _SCALED[type(arrivals)](arrivals, scale)
    bursts = [_burst(burst, scale) for burst in traffic.bursts]
    clients = max(clients, *(burst.client + 1 for burst in bursts), 1)
    return experiment.but(arrivals=arrivals, clients=clients, bursts=bursts)


def _times(name: str, arrivals: Any, scale: float) -> Any:
    return attrs.evolve(arrivals, **{name: getattr(arrivals, name) * scale})


def _profile(arrivals: Profile, scale: float) -> Profile:
    return Profile([(at, rate * scale) for at, rate in arrivals.points])


def _closed(arrivals: Closed, scale: float) -> Closed:
    return attrs.evolve(arrivals, users=max(1, round(arrivals.users * scale)))


_SCALED: dict[type, Callable[[Any, float], Arrivals]] = {
    Poisson: partial(_times, "rate"),
    ConstantRate: partial(_times, "rate"),
    OnOff: partial(_times, "peak"),
    Sessions: partial(_times, "rate"),
    Profile: _profile,
    Closed: _closed,
}


def _burst(burst: Burst, scale: float) -> Burst:
    return attrs.evolve(burst, requests=max(1, round(burst.requests * scale)), rate=burst.rate * scale)


def _copies(experiment: Experiment, trace: Trace, scale: float) -> tuple[Trace, int]:
    """Return the copies of a trace as one, and how many clients it has. A copy has clients of its own."""
    duration, clients = experiment.traffic.duration, experiment.traffic.clients
    rng = random.Random(f"{experiment.seed}/copies")
    rows: list[tuple[float, int, int]] = []
    whole_copies = floor(scale)
    shares = [1.0] * whole_copies + ([scale - whole_copies] if scale > whole_copies else [])
    columns = [
        column or (0,) * len(trace.times) for column in (trace.clients, trace.paths)
    ]  # zeros, if they are drawn later
    for copy, share in enumerate(shares):
        offsets = [rng.random() for _ in range(STRETCHES)]
        for at, client, path in zip(trace.times, *columns, strict=True):
            if at < duration and (share == 1 or rng.random() < share):
                rows.append((_rotated(at, duration / STRETCHES, offsets), client + copy * clients, path))
    rows.sort()
    times, client_numbers, paths = zip(*rows, strict=True) if rows else ((), (), ())
    found = Trace(times, client_numbers if trace.clients else (), paths if trace.paths else ())
    return found, clients * len(shares)


def _rotated(at: float, stretch: float, offsets: list[float]) -> float:
    """Return a moment in the same stretch, `offsets` of its length later, and round at its end."""
    number = min(int(at / stretch), len(offsets) - 1)
    return (number + (at / stretch - number + offsets[number]) % 1.0) * stretch


def with_servers(experiment: Experiment, count: int, failed: bool = False) -> Experiment:
    """Return the experiment with `count` servers: the present ones in their order, then copies of them.

    Present are those that get traffic at the start: no weight of 0, nothing in reserve. `failed`: without
    the one of them that does the most, which is the worst that can fail. Events, random failures and deploys
    are left out, as they are about servers that may not be there.

    Raises ValueError for a count below 1, or of 1 with `failed`, for servers in several pools, and if none is
    in use."""
    whole(1 + failed, count=count)
    usual = experiment.but(events=(), failures=None, deploy=None)
    if len(usual.pools) > 1:
        raise ValueError(
            f"servers are in several pools, {', '.join(usual.pools)}: plan for each pool by itself,"
            " with its own servers and traffic"
        )
    if experiment.tiers:
        raise ValueError("servers: there are tiers; plan for each tier by itself, as an experiment")
    present = in_use(experiment)
    chosen = [_copy(present, i) for i in range(count)]
    if failed:
        chosen.remove(most_useful(chosen))
    return usual.but(servers=chosen)


def most_useful(servers: Sequence[Server]) -> Server:
    """Return the server with the largest capacity, of several the one with the largest weight."""
    return max(servers, key=lambda server: (server.capacity, server.weight))


def alike(experiment: Experiment) -> bool:
    """Return whether all servers in use are the same but for their names, so that it is no matter which
    of them fails."""
    first, *others = in_use(experiment)
    return all(attrs.evolve(other, name=first.name) == first for other in others)


def in_use(experiment: Experiment) -> list[Server]:
    """Return the servers that get traffic at the start. Raises ValueError if there are none."""
    serving = [s for s in experiment.leaves if s.weight > 0 and s.name not in experiment.joining]
    if experiment.policy.algorithm == "priority_levels":
        first = min((s.priority for s in serving), default=0)
        serving = [s for s in serving if s.priority == first]
    if not serving:
        raise ValueError("servers: none is in use at the start; give one a weight above 0")
    return serving


def _copy(present: list[Server], number: int) -> Server:
    turn, place = divmod(number, len(present))
    server = present[place]
    if not turn:
        return server
    names = {s.name for s in present}
    name = f"{server.name}-{turn + 1}"
    while name in names:  # a present server may be called so
        name += "x"
    return attrs.evolve(server, name=name)
