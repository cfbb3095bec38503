"""Requests that travel: from their clients to the balancer, and on to their servers."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any

from lbkit.arrivals import Closed, Sessions
from lbkit.core.vectors import column_of, wholes_of
from lbkit.experiment import Experiment
from lbkit.geography import Geography
from lbkit.sim.servers import SimServer
from lbkit.workload import Workload, client_name


def ways_to(geography: Geography, zone: str, clients: int) -> array[float]:
    """Return the seconds from each client to the servers of a zone, one way."""
    return array("d", (geography.to_server(client_name(i), zone) for i in range(clients)))


def place(geography: Geography, servers: Iterable[SimServer], clients: int) -> None:
    """Tell servers how far away they are."""
    known: dict[str, array[float]] = {}
    for server in servers:
        zone = server.spec.zone
        if geography.balancer:
            server.move_away(geography.between(zone))
            continue
        if zone not in known:
            known[zone] = ways_to(geography, zone, clients)
        ways = known[zone]
        server.move_away(sum(ways) / clients, ways)


class FirstWay:
    """The ways between clients and a balancer that stands somewhere.

    Its own clock runs as ever: requests reach it later than they were sent, and clients get answers later
    than it gives them."""

    def __init__(self, experiment: Experiment) -> None:
        """Raises ValueError for clients that wait, whose next request would depend on the way back."""
        assert experiment.geography
        traffic = experiment.traffic
        if traffic.patience or isinstance(traffic.arrivals, Closed | Sessions):
            raise ValueError(
                "geography.balancer: clients with patience, sessions and users of a closed loop are not "
                "simulated with a way to the balancer: use balancer='', or another engine"
            )
        self.ways = array(
            "d", (experiment.geography.to_balancer(client_name(i)) for i in range(traffic.clients))
        )

    def there(self, sent: Workload) -> Workload:
        """Return the requests in the order in which they reach the balancer, with those times."""
        reached = [at + self.ways[client] for at, client in zip(sent.arrival, sent.client, strict=True)]
        order = sorted(range(len(reached)), key=reached.__getitem__)
        return Workload(
            column_of([reached[row] for row in order]),
            wholes_of([sent.client[row] for row in order]),
            wholes_of([sent.path[row] for row in order]),
            column_of([sent.demand[row] for row in order]),
            lambda rows: column_of([sent.luck[row] for row in order]),
        )

    def back(self, columns: dict[str, array[Any]]) -> dict[str, array[Any]]:
        """Return the columns of a Result as clients see them."""
        ways = [self.ways[client] for client in columns["client"]]
        sent = array("d", (at - way for at, way in zip(columns["arrival"], ways, strict=True)))
        ended = array("d", (at + way for at, way in zip(columns["end"], ways, strict=True)))
        return {**columns, "arrival": sent, "end": ended}
