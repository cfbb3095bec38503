"""An experiment around the world, and the latencies that follow from its places."""

from __future__ import annotations

from lbkit import Constant, Experiment, Geography, Poisson, Policy, Server, Traffic
from lbkit.core.geo import Place, round_trip
from lbkit.workload import client_name

FRANKFURT, VIRGINIA, SINGAPORE = (50.1, 8.7), (38.9, -77.4), (1.35, 103.8)
REGIONS = {"eu": {"at": FRANKFURT, "jurisdiction": "EU"}, "us": {"at": VIRGINIA}, "asia": {"at": SINGAPORE}}
CLIENTS = {  # half of the clients, and a quarter each
    "10.0.0.0/9": {"at": (48.9, 2.4), "jurisdiction": "EU"},
    "10.128.0.0/10": {"at": (40.7, -74.0)},
    "10.192.0.0/10": {"at": (35.7, 139.7)},
}
WORLD = Geography(REGIONS, CLIENTS)
WORK = 0.004


def experiment(geography: Geography = WORLD, policy: Policy | str = "random", **fields: object) -> Experiment:
    there = [Server(zone, workers=50, service=Constant(WORK), zone=zone) for zone in REGIONS]
    return Experiment(there, Traffic(Poisson(60), duration=5, clients=200), policy, geography=geography).but(
        **fields
    )


def expected(client: int, zone: str, geography: Geography = WORLD) -> float:
    """Seconds of an answer, from the places themselves."""
    at = Place(*CLIENTS[geography.home(client_name(client))]["at"])
    there = Place(*REGIONS[zone]["at"])
    if not geography.balancer:
        return round_trip(at, there, geography.access, geography.detour) + WORK
    middle = Place(*REGIONS[geography.balancer]["at"])
    first = round_trip(at, middle, geography.access, geography.detour)
    return first + round_trip(middle, there, 0.0, geography.detour) + WORK
