"""Envoy's clusters: their endpoints as servers, and their settings as a Policy."""

from __future__ import annotations

import re

from attrs import evolve

from lbkit import presets
from lbkit.core import SlowStart
from lbkit.core.health import CheckRules, HealthRules, OutlierRules, Probe
from lbkit.experiment import Policy
from lbkit.importer.found import ImportFault, Unread, Upstream
from lbkit.importer.nodes import Node

_POLICIES = {  # lb_policy -> name of the preset, and the field with its settings
    "ROUND_ROBIN": ("round_robin", "round_robin_lb_config"),
    "LEAST_REQUEST": ("least_request", "least_request_lb_config"),
    "RING_HASH": ("ring_hash", "ring_hash_lb_config"),
    "MAGLEV": ("maglev", "maglev_lb_config"),
    "RANDOM": ("random", "random_lb_config"),
}
# HealthCheck.unhealthy_threshold:
# https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/core/v3/health_check.proto
AT_ONCE = "Envoy takes a host out at the first check with another status; here it takes unhealthy_threshold"


def add_endpoints(upstream: Upstream, cluster: Node, pool: str) -> None:
    """Add the endpoints of a cluster. Raises ImportFault for one without any."""
    count = 0
    for locality in cluster.inside("load_assignment").each("endpoints"):
        place = locality.inside("locality")
        zone = place.text("zone") or place.text("region")
        priority = locality.whole("priority")
        if "load_balancing_weight" in locality:
            text = f"{locality.place}.load_balancing_weight: {locality.text('load_balancing_weight')}"
            upstream.unread.append(Unread(locality.file, locality.line, text, "load_balancing_weight"))
        for one in locality.each("lb_endpoints"):
            socket = one.inside("endpoint").inside("address").inside("socket_address")
            host, port = socket.text("address"), socket.text("port_value")
            address = f"{host}:{port}" if port else host or "pipe"
            weight = one.number("load_balancing_weight", 1)
            drained = one.text("health_status") in ("DRAINING", "UNHEALTHY", "TIMEOUT")
            upstream.add(
                address, address, weight=0.0 if drained else weight, priority=priority, zone=zone, pool=pool
            )
            count += 1
    if not count:
        name = cluster.text("name")
        kind = cluster.text("type")
        upstream.notes.append(
            f"the endpoints of {name} are not in the file ({kind or 'no type'}): 2 are assumed"
        )
        for i in (1, 2):
            upstream.add(f"{name}-{i}", f"{name}-{i}", pool=pool)


def _hosts(cluster: Node) -> list[Node]:
    """Return the endpoints of a cluster that are in the file."""
    localities = cluster.inside("load_assignment").each("endpoints")
    return [host for locality in localities for host in locality.each("lb_endpoints")]


