"""The textbook's six layers of balancers, as a ready experiment."""

from __future__ import annotations

from lbkit.core.health import CheckRules, HealthRules
from lbkit.core.options import whole
from lbkit.distributions import Exponential
from lbkit.experiment import Experiment, Policy, Traffic
from lbkit.server import Server
from lbkit.tier import Tier

ZONES = "abcdefghijklmnopqrstuvwxyz"
MOST_SERVERS = 100_000
WORK = Exponential(0.2)  # mean service time in seconds; long, so that a run needs few requests


def six_layers(
    managers: int = 2,
    regions: int = 2,
    zones: int = 2,
    farms: int = 1,
    servers: int = 2,
    *,
    ttl: float = 60.0,
) -> Experiment:
    """Return an experiment at half load: name server, global managers, regions, zones, farms and servers.

    Each number is how many nodes each node above has. Clients keep the name server's answer for `ttl`
    seconds. The lower a layer, the shorter its network delay and the more often it checks the nodes below.
    Raises ValueError for a number below 1, more than 26 zones in a region, and more than 100,000 servers."""
    for name, number in {
        "managers": managers,
        "regions": regions,
        "farms": farms,
        "servers": servers,
    }.items():
        whole(1, **{name: number})
    whole(1, len(ZONES), zones=zones)
    if (count := managers * regions * zones * farms * servers) > MOST_SERVERS:
        raise ValueError(f"servers: there would be {count:,}: use at most {MOST_SERVERS:,} of all together")

    def farm(name: str) -> Tier:
        below = [Server(f"s{next(numbers)}", service=WORK) for _ in range(servers)]
        return Tier(name, below, checked("least_connections", 2.0), distance=0.0005)

    def zone(place: str) -> Tier:
        names = [f"farm-{place}{i + 1 if farms > 1 else ''}" for i in range(farms)]
        return Tier(f"zone-{place}", map(farm, names), checked("round_robin", 2.0), distance=0.001)

    def region(number: int) -> Tier:
        below = [zone(f"{number}{letter}") for letter in ZONES[:zones]]
        return Tier(f"region-{number}", below, checked("round_robin", 5.0), distance=0.02)

    numbers = iter(range(1, 1 + managers * regions * zones * farms * servers))
    places = iter(range(1, 1 + managers * regions))
    global_managers = [
        Tier(
            f"global-{i + 1}",
            [region(next(places)) for _ in range(regions)],
            checked("round_robin", 10.0),
            distance=0.03,
        )
        for i in range(managers)
    ]
    names = Tier("dns", global_managers, checked("round_robin", 10.0), distance=0.01, ttl=ttl)
    traffic = Traffic(duration=300, warmup=10, clients=200)
    return Experiment(names, traffic, Policy(retries=0), name="six layers").at_load(0.5)


def checked(algorithm: str, interval: float) -> Policy:
    """Return a policy that probes the nodes below every `interval` seconds, and retries once on another."""
    rules = CheckRules(interval=interval, timeout=min(1.0, interval / 2))
    return Policy(algorithm, health=HealthRules(checks=rules), retries=1)
