"""What a log says of the servers: how long each takes, and how many requests it may serve at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import ceil
from typing import Any, Protocol

from attrs import evolve

from lbkit.distributions import Empirical
from lbkit.experiment import Experiment
from lbkit.stats import percentile
from lbkit.tier import Node, Tier

SHORTEST = 1e-6  # seconds: what a log rounds to 0 took some time
MOST_TIMES = 5000  # of a distribution: quantiles of more, so that a day is no file of 20 MB
FEWEST = 100  # requests of a server that make a distribution of its own


class Columns(Protocol):
    """The columns of a Log that this needs."""

    service: list[float | None]
    servers: list[str]


def distribution(times: Iterable[float | None]) -> Empirical | None:
    """Return service times as a distribution, of many times their quantiles; None without any."""
    known = sorted(max(s, SHORTEST) for s in times if s is not None)
    if not known:
        return None
    if len(known) <= MOST_TIMES:
        return Empirical(known)
    # The mean of each of as many equal parts keeps the mean of all, which is what the load depends on.
    edges = [len(known) * i // MOST_TIMES for i in range(MOST_TIMES + 1)]
    parts = (known[a:b] for a, b in pairwise(edges))
    return Empirical([round(sum(part) / len(part), 6) for part in parts])


def by_server(log: Columns, names: Sequence[str], addresses: Mapping[str, str]) -> dict[str, Empirical]:
    """Return each server's service times: its own, or those of all if the log has too few of them."""
    rows: dict[str, list[float | None]] = {}
    for server, seconds in zip(log.servers, log.service, strict=True):
        rows.setdefault(server, []).append(seconds)
    everywhere = distribution(log.service)
    assert everywhere is not None
    found = {}
    for name in names:
        own = [s for s in rows.get(name) or rows.get(addresses.get(name, "")) or () if s is not None]
        found[name] = (distribution(own) if len(own) >= FEWEST else None) or everywhere
    return found


def quantiles(service: Sequence[float], servers: Sequence[str]) -> list[float]:
    """Return the quantile of each service time among those of its server: so heavy is the request, and a slow
    server does not make it heavier."""
    rows: dict[str, list[int]] = {}
    for i, server in enumerate(servers):
        rows.setdefault(server, []).append(i)
    found = [0.0] * len(service)
    for of_one in rows.values():
        of_one.sort(key=service.__getitem__)
        for rank, row in enumerate(of_one):
            found[row] = round((rank + 0.5) / len(of_one), 6)
    return found


def needed_workers(times: Sequence[float], service: Sequence[float | None], servers: int) -> int:
    """Return an estimate of the workers of each of `servers`: enough for 99.9 % of the concurrency.

    Logged times hold waiting, too: with fewer workers, that waiting would be simulated once more. Servers
    that were never busy may have more: a log cannot show it."""
    if not times:
        return 1
    return max(1, ceil(percentile(sorted(concurrency(times, service)), 99.9) / servers))


def concurrency(times: Sequence[float], service: Sequence[float | None]) -> list[int]:
    """Return how many requests were in service at each arrival, the new one included."""
    ends = sorted(t + (s or 0.0) for t, s in zip(times, service, strict=True))
    done, levels = 0, []
    for i, time in enumerate(times):
        while ends[done] <= time and done < i:
            done += 1
        levels.append(i + 1 - done)
    return levels


def with_workers(experiment: Experiment, workers: int | Sequence[int]) -> Experiment:
    """Return the experiment with as many workers of each server: one number for all, or one for each.

    Raises ValueError for another number of numbers."""
    names = [server.name for server in experiment.leaves]
    each = [workers] if isinstance(workers, int) else list(workers)
    if len(each) not in (1, len(names)):
        raise ValueError(
            f"workers has {len(each)} numbers: give one for all, or one for each of the {len(names)} servers,"
            f" {', '.join(names)}"
        )
    changes = {name: {"workers": each[i % len(each)]} for i, name in enumerate(names)}
    return experiment.but(servers=changed(experiment.servers, changes))


def changed(nodes: Sequence[Node], changes: Mapping[str, Mapping[str, Any]]) -> tuple[Node, ...]:
    """Return the same tree with the fields of each server changed, by name."""
    return tuple(
        evolve(node, servers=changed(node.servers, changes))
        if isinstance(node, Tier)
        else evolve(node, **changes[node.name])
        for node in nodes
    )
