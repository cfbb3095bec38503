"""The topology of an experiment: clients, proxy and servers as a graph, as set up or as it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lbkit.experiment import Experiment
from lbkit.viz.drawing import HIDDEN, Figure, Trace, figure
from lbkit.viz.style import FAILED, FAINT, INK, policy_look, server_look, title

if TYPE_CHECKING:
    import networkx as nx

CLIENTS, PROXY = "clients", "proxy"
COLUMN = {"clients": 0.0, "proxy": 1.0, "server": 2.0}  # kind of node -> x
State = Sequence[Mapping[str, Any]]  # as from LiveSession.state()


def graph(experiment: Experiment) -> nx.DiGraph:
    """Return the graph. Nodes have a `kind`; servers also `capacity` (requests/s), `weight` and `zone`."""
    import networkx as nx  # here: it has 285 modules, and no other figure needs it

    drawn = nx.DiGraph()
    drawn.add_node(CLIENTS, kind="clients", clients=experiment.traffic.clients)
    drawn.add_node(PROXY, kind="proxy", policy=experiment.policy.algorithm)
    drawn.add_edge(CLIENTS, PROXY)
    for server in experiment.leaves:
        facts = {"capacity": server.capacity, "weight": server.weight, "zone": server.zone}
        drawn.add_node(server.name, kind="server", **facts)
        drawn.add_edge(PROXY, server.name)
    return drawn


def topology(experiment: Experiment, state: State | None = None, policy: str | None = None) -> Figure:
    """Return the graph with clients on the left and servers on the right; the proxy has its policy's colour.

    With the `state` of a live session, the width of a line is the requests in flight; a server that is down
    is red, one that takes no new requests is hollow. Without it, the width is the weight. `policy`: the
    policy in force, if it is no longer the experiment's."""
    net = graph(experiment)
    places = positions(net)
    now = {row["name"]: row for row in state or ()}
    policy = policy or experiment.policy.algorithm
    servers = [n for n, kind in net.nodes(data="kind") if kind == "server"]
    largest = max(net.nodes[n]["capacity"] for n in servers)
    marks = [mark(i, now.get(n)) for i, n in enumerate(servers)]
    sizes = [12 + 16 * (net.nodes[n]["capacity"] / largest) ** 0.5 for n in servers]
    texts = [label(n, net.nodes[n], now.get(n)) for n in servers]
    traces = [
        *(edge(places[a], places[b], thickness(net, b, now), broken(now.get(b))) for a, b in net.edges),
        nodes(
            [places[CLIENTS], places[PROXY]],
            [f"{experiment.traffic.clients} clients", f"proxy<br>{title(policy)}"],
            "top center",
            {"color": [INK, policy_look(policy).colour], "size": [20, 26], "symbol": ["circle", "square"]},
        ),
        nodes(
            [places[n] for n in servers],
            texts,
            "middle right",
            {"size": sizes, **{key: [m[key] for m in marks] for key in marks[0]}},
        ),
    ]
    longest = max(len(line) for text in texts for line in text.replace("<b>", "").split("<br>"))
    return figure(
        found(experiment, policy, now),
        traces,
        height=max(340, 60 + 40 * len(servers)),
        showlegend=False,
        xaxis=HIDDEN | {"range": [-0.1, 2.1]},
        yaxis=HIDDEN | {"range": [-0.05, 1.2]},
        margin={"l": 48, "r": 24 + 7 * longest, "t": 44, "b": 8},  # room for the labels of both sides
    )


def found(experiment: Experiment, policy: str, now: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what the picture shows in a sentence."""
    servers = len(experiment.leaves)
    down = [name for name, row in now.items() if broken(row)]
    running = f"{title(policy)} over {servers} server{'s' if servers > 1 else ''}"
    return f"{running}, {', '.join(down)} down" if down else running


def positions(net: nx.DiGraph) -> dict[str, tuple[float, float]]:
    """Return the position of each node: a column for each kind, top to bottom in the order of the graph."""
    columns: dict[str, list[str]] = {}
    for node, kind in net.nodes(data="kind"):
        columns.setdefault(kind, []).append(node)
    return {
        node: (COLUMN[kind], 1 - (i + 0.5) / len(column))
        for kind, column in columns.items()
        for i, node in enumerate(column)
    }


def broken(row: Mapping[str, Any] | None) -> bool:
    return row is not None and not row["alive"]


def thickness(net: nx.DiGraph, to: str, now: Mapping[str, Mapping[str, Any]]) -> float:
    """Return the width in pixels of the line to a node."""
    if to == PROXY:
        return 3.0
    if not now:
        heaviest = max(weight or 0.0 for _, weight in net.nodes(data="weight")) or 1.0
        return 0.5 + 3.5 * float(net.nodes[to]["weight"]) / heaviest
    return min(0.5 + (now[to]["in_flight"] or 0), 12.0) if to in now else 0.5  # None: not known


def mark(number: int, row: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the colour and symbol of a server."""
    if broken(row):
        return {"color": FAILED, "symbol": "x"}
    resting = row is not None and (row["intent"] != "ready" or not row["weight"])
    return {"color": server_look(number).colour, "symbol": "circle-open" if resting else "circle"}


def label(name: str, facts: Mapping[str, Any], row: Mapping[str, Any] | None) -> str:
    parts = [f"<b>{name}</b>"]
    if row is None:
        parts += [f"{facts['capacity']:.3g}/s", f"weight {facts['weight']:.3g}"]
    elif broken(row):
        parts.append("down")
    else:
        parts += [] if row["in_flight"] is None else [f"{row['in_flight']} in flight"]
        parts.append(f"weight {row['weight']:.3g}")
        parts += [] if row["intent"] == "ready" else [str(row["intent"])]
    if facts["zone"]:
        parts.append(str(facts["zone"]))
    return f"{parts[0]}<br>{', '.join(parts[1:])}"  # two short lines fit where one long does not


def edge(a: tuple[float, float], b: tuple[float, float], wide: float, dead: bool) -> Trace:
    colour = FAILED if dead else FAINT
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [a[0], b[0]],
        "y": [a[1], b[1]],
        "line": {"color": colour, "width": wide, "dash": "dot" if dead else "solid"},
        "hoverinfo": "skip",
    }


def nodes(at: list[tuple[float, float]], texts: list[str], side: str, marker: dict[str, Any]) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": [x for x, _ in at],
        "y": [y for _, y in at],
        "text": texts,
        "textposition": side,
        "cliponaxis": False,
        "marker": {"opacity": 1, **marker},
        "hoverinfo": "skip",
    }
