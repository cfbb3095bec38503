"""Networks with their providers and peers, and the site of an anycast address that each of them reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from lbkit.core.geo import Internet, NetworkRoute, moved
from lbkit.viz.drawing import HIDDEN, Figure, Trace, figure
from lbkit.viz.style import FAILED, GRID, INK, server_look

if TYPE_CHECKING:
    import networkx as nx


def internet_graph(internet: Internet) -> nx.DiGraph:
    """Return the networks as a graph: an edge from a customer to its provider, both ways between peers.

    Edges have a `kind`, "provider" or "peer"."""
    import networkx as nx

    drawn = nx.DiGraph()
    drawn.add_nodes_from(internet.providers)
    for network, above in internet.providers.items():
        for provider in above:
            drawn.add_edge(network, provider, kind="provider")
    for network, others in internet.peers.items():
        for peer in others:
            drawn.add_edge(network, peer, kind="peer")
    return drawn


def catchment(
    internet: Internet,
    routes: Mapping[str, NetworkRoute],
    before: Mapping[str, NetworkRoute] | None = None,
    title: str = "",
) -> Figure:
    """Return the networks, providers above customers, each in the colour of the site that it reaches.

    Thick lines are the paths in use; a dashed line is a peering. With the routes `before` a change, networks
    whose open connections have broken have a red ring."""
    sites = sorted({route.site for route in [*routes.values(), *(before or {}).values()]})
    colours = {site: server_look(i).colour for i, site in enumerate(sites)}
    at = _by_tier(internet)
    used = {pair for route in routes.values() for pair in pairwise(route.path)}
    traces = []
    for a, b, kind in internet_graph(internet).edges(data="kind"):
        if kind == "peer" and a > b:
            continue  # it is there in both directions
        on_path = (a, b) in used or (b, a) in used
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": [at[a][0], at[b][0]],
                "y": [at[a][1], at[b][1]],
                "line": {
                    "width": 2.5 if on_path else 1,
                    "color": INK if on_path else GRID,
                    "dash": "dot" if kind == "peer" else "solid",
                },
                "hoverinfo": "skip",
                "showlegend": False,
            }
        )
    broken = set(moved(before, routes)) if before else set()
    for site in [*sites, None]:
        networks = [n for n in at if (routes[n].site if n in routes else None) == site]
        if networks:
            traces.append(_networks(site, networks, at, routes, colours, broken))
    shown = title or "which site each network reaches"
    if before:
        shown += f"; {len(broken)} moved" if broken else "; none moved"
    return figure(
        shown, traces, height=380, xaxis=HIDDEN, yaxis={**HIDDEN, "range": [-0.6, None]}, showlegend=True
    )


def _networks(
    site: str | None,
    networks: Sequence[str],
    at: Mapping[str, tuple[float, float]],
    routes: Mapping[str, NetworkRoute],
    colours: Mapping[str, str],
    broken: set[str],
) -> Trace:
    colour = colours[site] if site else "rgba(0,0,0,0)"
    paths = [" > ".join(map(escape, routes[n].path)) if n in routes else "no route" for n in networks]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": f"to {escape(site)}" if site else "no route",
        "x": [at[n][0] for n in networks],
        "y": [at[n][1] for n in networks],
        "text": [escape(n) for n in networks],
        "textposition": ["top center" if at[n][1] else "bottom center" for n in networks],  # beside the paths
        "textfont": {"size": 11, "color": INK},
        "customdata": paths,
        "hovertemplate": "%{text}<br>%{customdata}<extra></extra>",
        "marker": {
            "size": 16,
            "color": colour,
            "symbol": ["square" if n == site else "circle" for n in networks],
            "line": {
                "width": [3 if n in broken else 1 for n in networks],
                "color": [FAILED if n in broken else INK for n in networks],
            },
        },
    }


def _by_tier(internet: Internet) -> dict[str, tuple[float, float]]:
    """Return places for the networks: each below its providers, those without customers at the bottom."""
    tier: dict[str, int] = {}

    def height(network: str) -> int:
        if network not in tier:
            tier[network] = 1 + max((height(below) for below in internet.customers[network]), default=-1)
        return tier[network]

    for network in internet.providers:
        height(network)
    rows: dict[int, list[str]] = {}
    for network in sorted(tier):
        rows.setdefault(tier[network], []).append(network)
    placed: dict[str, tuple[float, float]] = {}
    for row in sorted(rows, reverse=True):  # under the middle of its providers, as far as there is room

        def middle(network: str) -> float:
            above = [placed[p][0] for p in internet.providers[network] if p in placed]
            return sum(above) / len(above) if above else 0.5

        for i, network in enumerate(sorted(rows[row], key=lambda n: (middle(n), n))):
            placed[network] = ((i + 0.5) / len(rows[row]), float(row))
    return placed
