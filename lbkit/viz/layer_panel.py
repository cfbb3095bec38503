"""A balancer of connections and one of requests, with the same clients, redrawn while a slider moves."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import ipywidgets as widgets

from lbkit.core import Backend, Pool, make_balancer
from lbkit.viz.layers import by_server
from lbkit.viz.widget import ControlPanel

ALGORITHMS = ("round_robin", "least_connections", "power_of_two", "random")


def spread(layer: int, algorithm: str, servers: int, requests: list[int]) -> dict[str, int]:
    """Return the requests that each server gets from clients with one connection each.

    `requests`: of each client, which it sends one after the other, and all clients at the same time. At layer
    4 the pick is made once for a connection, at layer 7 for each request."""
    backends = [Backend(f"s{i + 1}") for i in range(servers)]
    pool = Pool(backends, make_balancer(algorithm, random.Random(1)))
    got: Counter[str] = Counter({b.name: 0 for b in backends})
    if layer == 4:
        kept = [pool.acquire(f"c{i}", 0.0) for i in range(len(requests))]  # for as long as they are connected
        for lease, count in zip(kept, requests, strict=True):
            got[lease.backend.name] += count
        return dict(got)
    for turn in range(max(requests)):
        leases = [pool.acquire(f"c{i}", 0.0) for i, count in enumerate(requests) if turn < count]
        for lease in leases:
            got[lease.backend.name] += 1
            lease.release(True, 0.0)
    return dict(got)


class LayerPanel(ControlPanel):
    """Sliders for clients, servers and requests; `counts` has the requests on the screen, by layer."""

    def __init__(
        self,
        clients: int = 1,
        servers: int = 3,
        requests: int = 30,
        busy: int = 1,
        algorithm: str = "least_connections",
    ) -> None:
        """`busy`: how many times as many requests as the others the first client sends."""
        controls: dict[str, Any] = {
            "clients": widgets.IntSlider(clients, 1, 60, description="clients"),
            "servers": widgets.IntSlider(servers, 2, 8, description="servers"),
            "requests": widgets.IntSlider(requests, 1, 60, description="requests of each"),
            "busy": widgets.IntSlider(busy, 1, 50, description="first client ×"),
            "algorithm": widgets.Dropdown(options=ALGORITHMS, value=algorithm, description="algorithm"),
        }
        for control in controls.values():
            control.style.description_width = "initial"
        self.counts: dict[str, dict[str, int]] = {}
        super().__init__(controls, "lbkit-layer-panel")

    def draw(self) -> None:
        values = self.values
        clients = [values["requests"]] * values["clients"]
        clients[0] *= values["busy"]
        self.counts = {
            f"layer {layer}": spread(layer, values["algorithm"], values["servers"], clients)
            for layer in (4, 7)
        }
        total = sum(clients)
        four, seven = (max(row.values()) / total for row in self.counts.values())
        finding = f"The busiest server gets {four:.0%} at layer 4, {seven:.0%} at layer 7"
        self.view.show(by_server(finding, self.counts))
        self.summary.value = f"An equal share of the requests is {1 / values['servers']:.0%}."
