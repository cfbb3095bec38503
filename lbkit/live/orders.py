"""Requests sent by hand: orders that reach Locust's process while it plays. Runs there, on gevent."""

from __future__ import annotations

import json
import time
from typing import Any

import gevent

from lbkit.draws import stream, zipf
from lbkit.experiment import Experiment


def follow(player: Any, lines: Any) -> None:
    """Carry out the orders that come on `lines`, until their end. `player`: a Player that has started."""
    for number, line in enumerate(lines):
        order = json.loads(line)
        gevent.spawn(carry_out, player, number, order["client"], order["requests"], order["rate"])


def carry_out(player: Any, number: int, client: int, requests: int, rate: float) -> None:
    """Send the requests of an order, at `rate` a second, until the traffic ends.

    What they carry comes from a random stream of the order: the usual requests stay as they are."""
    experiment: Experiment = player.experiment
    traffic = experiment.traffic
    rng = stream(experiment.seed, f"by hand {number}")
    path = zipf(traffic.paths, traffic.path_skew, rng)
    began = time.monotonic() - player.t0
    for i in range(requests):
        player.wait_until(began + i / rate)
        now = time.monotonic() - player.t0
        if now >= traffic.duration:
            break
        player.send(now, client, path(1)[0], rng.random(), rng.random())
