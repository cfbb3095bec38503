"""What a change of routes costs: sessions of networks that reach another site than before."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from lbkit.core.geo.routes import Internet, NetworkRoute, moved


def sessions_broken(
    internet: Internet, announced: Sequence[Collection[str]], sessions: Mapping[str, float]
) -> list[float]:
    """Return how many sessions each change breaks, when first `announced[0]` announce the address, then
    `announced[1]`, and so on.

    `sessions`: open ones by network; those that break begin again, so their number stays. The new site does
    not know their connections, and resets them. A site that stays loses none, and neither do its clients.
    With an answer of DNS, no open connection moves. Raises ValueError for unknown networks and sites."""
    for network in sessions:
        if network not in internet.providers:
            raise ValueError(f"sessions: there is no network {network!r}")
    lost: list[float] = []
    before: dict[str, NetworkRoute] | None = None
    for sites in announced:
        routes = internet.routes(sites)
        if before is not None:
            lost.append(sum(sessions.get(network, 0.0) for network in moved(before, routes)))
        before = routes
    return lost
