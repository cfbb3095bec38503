"""Network delays by geography: from clients to the balancer, and on to the servers."""

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


def delays_to(geography: Geography, zone: str, clients: int) -> array[float]:
    """Return the one-way delay in seconds from each client to the servers of a zone."""
    return array("d", (geography.to_server(client_name(i), zone) for i in range(clients)))


def place(geography: Geography, servers: Iterable[SimServer], clients: int) -> None:
    """Set the servers' network delays."""
    known: dict[str, array[float]] = {}
    for server in servers:
        zone = server.spec.zone
        if geography.balancer:
            server.move_away(geography.between(zone))
            continue
        if zone not in known:
            known[zone] = delays_to(geography, zone, clients)
        delays = known[zone]
        server.move_away(sum(delays) / clients, delays)


class ClientDelays:
    """The delays between clients and a balancer at one place.

    The simulation keeps the balancer's time: requests arrive later than clients send them, and clients get
    answers later than the balancer sends them."""

    def __init__(self, experiment: Experiment) -> None:
        """Raises ValueError for clients that wait for answers: when they send next depends on the delay."""
        assert experiment.geography
        traffic = experiment.traffic
        if traffic.patience or isinstance(traffic.arrivals, Closed | Sessions):
            raise ValueError(
                "geography.balancer: clients with patience, sessions and users of a closed loop are not "
                "simulated with a delay to the balancer: use balancer='', or another engine"
            )
        self.delays = array(
            "d", (experiment.geography.to_balancer(client_name(i)) for i in range(traffic.clients))
        )

    def as_received(self, sent: Workload) -> Workload:
        """Return the requests with the times when they reach the balancer, in that order."""
        reached = [at + self.delays[client] for at, client in zip(sent.arrival, sent.client, strict=True)]
        order = sorted(range(len(reached)), key=reached.__getitem__)
        return Workload(
            column_of([reached[row] for row in order]),
            wholes_of([sent.client[row] for row in order]),
            wholes_of([sent.path[row] for row in order]),
            column_of([sent.demand[row] for row in order]),
            lambda rows: column_of([sent.luck[row] for row in order]),
        )

    def as_sent(self, columns: dict[str, array[Any]]) -> dict[str, array[Any]]:
        """Return the columns of a Result with `arrival` and `end` on the clients' side."""
        delays = [self.delays[client] for client in columns["client"]]
        sent = array("d", (at - delay for at, delay in zip(columns["arrival"], delays, strict=True)))
        ended = array("d", (at + delay for at, delay in zip(columns["end"], delays, strict=True)))
        return {**columns, "arrival": sent, "end": ended}