def policy_of(cluster: Node, upstream: Upstream) -> Policy:
    """Return the settings of a cluster. Raises ImportFault.

    A ring has at least 1024 points, shared by the hosts. Least request compares `choice_count` hosts while
    weights are equal; with different ones, the weight over the requests in flight counts, of all hosts.
    https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/load_balancers"""
    name, config = _balancing(cluster, upstream)
    common = cluster.inside("common_lb_config")
    bounds = [one.inside("consistent_hashing_lb_config") for one in (config, common)]
    try:
        factor = max(one.whole("hash_balance_factor") for one in bounds)
        preset, hosts = _POLICIES[name][0], _hosts(cluster)
        if name == "LEAST_REQUEST" and len({host.number("load_balancing_weight", 1) for host in hosts}) > 1:
            preset = "least_request_weighted"
        policy = presets.envoy(preset, hash_balance_factor=factor if name == "RING_HASH" else 0)
        if name == "LEAST_REQUEST":
            choices = config.whole("choice_count", 2)
            bias = config.inside("active_request_bias").number("default_value", 1.0)
            if preset == "least_request_weighted":
                policy = evolve(policy, options={"bias": bias})
            elif choices != 2:
                policy = evolve(policy, algorithm="power_of_choices", options={"choices": choices})
        elif name == "RING_HASH":
            points = max(1, -(-config.whole("minimum_ring_size", 1024) // max(1, len(hosts))))
            policy = evolve(policy, options={**policy.options, "points": min(points, 10_000)})
        elif name == "MAGLEV" and (slots := config.whole("table_size")):
            policy = evolve(policy, options={"slots": slots})
        if len({server.priority for server in upstream.servers}) > 1:
            options = {"inner": policy.algorithm, "options": dict(policy.options)}
            policy = evolve(policy, algorithm="priority_levels", options=options)
        by_http = any("http_health_check" in one for one in cluster.each("health_checks"))
        if by_http and AT_ONCE not in upstream.notes:
            upstream.notes.append(AT_ONCE)
        panic = common.inside("healthy_panic_threshold").number("value", 50.0) / 100
        start = _slow_start(config.inside("slow_start_config"))
        return evolve(policy, panic=panic, health=_health(cluster), slow_start=start)
    except ImportFault:
        raise
    except ValueError as error:
        raise ImportFault(f"{cluster.file}, line {cluster.line}: {cluster.place}: {error}") from None


def _balancing(cluster: Node, upstream: Upstream) -> tuple[str, Node]:
    """Return the name of a cluster's policy, as lb_policy has it, and its settings.

    Of the policies of load_balancing_policy, which comes before lb_policy, the first that is known counts.
    https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/cluster/v3/cluster.proto"""
    name, others = cluster.text("lb_policy", "ROUND_ROBIN"), []
    for one in cluster.inside("load_balancing_policy").each("policies"):
        extension = one.inside("typed_extension_config")
        config = extension.inside("typed_config")
        kind = re.search(r"load_balancing_policies\.(\w+)", config.text("@type") or extension.text("name"))
        others.append(kind[1].upper() if kind else extension.text("name"))
        if others[-1] in _POLICIES:
            return others[-1], config
    wanted = others[0] if others else name
    if wanted not in _POLICIES:
        upstream.notes.append(f"lb_policy {wanted} of {cluster.text('name')} is imported as ROUND_ROBIN")
        return "ROUND_ROBIN", cluster.inside(_POLICIES["ROUND_ROBIN"][1])
    return name, cluster.inside(_POLICIES[name][1])


def _slow_start(config: Node) -> SlowStart | None:
    if not (window := config.number("slow_start_window")):
        return None
    aggression = config.inside("aggression").number("default_value", 1.0)
    return SlowStart(window, aggression, config.inside("min_weight_percent").number("value", 10.0) / 100)


def _health(cluster: Node) -> HealthRules | None:
    """Return the checks, outlier detection and limits of a cluster; None without any. Raises ValueError."""
    checks = [_checks(one) for one in cluster.each("health_checks")]
    outliers = _outliers(cluster.inside("outlier_detection")) if "outlier_detection" in cluster else None
    limits = [
        one.whole("max_requests", 1024)
        for one in cluster.inside("circuit_breakers").each("thresholds")
        if one.text("priority", "DEFAULT") == "DEFAULT"
    ]
    if not (checks or outliers or limits):
        return None
    # Envoy's limit is for all hosts of the cluster together: each gets its part.
    most = max(1, limits[0] // max(1, len(_hosts(cluster)))) if limits else None
    return HealthRules(checks=checks[0] if checks else None, outliers=outliers, max_in_flight=most)


def _checks(node: Node) -> CheckRules:
    interval, timeout = node.number("interval", 10.0), node.number("timeout", 5.0)
    http = node.inside("http_health_check")
    probe = Probe("tcp")
    if "http_health_check" in node:
        ranges = [(one.whole("start"), one.whole("end") - 1) for one in http.each("expected_statuses")]
        expect = ", ".join(f"{low}-{high}" for low, high in ranges) or "200"
        probe = Probe(path=http.text("path") or "/", host=http.text("host"), expect=expect)
    elif "grpc_health_check" in node:
        probe = Probe("grpc", service=node.inside("grpc_health_check").text("service_name"))
    down = node.number("unhealthy_interval") or None
    return CheckRules(
        interval,
        min(timeout, interval, down or interval),
        node.whole("healthy_threshold", 2),
        node.whole("unhealthy_threshold", 2),
        down_interval=down,
        start="down",
        probe=probe,
    )


def _outliers(node: Node) -> OutlierRules:
    """Return outlier detection. Rules that are enforced at 0 % are off; by default only consecutive 5xx and
    the success rate are on. An ejection may not go beyond max_ejection_percent, so by default none of fewer
    than ten hosts is ejected, unless always_eject_one_host is set.

    https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/cluster/v3/outlier_detection.proto"""
    usual, base = OutlierRules(), node.number("base_ejection_time", 30.0)

    def enforced(key: str, default: int) -> bool:
        return node.whole(key, default) > 0

    return OutlierRules(
        consecutive=node.whole("consecutive_5xx", 5) if enforced("enforcing_consecutive_5xx", 100) else 0,
        interval=node.number("interval", 10.0),
        base_ejection=base,
        max_ejection=node.number("max_ejection_time", max(300.0, base)),
        max_ejected=node.number("max_ejection_percent", 10.0) / 100,
        always_one=node.flag("always_eject_one_host"),
        minimum_hosts=node.whole("success_rate_minimum_hosts", 5),
        request_volume=node.whole("success_rate_request_volume", 100),
        stdev_factor=node.number("success_rate_stdev_factor", 1900) / 1000
        if enforced("enforcing_success_rate", 100)
        else 0.0,
        failure_rate=node.number("failure_percentage_threshold", 85) / 100
        if enforced("enforcing_failure_percentage", 0)
        else usual.failure_rate,
    )
