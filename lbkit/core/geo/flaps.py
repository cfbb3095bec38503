"""The cost of route changes: sessions break in networks that reach another site than before."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from lbkit.core.geo.routes import Internet, NetworkRoute, moved
from lbkit.core.options import number, table
from lbkit.core.text import unknown


def sessions_broken(
    internet: Internet, announced: Sequence[Collection[str]], sessions: Mapping[str, float]
) -> list[float]:
    """Return how many sessions each change breaks when the sites `announced[0]` announce the address first,
    then `announced[1]`, and so on.

    `sessions`: the number of open sessions by network, which is constant, as broken ones start again. A
    network that reaches a new site loses its sessions, because that site does not know the connections and
    resets them; the others lose none. Raises ValueError for unknown networks and sites."""
    for network, count in table("sessions", sessions).items():
        number(0, **{f"sessions of {network}": count})  # type: ignore[arg-type] # names are those of values
        if network not in internet.providers:
            raise ValueError(f"sessions: {unknown(network, internet.providers, 'network')}")
    lost: list[float] = []
    before: dict[str, NetworkRoute] | None = None
    for sites in announced:
        routes = internet.routes(sites)
        if before is not None:
            lost.append(sum(sessions.get(network, 0.0) for network in moved(before, routes)))
        before = routes
    return lost
