from __future__ import annotations

from typing import Any

import pytest
from needs import need_module

need_module("plotly")
need_module("networkx")

import networkx as nx
import plotly.graph_objects as go

from lbkit import Experiment, Server, servers
from lbkit.viz.style import FAILED, policy_look
from lbkit.viz.topology import graph, positions, topology

EXPERIMENT = Experiment([Server("big", speed=4, weight=4, zone="east"), Server("small"), Server("spare")])


def row(name: str, **facts: Any) -> dict[str, Any]:
    return {
        "name": name,
        "alive": True,
        "weight": 1.0,
        "intent": "ready",
        "in_flight": 0,
        "picks": 0,
        **facts,
    }


def test_graph_is_a_tree_from_the_clients() -> None:
    net = graph(EXPERIMENT)
    assert nx.is_arborescence(net)
    assert list(nx.dfs_preorder_nodes(net, "clients")) == ["clients", "proxy", "big", "small", "spare"]
    assert net.nodes["big"]["capacity"] == 4 * net.nodes["small"]["capacity"]


def test_no_two_nodes_overlap() -> None:
    places = positions(graph(Experiment(servers(40))))
    assert len(set(places.values())) == 42


def test_before_it_runs() -> None:
    figure = topology(EXPERIMENT)
    go.Figure(figure.to_dict())  # plotly finds nothing wrong
    heavy, light = (t.line.width for t in figure.data[1:3])
    assert heavy > light
    big, small, _ = figure.data[-1].marker.size
    assert big > small
    assert figure.data[-1].text[0].endswith("weight 4, east")


def test_while_it_runs() -> None:
    state = [row("big", in_flight=7), row("small", alive=False), row("spare", intent="drain")]
    figure = topology(EXPERIMENT, state)
    go.Figure(figure.to_dict())
    _, big, small, spare, *_ = figure.data
    assert big.line.width > spare.line.width
    assert small.line.color == FAILED
    servers_drawn = figure.data[-1]
    assert list(servers_drawn.text) == [
        "<b>big</b><br>7 in flight, weight 1, east",
        "<b>small</b><br>down",
        "<b>spare</b><br>0 in flight, weight 1, drain",
    ]
    assert list(servers_drawn.marker.symbol) == ["circle", "x", "circle-open"]


def test_a_server_that_is_not_in_the_pool_yet() -> None:
    figure = topology(EXPERIMENT, [row("big")])
    assert figure.data[-1].text[1].startswith("<b>small</b>")


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_no_weight_at_all(weight: float) -> None:
    assert topology(Experiment([Server("one", weight=weight)])).data


def test_the_proxy_has_the_name_and_colour_of_the_policy_in_force() -> None:
    figure = topology(EXPERIMENT, policy="least_connections")
    proxy = next(t for t in figure.data if t.text and "proxy" in t.text[-1])
    assert proxy.text[-1] == "proxy<br>least connections"
    assert proxy.marker.color[-1] == policy_look("least_connections").colour
    assert figure.layout.title.text.startswith("least connections over 3 servers")


def test_labels_have_room_beside_the_servers() -> None:
    figure = topology(EXPERIMENT)
    longest = max(len(line) for text in figure.data[-1].text for line in text.split("<br>"))
    assert figure.layout.margin.r >= 6 * longest
    assert figure.data[-1].cliponaxis is False
