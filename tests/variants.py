"""Every algorithm by its default options, and those whose options change what it does: for laws of all."""

from __future__ import annotations

from typing import Any

from lbkit.core import algorithms

Variant = tuple[str, dict[str, Any]]

NAMES = [name for name, cls in algorithms().items() if cls.__module__.startswith("lbkit.")]
WITH_OPTIONS: list[Variant] = [
    ("anomaly_mitigation", {"window": 0.5, "min_failures": 1}),
    ("bounded_hash", {"factor": 1.05, "points": 3}),
    ("choice_of_two", {"warmup": 0.5, "stale": 1.0}),
    ("choice_of_two", {"busy": 0.0, "failing": 0.0, "draws": 1}),
    ("client_side_weighted", {"blackout": 0.0, "update": 0.5}),
    ("consistent_hash", {"points": 1}),
    ("cross_zone", {"across": False, "inner": "modulo_hash"}),
    ("cross_zone", {"across": False, "inner": "bounded_hash", "options": {"factor": 1.1}}),
    ("first_available", {"limit": 2}),
    ("geographic", {"rule": "weighted"}),
    ("geographic", {"rule": "failover", "inner": "consistent_hash"}),
    ("haproxy_random", {"draws": 1}),
    ("haproxy_random", {"draws": 3}),
    ("haproxy_ring", {"avalanche": False}),
    ("haproxy_ring", {"factor": 110}),
    ("ip_hash", {"octets": 1}),
    ("ip_hash", {"octets": 3}),
    ("locality_weighted", {"inner": "weighted_least_connections", "overprovisioning": 1.0}),
    ("maglev", {"slots": 101}),
    ("multi_probe", {"probes": 1}),
    ("peak_ewma", {"decay": 0.5}),
    ("power_of_choices", {"choices": 2, "replacement": True}),
    ("power_of_choices", {"choices": 2, "weighted": True}),
    ("power_of_choices", {"choices": 3, "replacement": True, "weighted": True}),
    ("prequal", {"probes": 1, "size": 2, "hot": 0.0}),
    ("priority_levels", {"inner": "fast_round_robin"}),
    ("priority_levels", {"inner": "cross_zone", "options": {"across": False, "inner": "jump_hash"}}),
    ("subset", {"size": 2, "how": "random"}),
    ("subset", {"size": 2, "index": 1, "balancers": 3, "inner": "haproxy_ring", "options": {"factor": 125}}),
    ("weighted_least_connections", {"bias": 0.0}),
    ("weighted_least_connections", {"bias": 2.0}),
    ("zone_aware", {"home": "x", "share": 1.0, "inner": "power_of_two"}),
]
VARIANTS: list[Variant] = [*((name, {}) for name in NAMES), *WITH_OPTIONS]


def label(variant: Variant) -> str:
    name, options = variant
    return "-".join((name, *(f"{k}={v}" for k, v in options.items())))
